//! Clients that judge the server from outside: through its socket, its control socket and its
//! public API.
//!
//! | module | what it is |
//! |---|---|
//! | [`raw`] | a vfio-user client that packs its own bytes, well-formed or not |
//! | [`os`] | eventfds and client memory, as a client makes them |
//! | [`testdev`] | a driver of the test function |
//! | [`migration`] | migration as a client drives it, and two servers to move a function between |
//! | [`control`] | a client of the control socket |
//! | [`daemon`] | a server on a thread of this process, with a clock that tests turn |
//! | [`outside`] | Cargo projects outside this repository that use its crates |
//! | [`fuzz`] | inputs of all kinds, made up, and what has to hold for each |
//! | [`conformance`] | checks that judge any server by the rules of the protocol |
//! | [`soak`] | a daemon under everything at once, and a checker that counts |
//! | [`table`] | behaviour tables: rows of plain words and steps, their runner and their page |
#![forbid(unsafe_code)]

pub mod conformance;
pub mod control;
pub mod daemon;
pub mod fuzz;
pub mod migration;
pub mod os;
pub mod outside;
pub mod raw;
pub mod soak;
pub mod table;
pub mod testdev;
