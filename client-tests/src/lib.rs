//! Clients that test the server from outside: through its socket, its control socket and its public
//! API.
//!
//! | module | content |
//! |---|---|
//! | [`raw`] | a vfio-user client that packs its own bytes, well-formed or not |
//! | [`os`] | eventfds and client memory, created as a client does |
//! | [`testdev`] | a driver of the test function |
//! | [`migration`] | migration as a client drives it, and two servers to move a function between |
//! | [`control`] | a client of the control socket |
//! | [`daemon`] | a server on a thread of this process, with a clock that tests advance |
//! | [`beside`] | the daemon's program, as programs of this crate find it |
//! | [`outside`] | Cargo projects outside this repository that use its crates |
//! | [`fuzz`] | generated inputs of all kinds, and the rules for each |
//! | [`conformance`] | checks of any server against the rules of the protocol |
//! | [`costs`] | the dearest inputs of each kind, and the harm that they do to others |
//! | [`soak`] | a daemon under all loads at once, and the counts of a checker |
//! | [`table`] | behaviour tables: rows of plain words and steps, their runner and their page |
#![forbid(unsafe_code)]

pub mod beside;
pub mod conformance;
pub mod control;
pub mod costs;
pub mod daemon;
pub mod fuzz;
pub mod migration;
pub mod os;
pub mod outside;
pub mod raw;
pub mod soak;
pub mod table;
pub mod testdev;
