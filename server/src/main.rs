//! `dormouse`: PCI functions that really sleep, behind a UNIX socket.

use std::process::ExitCode;

use dormouse::cli;
use pci_device_models::model::Registry;

fn main() -> ExitCode {
    cli::run(Registry::builtin(), std::env::args_os())
}
