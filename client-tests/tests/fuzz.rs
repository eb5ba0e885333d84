//! The fuzz targets on the stable toolchain: the inputs that are kept, and some thousand made from
//! them, each within a bound of memory.

use std::sync::{Mutex, PoisonError};

use client_tests::fuzz::{self, Mutator, files};

/// Made-up inputs for each target.
const MADE: [(&str, u32); 7] = [
    ("decoder", 20_000),
    ("session", 300),
    ("config", 500),
    ("model", 2_000),
    ("profile", 500),
    ("control", 1_000),
    ("restore", 150),
];
/// Most bytes that one execution may hold at a time beyond what it held before. The largest message
/// that the server takes and the largest reply are a little more than 1 MiB each, and the client is
/// in the same process.
const MOST_HELD: u64 = 24 << 20;

/// The session counts the descriptors of the process, so one test runs at a time.
static ONE: Mutex<()> = Mutex::new(());

fn play(name: &str, what: &str, input: &[u8]) {
    let target = fuzz::target(name).unwrap();
    let held = allocation_counter::measure(|| (target.run)(input));
    assert!(
        held.bytes_max <= MOST_HELD,
        "{name}: {what} held {} bytes",
        held.bytes_max
    );
}

fn replay(kind: &str, name: &str) -> usize {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let inputs = files::inputs(kind, name).unwrap();
    for (file, input) in &inputs {
        play(name, file, input);
    }
    inputs.len()
}

fn corpus(name: &str) {
    assert!(replay("corpus", name) >= 12, "the corpus of {name}");
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let inputs = files::inputs("corpus", name).unwrap();
    let seeds = inputs.into_iter().map(|(_, data)| data).collect();
    let words = files::words(name).unwrap();
    let longest = fuzz::target(name).unwrap().longest;
    let mut mutator = Mutator::new(0xd03, seeds, words, longest);
    let mut input = Vec::new();
    let count = MADE.iter().find(|(of, _)| *of == name).unwrap().1;
    for number in 0..count {
        mutator.next(&mut input);
        play(name, &format!("made-up input {number}"), &input);
    }
}

/// One test per target.
macro_rules! corpora {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            corpus(stringify!($name));
        }
    )*};
}

corpora!(decoder, session, config, model, profile, control, restore);

#[test]
fn inputs_of_former_findings_are_played() {
    for target in fuzz::TARGETS {
        replay("regressions", target.name);
    }
}

#[test]
fn every_target_is_built_for_libfuzzer() {
    for target in fuzz::TARGETS {
        let path = files::folder().join(format!("fuzz_targets/{}.rs", target.name));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(&format!("fuzz::{}::run(data)", target.name)),
            "{}",
            path.display()
        );
    }
}
