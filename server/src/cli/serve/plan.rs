//! Validates a `serve` command line and plans the server, before anything is opened.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ClientMemory;
use crate::clock::Clock;
use crate::listen::Access;
use crate::sandbox::Sandbox;
use crate::settings::{PollMode, Settings};
use pci_device_models::host::DeviceSet;
use pci_device_models::model::Registry;
use pci_device_models::model::backend::BackendKind;
use pci_device_models::profile::BackendPlace;

use crate::cli::args::{ClockKind, Poll, ServeArguments};
use crate::cli::failure::Failure;
use crate::cli::function::{Socket, Spec};
use crate::cli::{paths, profiles};

const DEFAULT_PROFILE: &str = "testdev";

/// Sockets that the service manager passed, with their names; a function removes those it uses.
type Activated = Vec<(RawFd, String)>;

/// A server to start.
pub struct Plan {
    pub settings: Settings,
    pub access: Access,
    /// Sandbox that the server enters before it serves.
    pub sandbox: Sandbox,
    pub functions: Vec<PlannedFunction>,
}

/// A function to serve.
pub struct PlannedFunction {
    pub name: String,
    /// The function in a slot of its own.
    pub devices: DeviceSet,
    /// The kind of back end that the model has, and where it leads.
    pub backend: Option<(BackendKind, BackendPlace)>,
    pub client_memory: ClientMemory,
    /// Socket for its clients.
    pub socket: Place,
    pub control: Option<Place>,
    /// Socket through which firmware switches the slot's power.
    pub rail: Option<Place>,
    /// Saved state to start from.
    pub restore: Option<PathBuf>,
    /// The sockets are at their default paths, as the command line names none.
    pub by_default: bool,
}

/// Origin of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path to bind.
    Path(PathBuf),
    /// An open descriptor.
    Fd(RawFd),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Fd(number) => write!(f, "descriptor {number}"),
        }
    }
}

impl From<Socket> for Place {
    fn from(socket: Socket) -> Self {
        match socket {
            Socket::Path(path) => Self::Path(path),
            Socket::Fd(number) => Self::Fd(number),
        }
    }
}

impl Plan {
    pub fn new(
        arguments: &ServeArguments,
        mut activated: Activated,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let specs = if arguments.function.is_empty() {
            vec![Spec::from(arguments)]
        } else {
            arguments.function.clone()
        };
        let single = specs.len() == 1;
        let mut functions: Vec<PlannedFunction> = Vec::new();
        for spec in specs {
            let name = spec.name.clone();
            let mut function = PlannedFunction::new(spec, single, &mut activated, registry)?;
            if name.is_none() {
                let taken = |name: &str| functions.iter().any(|other| other.name == name);
                function.name = first_free(&function.name, taken);
            }
            functions.push(function);
        }
        if let Some((number, name)) = activated.first() {
            return Err(Failure::Usage(format!(
                "no function uses descriptor {number} of the service manager, named '{name}'; name \
                 a device socket NAME, a control socket NAME.ctl, a rail socket NAME.rail, where \
                 NAME is a function"
            )));
        }
        refuse_doubles(&functions)?;
        let access = access(arguments)?;
        let places = || functions.iter().flat_map(PlannedFunction::places);
        let bound = places().all(|place| matches!(place, Place::Path(_)));
        let private = bound && access.mode & 0o077 == 0;
        let guard = &arguments.guard;
        let sandbox = guard.sandbox()?;
        Ok(Self {
            settings: guard.limit(&sandbox, private, settings(arguments)),
            access,
            sandbox,
            functions,
        })
    }
}

impl PlannedFunction {
    fn new(
        spec: Spec,
        single: bool,
        activated: &mut Activated,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let Spec {
            profile,
            name,
            socket,
            ctl_path,
            rail_path,
            restore,
            set,
        } = spec;
        let profile = profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        let profile = profiles::find(profile, &set, registry)?;
        let name = name.unwrap_or_else(|| profile.name().to_owned());
        check_name(&name)?;

        let mut beside = |path: Option<PathBuf>, kind: &str| {
            let named = format!("{name}.{kind}");
            let passed = || take(activated, |n| n == named || (single && n == kind));
            path.map(Place::Path).or_else(passed)
        };
        let control = beside(ctl_path, "ctl");
        let rail = beside(rail_path, "rail");
        let passed_device = match socket {
            Some(_) => None,
            None => take(activated, |n| n == name || single),
        };
        let socket = socket.map(Place::from).or(passed_device);
        let by_default = socket.is_none();
        Ok(Self {
            devices: profile.device_set(registry)?,
            backend: profile.backend(registry)?,
            client_memory: profile.client_memory(),
            socket: socket.unwrap_or_else(|| Place::Path(paths::socket(&name))),
            control: control.or_else(|| by_default.then(|| Place::Path(paths::control(&name)))),
            rail,
            restore,
            by_default,
            name,
        })
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        let beside = [&self.control, &self.rail];
        std::iter::once(&self.socket).chain(beside.into_iter().flatten())
    }
}

/// Removes and returns the first passed socket whose name fits.
fn take(activated: &mut Activated, fits: impl Fn(&str) -> bool) -> Option<Place> {
    let position = activated.iter().position(|(_, name)| fits(name))?;
    Some(Place::Fd(activated.remove(position).0))
}

/// Validates a name, which becomes part of paths and log lines.
fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "'{name}' is not a valid function name; use letters, digits, dots, - and _"
    )))
}

/// Returns the name, or the name with the first suffix from `-2` on that makes it unique.
fn first_free(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken(name))
        .unwrap_or_else(|| name.to_owned())
}

fn refuse_doubles(functions: &[PlannedFunction]) -> Result<(), Failure> {
    let mut names = HashSet::new();
    let mut places = HashSet::new();
    for function in functions {
        if !names.insert(&function.name) {
            return Err(Failure::Usage(format!(
                "two functions are named {}; give each function a unique name",
                function.name
            )));
        }
        for place in function.places() {
            if !places.insert(place.to_string()) {
                return Err(Failure::Usage(format!(
                    "{place} is given twice; every socket needs its own path or descriptor"
                )));
            }
        }
    }
    Ok(())
}

fn settings(arguments: &ServeArguments) -> Settings {
    let defaults = Settings::default();
    Settings {
        poll: match arguments.poll_us {
            None => defaults.poll,
            Some(Poll::Auto) => PollMode::Auto,
            Some(Poll::Off) => PollMode::Off,
            Some(Poll::AtMost(micros)) => PollMode::Max(micros),
        },
        clock: match arguments.clock {
            Some(ClockKind::Manual) => Clock::manual(),
            Some(ClockKind::Monotonic) => Clock::monotonic(),
            None => defaults.clock,
        },
        once: arguments.once,
        max_dma_maps: arguments.max_dma_maps.unwrap_or(defaults.max_dma_maps),
        dma_timeout: arguments
            .dma_timeout
            .map_or(defaults.dma_timeout, Duration::from),
        ..defaults
    }
}

fn access(arguments: &ServeArguments) -> Result<Access, Failure> {
    let defaults = Access::default();
    let group = arguments
        .socket_group
        .as_deref()
        .map(group_id)
        .transpose()?;
    Ok(Access {
        mode: arguments.socket_mode.unwrap_or(defaults.mode),
        group,
    })
}

/// Returns the id of a group given by number or by its name in `/etc/group`.
fn group_id(group: &str) -> Result<u32, Failure> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let groups = fs::read_to_string(Path::new("/etc/group")).unwrap_or_default();
    find_group(&groups, group).ok_or_else(|| {
        Failure::Usage(format!(
            "there is no group '{group}' in /etc/group; give its number"
        ))
    })
}

fn find_group(groups: &str, wanted: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests;
