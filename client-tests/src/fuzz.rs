//! Fuzzing of the server's inputs, and the rules that hold for every input.
//!
//! A [`Target`] makes of bytes something that gets past the first checks: messages, streams of
//! accesses, profiles, lines, saved states. It panics when one of its rules is broken. The bytes
//! come from libFuzzer (`client-tests/fuzz`), from the program `fuzz` with the [`Mutator`] of this
//! module, or from the kept files that `tests/fuzz.rs` plays again.
//!
//! | target | input | rules |
//! |---|---|---|
//! | [`decoder`] | a stream of messages | cut in any way it gives the same messages; a refused message is skipped whole; a parsed message packs to the same bytes |
//! | [`session`] | clients' messages, descriptors, lines and time | replies match requests; sent whole or in pieces gives the same; references and descriptors come back |
//! | [`config`] | accesses to config space, resets, power | read-only bits stay; split accesses are whole ones; references come back |
//! | [`model`] | accesses to registers of device models, and events around them | a function that was saved and restored behaves like one that was not |
//! | [`profile`] | profiles and overrides | refused with a place and a reason, or made into the device that they describe |
//! | [`control`] | lines of the control socket | one reply each, of one of two forms |
//! | [`restore`] | saved states | refused without a change, or saved again unchanged |

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

/// A target of fuzzing, which takes bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target, its module and its folder of files.
    pub name: &'static str,
    /// Function that runs an input and panics if a rule is broken.
    pub run: fn(&[u8]),
    /// Length in bytes of the longest useful input.
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

/// Returns the target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
