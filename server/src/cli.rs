//! The command line, for programs that serve models of their own.
//!
//! [`run`] is the whole program `dormouse`, with the models and profiles of the [`Registry`] that it is
//! given.
//!
//! ```
//! use dormouse::cli;
//! use pci_device_models::model::{None, Registry};
//!
//! let mut registry = Registry::builtin();
//! registry.register("my-device", || Box::new(None));
//! # let arguments = ["my-dormouse", "profiles"];
//! # /*
//! let arguments = std::env::args_os();
//! # */
//! let code = cli::run(registry, arguments);
//! # assert_eq!(code, std::process::ExitCode::SUCCESS);
//! ```

// Two steps: `args` has the arguments as written; the module of each subcommand gives them their
// meaning. Only the second step accesses files and sockets.

mod args;
mod config_space;
mod ctl;
mod demo;

mod failure;
mod function;
mod guard;
mod logging;
mod manifest;
mod paths;
mod profiles;
mod render;
mod serve;
mod signals;
mod ssdt;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use args::{Arguments, Command};
use clap::Parser;
use failure::Failure;
use manifest::Manifest;
use pci_device_models::model::Registry;

/// Runs the command line `arguments`, the program's name first, and returns the exit code.
///
/// Profiles can name every model in `registry`, and its profiles are the built-in ones. The log goes to
/// standard error; a process has one log subscriber, which this sets.
pub fn run(registry: Registry, arguments: impl IntoIterator<Item: Into<OsString>>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    // Management software asks before it knows which other arguments are understood.
    let result = if arguments.iter().any(|a| a == args::PRINT_CAPABILITIES) {
        print_capabilities(&registry)
    } else {
        match Arguments::try_parse_from(arguments) {
            Ok(arguments) => dispatch(arguments, &registry),
            Err(error) => return usage(&error),
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The exit code still tells the failure if standard error is closed.
            writeln!(io::stderr(), "dormouse: {}", failure.text()).ok();
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments, registry: &Registry) -> Result<(), Failure> {
    let Arguments { command, log, .. } = arguments;
    let command = command.unwrap_or_default();
    logging::init(log.level(command.log_level()), log.log_format)
        .map_err(|error| Failure::Usage(format!("RUST_LOG is wrong: {error}")))?;
    match command {
        Command::Serve(serve) => serve::run(&serve, registry),
        Command::Profiles { command } => profiles::run(command.as_ref(), registry),
        Command::Check { file } => profiles::check(&file, registry),
        Command::ConfigSpace { profile, set } => config_space::run(&profile, &set, registry),
        Command::Ssdt(arguments) => ssdt::run(&arguments),
        Command::Demo { card } => demo::run(card),
        Command::Ctl(ctl) => ctl::run(ctl),
    }
}

/// Help and version go to standard output with code 0, mistakes to standard error with code 2.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match (error.use_stderr(), printed) {
        (true, _) => failure::USAGE.into(),
        (false, Err(error)) if error.kind() != ErrorKind::BrokenPipe => failure::RUNTIME.into(),
        (false, _) => ExitCode::SUCCESS,
    }
}

fn print_capabilities(registry: &Registry) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&Manifest::new(registry)).context("writing JSON")?;
    print(format!("{text}\n"))
}

/// Writes to standard output. A reader that has seen enough is no failure.
fn print(text: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(anyhow::Error::new(error)
            .context("writing to standard output")
            .into()),
        _ => Ok(()),
    }
}
