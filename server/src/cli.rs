//! The command line, in two steps: the arguments as written ([`args`]), then, per subcommand, what
//! they mean. Only the second step looks at files and sockets.

mod args;
mod config_space;
mod ctl;
mod demo;

mod failure;
mod function;
mod guard;
mod paths;
mod profiles;
mod render;
mod serve;
mod ssdt;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use dormouse::logging;
use dormouse::manifest::Manifest;

use args::{Arguments, Command};
use failure::Failure;

/// Does what the command line says. What comes back is the exit code; see the help text.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    // Management software asks before it knows which other arguments are understood.
    let result = if arguments.iter().any(|a| a == args::PRINT_CAPABILITIES) {
        print_capabilities()
    } else {
        match Arguments::try_parse_from(arguments) {
            Ok(arguments) => dispatch(arguments),
            Err(error) => return usage(&error),
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody hears it, the exit code still tells.
            writeln!(io::stderr(), "dormouse: {failure}").ok();
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { command, log, .. } = arguments;
    let command = command.unwrap_or_default();
    logging::init(log.level(command.log_level()), log.log_format)
        .map_err(|error| Failure::Usage(format!("RUST_LOG is wrong: {error}")))?;
    match command {
        Command::Serve(serve) => serve::run(&serve),
        Command::Profiles { command } => profiles::run(command.as_ref()),
        Command::Check { file } => profiles::check(&file),
        Command::ConfigSpace { profile, set } => config_space::run(&profile, &set),
        Command::Ssdt(arguments) => ssdt::run(&arguments),
        Command::Demo => demo::run(),
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

fn print_capabilities() -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(&Manifest::new()).context("writing JSON")?;
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
