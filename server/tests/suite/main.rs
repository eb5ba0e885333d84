//! The server through its public API and its program.

mod cli;
mod client;
mod in_process;
mod sandbox;
