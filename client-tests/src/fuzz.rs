//! What is thrown at the server's inputs, and what has to hold whatever is thrown.
//!
//! A [`Target`] takes bytes and makes something of them that gets past the first checks: messages,
//! streams of accesses, profiles, lines, saved states. It panics when one of its rules is broken.
//! Who makes the bytes is another matter: libFuzzer (`client-tests/fuzz`), the program `fuzz` with
//! the [`Mutator`] of this module, or the files that are kept and played again by `tests/fuzz.rs`.
//!
//! | target | input | rules |
//! |---|---|---|
//! | [`decoder`] | a stream of messages | cut in any way it gives the same messages; what is refused is stepped over whole; what parses is packed again as it was |
//! | [`session`] | clients' messages, descriptors, lines and time | replies match requests; sent whole or in pieces gives the same; references and descriptors come back |
//! | [`config`] | accesses to config space, resets, power | read-only bits stay; split accesses are whole ones; references come back |
//! | [`model`] | accesses to registers of device models, and all that happens around them | a function that was saved and restored lives on as the one that was not |
//! | [`profile`] | profiles and overrides | refused with a place and a reason, or made into the device it describes |
//! | [`control`] | lines of the control socket | one reply each, of one of two forms |
//! | [`restore`] | saved states | refused without a trace, or saved again as they were |

pub mod config;
pub mod control;
pub mod decoder;
pub mod dictionary;
pub mod files;
pub mod input;
pub mod model;
pub mod mutate;
pub mod profile;
pub mod restore;
pub mod session;
pub mod subject;

pub use mutate::Mutator;

/// Something that takes bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its module and of its folder of files.
    pub name: &'static str,
    /// Panics if a rule is broken.
    pub run: fn(&[u8]),
    /// The longest input that makes sense.
    pub longest: usize,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "decoder",
        run: decoder::run,
        longest: 1024,
    },
    Target {
        name: "session",
        run: session::run,
        longest: 512,
    },
    Target {
        name: "config",
        run: config::run,
        longest: 256,
    },
    Target {
        name: "model",
        run: model::run,
        longest: 1024,
    },
    Target {
        name: "profile",
        run: profile::run,
        longest: 2048,
    },
    Target {
        name: "control",
        run: control::run,
        longest: 1024,
    },
    Target {
        name: "restore",
        run: restore::run,
        longest: 256,
    },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
