//! Faults: what goes wrong around a server, one case after another.
//!
//! Each case has a server of its own. At the end of each the server is alive, serves the next client,
//! and holds no descriptor and no memory that it did not hold before. The cases run in this one
//! process and one at a time, so that what is held can be counted.
//!
//! `cargo test -p client-tests --test faults -- --list` lists the cases.

mod bench;
mod clock;
mod descriptors;
mod disk;
mod eventfds;
mod killed;
mod memory;
mod neighbours;

use libtest_mimic::{Arguments, Failed, Trial};

use bench::{Bench, Case};

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let cases = [
        killed::cases(),
        memory::cases(),
        eventfds::cases(),
        descriptors::cases(),
        disk::cases(),
        neighbours::cases(),
        clock::cases(),
    ];
    let trials = cases.into_iter().flatten().map(|Case { name, run }| {
        Trial::test(name, move || {
            let outcome = Bench::play(run);
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
