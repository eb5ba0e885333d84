//! `dormouse`: PCI functions that really sleep, behind a UNIX socket.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
