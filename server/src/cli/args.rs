//! The arguments as written. Parsing them has no effects.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use crate::control::Verb;
use crate::control::span::Span;
use crate::ssdt::DevicePath;
use clap::builder::styling::Styles;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::LevelFilter;

use super::function::Spec;
use super::guard::GuardArguments;
use super::logging::Format;

/// Looked for before anything else is parsed.
pub const PRINT_CAPABILITIES: &str = "--print-capabilities";

const EXIT_CODES: &str = "\
Exit codes:
  0  done, or ended by SIGTERM, SIGINT or the control socket
  1  failed while running
  2  wrong usage
  3  invalid profile
  4  socket unavailable";

/// Serves PCI functions that really sleep, over vfio-user.
///
/// Without a command, serves the built-in testdev on a socket in $XDG_RUNTIME_DIR (else in the
/// current folder) and prints the lines to copy.
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, after_help = EXIT_CODES, styles = Styles::plain())]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub log: LogArguments,
    /// Print what this program can do as JSON, whatever else is asked
    #[arg(long = "print-capabilities")]
    print_capabilities: bool,
}

#[derive(Debug, Args)]
pub struct LogArguments {
    /// Log messages up to this level; RUST_LOG wins
    #[arg(long, global = true, value_name = "LEVEL")]
    #[arg(value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    log_level: Option<String>,
    /// Log more: -v debug, -vv trace
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "log_level")]
    verbose: u8,
    /// Form of log lines on standard error
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub log_format: Format,
}

impl LogArguments {
    /// The level asked for, or `default`.
    pub fn level(&self, default: LevelFilter) -> LevelFilter {
        // The names have been checked.
        let named = self.log_level.as_deref().and_then(|name| name.parse().ok());
        named.unwrap_or(match self.verbose {
            0 => default,
            1 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve one function or several
    #[command(after_help = EXIT_CODES)]
    Serve(Box<ServeArguments>),
    /// List the built-in profiles
    Profiles {
        #[command(subcommand)]
        command: Option<ProfilesCommand>,
    },
    /// Check a profile: exit code 0, or 3 with what is wrong and where
    Check {
        /// Profile to check
        file: PathBuf,
    },
    /// Print the config space as hex, for `lspci -F /dev/stdin -vvv`
    ConfigSpace {
        /// Built-in profile or TOML file
        #[arg(value_name = "NAME|FILE")]
        profile: String,
        /// Change a key of the profile; repeatable
        #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
        set: Vec<Setting>,
    },
    /// Write the ACPI table that lets a guest cut the slot's power, for QEMU's `-acpitable`
    ///
    /// The table gives the device a power resource whose methods write N (on) and F (off) to an I/O
    /// port, from where QEMU carries them to `dormouse serve --rail-path`.
    Ssdt(SsdtArguments),
    /// Walk the built-in testdev through its power states, without a VMM
    Demo,
    /// Ask a running server, or tell it to do something
    #[command(disable_help_subcommand = true)]
    Ctl(CtlArguments),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(Box::default())
    }
}

impl Command {
    /// Log level if nobody asks for one.
    pub const fn log_level(&self) -> LevelFilter {
        match self {
            // A walk through all that a server refuses is no reason to warn.
            Self::Demo => LevelFilter::ERROR,
            _ => LevelFilter::INFO,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// Print a built-in profile
    Show {
        /// Built-in profile
        name: String,
    },
}

#[derive(Debug, Default, Args)]
pub struct ServeArguments {
    /// Built-in profile or TOML file [default: testdev]
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// Listen for vfio-user clients here
    #[arg(long, value_name = "PATH", conflicts_with = "fd")]
    pub socket_path: Option<PathBuf>,
    /// Use this open descriptor: a listening socket, or a connected one that is served once
    #[arg(long, value_name = "N")]
    pub fd: Option<RawFd>,
    /// Listen for `dormouse ctl` here
    #[arg(long, value_name = "PATH")]
    pub ctl_path: Option<PathBuf>,
    /// Listen here for the letters by which firmware switches the slot's power: N on, F off
    #[arg(long, value_name = "PATH")]
    pub rail_path: Option<PathBuf>,
    /// Change a key of the profile; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<Setting>,
    /// Start with the device as it was when this file was saved with `dormouse ctl save`
    #[arg(long, value_name = "FILE")]
    pub restore: Option<PathBuf>,
    /// Serve a function; repeat for several in one process
    ///
    /// SPEC is a list of KEY=VALUE with commas between; a comma in a value is written twice. Keys:
    /// profile, name, socket-path or fd, ctl-path, rail-path, restore, and set:KEY for each key of
    /// the profile to change.
    #[arg(
        long,
        value_name = "SPEC",
        conflicts_with_all = [
            "profile", "socket_path", "fd", "ctl_path", "rail_path", "set", "restore"
        ]
    )]
    pub function: Vec<Spec>,
    /// End when every function has had its client
    #[arg(long)]
    pub once: bool,
    /// How long to look for the next request before sleeping, in microseconds: at most MAX, never
    /// (off) or as the machine suggests (auto) [default: auto]
    #[arg(long, value_name = "MAX|off|auto")]
    pub poll_us: Option<Poll>,
    /// Whether time passes, or only when told through the control socket [default: monotonic]
    #[arg(long, value_enum)]
    pub clock: Option<ClockKind>,
    /// Permission bits of the sockets [default: 0600]
    #[arg(long, value_name = "OCTAL", value_parser = octal_mode)]
    pub socket_mode: Option<u32>,
    /// Group of the sockets: name or number
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Most DMA mappings that a client may have at a time
    #[arg(long, value_name = "N")]
    pub max_dma_maps: Option<usize>,
    /// How long a client may take to answer DMA_READ or DMA_WRITE before the transfer fails, such as
    /// 500ms [default: 5s]
    #[arg(long, value_name = "DURATION")]
    pub dma_timeout: Option<Span>,
    #[command(flatten)]
    pub guard: GuardArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    Auto,
    Off,
    AtMost(u32),
}

impl FromStr for Poll {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::Off),
            number => number
                .parse()
                .map(Self::AtMost)
                .map_err(|_| "write a number of microseconds, off or auto".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockKind {
    Monotonic,
    Manual,
}

/// One `KEY=VALUE` of `--set`, as profiles take it.
pub type Setting = (String, String);

fn setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as identity.device-id=0x1234".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct CtlArguments {
    /// Control socket of the server [default: that of plain `dormouse`]
    #[arg(long, global = true, value_name = "PATH")]
    pub ctl_path: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Args)]
pub struct SsdtArguments {
    /// Path of the device in the ACPI namespace, such as \_SB.PCI0.S08.S00
    #[arg(long)]
    pub path: DevicePath,
    /// I/O port that the letters go to
    #[arg(long, value_name = "PORT", value_parser = io_port, default_value = "0x403")]
    pub port: u16,
    /// File to write, - for standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

fn io_port(text: &str) -> Result<u16, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "write a port from 0 to 0xffff, such as 0x403".to_owned())
}

fn octal_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "write three octal digits, such as 0660".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use pci_device_models::model::Registry;

    use super::*;
    use crate::cli::manifest::Manifest;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_feature_in_the_manifest_exists() {
        let command = Arguments::command();
        let serve = command.find_subcommand("serve").unwrap();
        for feature in Manifest::new(&Registry::builtin()).features {
            let option = serve
                .get_arguments()
                .any(|arg| arg.get_long() == Some(feature));
            let subcommand = command.find_subcommand(feature).is_some();
            assert!(
                option || subcommand || *feature == "socket-activation",
                "{feature}"
            );
        }
    }

    #[test]
    fn options_with_a_form_are_checked() {
        for (good, arguments) in [
            (true, ["serve", "--poll-us", "50"]),
            (true, ["serve", "--poll-us", "off"]),
            (true, ["serve", "--poll-us", "auto"]),
            (false, ["serve", "--poll-us", "-1"]),
            (false, ["serve", "--poll-us", "some"]),
            (true, ["serve", "--socket-mode", "0660"]),
            (true, ["serve", "--socket-mode", "600"]),
            (false, ["serve", "--socket-mode", "1777"]),
            (false, ["serve", "--socket-mode", "0690"]),
            (true, ["serve", "--set", "a.b=c=d"]),
            (true, ["serve", "--set", "a.b="]),
            (false, ["serve", "--set", "a.b"]),
            (false, ["serve", "--set", "=b"]),
            (false, ["serve", "--clock", "sundial"]),
            (true, ["serve", "--dma-timeout", "1.5s"]),
            (false, ["serve", "--dma-timeout", "soon"]),
            (true, ["ssdt", "--path=\\_SB.PCI0.S08.S00", "-o-"]),
            (false, ["ssdt", "--path=\\_SB.PCI0.S08.S00", "--port=0x403"]),
            (false, ["ssdt", "--path=S00", "-o-"]),
            (true, ["ctl", "status", "--ctl-path=a"]),
            (true, ["ctl", "interrupt", "3"]),
            (false, ["ctl", "interrupt", "70000"]),
            (false, ["ctl", "rail", "up"]),
            (false, ["ctl", "--once", "status"]),
        ] {
            let line = ["dormouse"].into_iter().chain(arguments);
            let parsed = Arguments::try_parse_from(line);
            assert_eq!(parsed.is_ok(), good, "{arguments:?}");
        }
    }
}
