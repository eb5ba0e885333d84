//! The command line's arguments and their help. Parsing has no effects.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use crate::control::Span;
use crate::control::Verb;
use crate::ssdt::{DevicePath, SlotSpec};
use clap::builder::styling::Styles;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use pci_device_models::fault::Fault;
use pci_device_models::host::RailAs;
use tracing_subscriber::filter::LevelFilter;

use super::function::Spec;
use super::guard::GuardArguments;
use super::logging::Format;

/// The option that is handled before anything else is parsed.
pub const PRINT_CAPABILITIES: &str = "--print-capabilities";

const EXIT_CODES: &str = "\
Exit codes:
  0  success, or stopped by SIGTERM, SIGINT or the control socket
  1  failure at run time
  2  invalid command line
  3  invalid profile
  4  a socket cannot be opened or reached";

/// Serve PCI functions with real power management over vfio-user
///
/// Without a command, serves the built-in profile testdev on a socket in $XDG_RUNTIME_DIR (if unset:
/// in the current folder) and prints the QEMU option and the `dormouse ctl` command to copy.
#[derive(Debug, Parser)]
#[command(name = "dormouse", version, after_help = EXIT_CODES, styles = Styles::plain())]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub log: LogArguments,
    /// Print the features, verbs and profiles of this program as JSON and exit
    #[arg(long = "print-capabilities")]
    print_capabilities: bool,
}

#[derive(Debug, Args)]
pub struct LogArguments {
    /// Maximum log level; RUST_LOG overrides it [default: info, error for demo]
    #[arg(long, global = true, value_name = "LEVEL")]
    #[arg(value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    log_level: Option<String>,
    /// Increase the log level: -v debug, -vv trace
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "log_level")]
    verbose: u8,
    /// Format of log lines on standard error
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
    /// Returns the level that the arguments set, or `default`.
    pub fn level(&self, default: LevelFilter) -> LevelFilter {
        // clap has validated the names.
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
    /// Serve one or more functions until a signal, the verb `shutdown` or --once ends the server
    #[command(after_help = EXIT_CODES)]
    Serve(Box<ServeArguments>),
    /// List the built-in profiles
    Profiles {
        #[command(subcommand)]
        command: Option<ProfilesCommand>,
    },
    /// Validate a profile; exit with 3 and print file, line and remedy if it is invalid
    Check {
        /// Profile to validate (TOML)
        file: PathBuf,
    },
    /// Print the config space of a profile as hex; decode it with `lspci -F /dev/stdin -vvv`
    ConfigSpace {
        /// Built-in profile or path of a TOML file
        #[arg(value_name = "NAME|FILE")]
        profile: String,
        /// Override a key of the profile, such as identity.device-id=0x1234; repeatable
        #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
        set: Vec<Setting>,
    },
    /// Write the ACPI table through which a guest switches the slot's power, for QEMU's `-acpitable`
    ///
    /// With --controller and --slot, the table uses the controller of `dormouse serve
    /// --controller-path`, which also wakes the guest. With --path, the table gives the device a power
    /// resource whose methods write N (on) and F (off) to an I/O port; QEMU forwards these bytes to the
    /// socket of `dormouse serve --rail-path`.
    Ssdt(SsdtArguments),
    /// Run testdev through D0, D3hot and D3cold with a built-in client and print what happens
    Demo {
        /// Take a graphics card with its audio function to D3cold and back instead
        #[arg(long)]
        card: bool,
    },
    /// Send a verb to the control socket of a running server and print the answer
    #[command(disable_help_subcommand = true)]
    Ctl(CtlArguments),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(Box::default())
    }
}

impl Command {
    /// Returns the log level without --log-level and -v.
    pub const fn log_level(&self) -> LevelFilter {
        match self {
            // The demo provokes errors on purpose; warnings about them would hide its table.
            Self::Demo { .. } => LevelFilter::ERROR,
            _ => LevelFilter::INFO,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ProfilesCommand {
    /// Print the TOML of a built-in profile
    Show {
        /// Name of the built-in profile
        name: String,
    },
}

#[derive(Debug, Default, Args)]
pub struct ServeArguments {
    /// Built-in profile or path of a TOML file [default: testdev]
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// Socket to listen on for vfio-user clients; %n is the number of the function of a card
    /// [default: dormouse-NAME.sock in $XDG_RUNTIME_DIR, else in the current folder]
    #[arg(long, value_name = "PATH", conflicts_with = "fd")]
    pub socket_path: Option<PathBuf>,
    /// Inherited descriptor: a listening socket, or a connected one that serves a single client; for a
    /// card one for each function, in the order of their numbers
    #[arg(long, value_name = "N[,N...]", value_delimiter = ',')]
    pub fd: Vec<RawFd>,
    /// Control socket to listen on, for `dormouse ctl` [default: none, but
    /// dormouse-NAME-ctl.sock beside the default --socket-path]
    #[arg(long, value_name = "PATH")]
    pub ctl_path: Option<PathBuf>,
    /// Socket to listen on for the bytes with which firmware switches the slot's power: N on, F off
    /// [default: none]
    #[arg(long, value_name = "PATH")]
    pub rail_path: Option<PathBuf>,
    /// Socket to listen on for vfio-user clients of a platform controller, which switches the power
    /// of all slots and reports wake events [default: none]
    #[arg(long, value_name = "PATH", conflicts_with = "controller_fd")]
    pub controller_path: Option<PathBuf>,
    /// Inherited descriptor for vfio-user clients of a platform controller, in place of
    /// --controller-path
    #[arg(long, value_name = "N")]
    pub controller_fd: Option<RawFd>,
    /// Control socket of the platform controller, for `dormouse ctl` [default: none]
    #[arg(long, value_name = "PATH")]
    pub controller_ctl_path: Option<PathBuf>,
    /// Start the platform controller from a state that `dormouse ctl save` wrote at its control socket;
    /// the power of the slots follows it
    #[arg(long, value_name = "FILE")]
    pub controller_restore: Option<PathBuf>,
    /// Effect of firmware that switches a slot's power, for all slots: main power, or low power of its
    /// functions on behalf of the client, without or with re-entry
    /// [default: platform.rail-as of the profile, power]
    #[arg(long, value_enum, value_name = "EFFECT")]
    pub rail_as: Option<RailEffect>,
    /// Override a key of the profile, such as identity.device-id=0x1234; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<Setting>,
    /// Set a fault: when=OCCASION,what=FAILURE[,name=NAME], such as
    /// 'when=reset flr,what=not-ready 300ms'; of a card it is function 0's; repeatable
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<Fault>,
    /// Start from a device state that `dormouse ctl save` wrote
    #[arg(long, value_name = "FILE")]
    pub restore: Option<PathBuf>,
    /// Serve a function; repeat the option to serve several functions in one process
    ///
    /// SPEC is a comma-separated list of KEY=VALUE. Write a comma inside a value as two commas. Keys:
    /// profile, name, slot, number, socket-path or fd, ctl-path, rail-path, restore, fault, and set:KEY to override KEY of
    /// the profile. Functions with the same slot=NAME share a slot; number=N is the number of each there.
    #[arg(
        long,
        value_name = "SPEC",
        conflicts_with_all = [
            "profile", "socket_path", "fd", "ctl_path", "rail_path", "set", "restore", "fault"
        ]
    )]
    pub function: Vec<Spec>,
    /// Exit after every function has served its first client; no function accepts a second one
    #[arg(long)]
    pub once: bool,
    /// Busy-poll for the next request for up to MAX microseconds before sleeping; auto is 100, off
    /// never polls [default: auto]
    ///
    /// The server polls only while polling pays off, so the option is safe on a shared CPU.
    #[arg(long, value_name = "MAX|off|auto")]
    pub poll_us: Option<Poll>,
    /// Clock of all functions: monotonic, or manual, which only `dormouse ctl clock advance` moves
    /// [default: monotonic]
    #[arg(long, value_enum)]
    pub clock: Option<ClockKind>,
    /// Permission bits of the sockets, 0 to 0777 [default: 0600]
    #[arg(long, value_name = "OCTAL", value_parser = octal_mode)]
    pub socket_mode: Option<u32>,
    /// Group of the sockets, by name or number [default: that of the process]
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Maximum DMA mappings of all clients of a function together; one more fails with ENOSPC
    /// [default: 262144]
    #[arg(long, value_name = "N")]
    pub max_dma_maps: Option<usize>,
    /// Time after which a transfer fails whose DMA_READ or DMA_WRITE the client does not answer, such
    /// as 500ms [default: 5s]
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
pub enum RailEffect {
    Power,
    LowPower,
    LowPowerReentry,
}

impl From<RailEffect> for RailAs {
    fn from(effect: RailEffect) -> Self {
        match effect {
            RailEffect::Power => Self::Power,
            RailEffect::LowPower => Self::LowPower,
            RailEffect::LowPowerReentry => Self::LowPowerReentry,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClockKind {
    Monotonic,
    Manual,
}

/// A `KEY=VALUE` of `--set`.
pub type Setting = (String, String);

fn setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as identity.device-id=0x1234".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct CtlArguments {
    /// Control socket of the server
    /// [default: dormouse-testdev-ctl.sock in $XDG_RUNTIME_DIR, else in the current folder]
    #[arg(long, global = true, value_name = "PATH")]
    pub ctl_path: Option<PathBuf>,
    /// Print replies and events as JSON, one per line
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Args)]
pub struct SsdtArguments {
    /// Path of the device in the ACPI namespace, such as \_SB.PCI0.S08.S00, whose power resource writes
    /// letters to an I/O port
    #[arg(
        long,
        required_unless_present = "controller",
        conflicts_with = "controller"
    )]
    pub path: Option<DevicePath>,
    /// I/O port to which the power resource writes, 0 to 0xffff
    #[arg(long, value_name = "PORT", value_parser = io_port, default_value = "0x403")]
    pub port: u16,
    /// Path of the platform controller in the ACPI namespace, such as \_SB.PCI0.S28
    #[arg(long, value_name = "PATH", requires = "slot")]
    pub controller: Option<DevicePath>,
    /// Slot that the controller serves, and the port above it, such as gpu=\_SB.PCI0.S08, or
    /// gpu=\_SB.PCI0.S08:0,1 for two functions; repeatable
    #[arg(long, value_name = "NAME=PATH[:N,...]", requires = "controller")]
    pub slot: Vec<SlotSpec>,
    /// Interrupt of the controller [default: that of pin A at its place on q35's root bus]
    #[arg(long, value_name = "N", requires = "controller")]
    pub gsi: Option<u32>,
    /// Milliseconds that _ON waits for the function to be ready, 0 to 10000
    #[arg(long, value_name = "MS", default_value_t = 120)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub on_delay: u32,
    /// File to write; - is standard output
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
            (false, ["ssdt", "--controller=\\_SB.S28", "-o-"]),
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
