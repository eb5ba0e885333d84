//! Tests that need the process for themselves: they count descriptors, mappings or allocations, which
//! the server shares with them, or read the log, of which a process has one. They run one at a time,
//! on the main thread.
//!
//! `cargo test -p client-tests --test alone -- --list` lists them.

mod allocations;
#[path = "../suite/asked.rs"]
mod asked;
#[expect(dead_code, reason = "the program suite needs more of it")]
#[path = "../suite/copier.rs"]
mod copier;
mod descriptors;
mod logs;
mod low_power_descriptors;
mod many_maps;

use libtest_mimic::{Arguments, Trial};

/// Tests `FILE::TEST` under these names.
macro_rules! trials {
    ($($file:ident::$test:ident,)*) => {
        vec![$(Trial::test(concat!(stringify!($file), "::", stringify!($test)), || {
            $file::$test();
            Ok(())
        })),*]
    };
}

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = trials![
        allocations::requests_of_a_running_guest_allocate_nothing,
        allocations::allocations_of_requests_are_seen,
        descriptors::the_server_holds_no_more_descriptors_than_it_needs,
        low_power_descriptors::wake_up_eventfds_are_given_up,
        many_maps::a_gigabyte_of_pages_takes_one_descriptor_and_one_mapping,
        // Last: from then on the process has a log.
        logs::what_a_client_repeats_is_logged_a_few_times_only,
    ];
    libtest_mimic::run(&arguments, trials).exit();
}
