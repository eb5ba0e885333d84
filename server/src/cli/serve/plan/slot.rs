//! The slots to serve, with their functions.

use std::fmt;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use pci_device_models::fault::Fault;
use pci_device_models::host::DeviceSet;
use pci_device_models::model::Registry;
use pci_device_models::model::backend::BackendKind;
use pci_device_models::profile::{BackendPlace, Card, Profile};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

use super::Activated;
use crate::ClientMemory;
use crate::cli::args::ServeArguments;
use crate::cli::failure::Failure;
use crate::cli::function::{Socket, Spec};
use crate::cli::{paths, profiles};

const DEFAULT_PROFILE: &str = "testdev";

/// Names of passed sockets of the platform controller.
pub(super) const CONTROLLER: &str = "controller";
pub(super) const CONTROLLER_CTL: &str = "controller.ctl";

/// A slot to serve.
pub struct PlannedSlot {
    /// The name by which a platform controller knows it.
    pub name: String,
    pub devices: DeviceSet,
    /// The functions in the order of their numbers.
    pub functions: Vec<PlannedFunction>,
    /// Socket through which firmware switches the slot's power.
    pub rail: Option<Place>,
    /// Saved state to start from.
    pub restore: Option<PathBuf>,
}

/// A function to serve.
pub struct PlannedFunction {
    pub number: FunctionNumber,
    pub name: String,
    /// The kind of back end that the model has, and where it leads.
    pub backend: Option<(BackendKind, BackendPlace)>,
    pub client_memory: ClientMemory,
    /// Socket for its clients.
    pub socket: Place,
    pub control: Option<Place>,
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

/// The platform controller.
#[derive(Debug)]
pub struct PlannedController {
    /// Socket for its clients.
    pub socket: Place,
    pub control: Option<Place>,
    /// Saved state to start from.
    pub restore: Option<PathBuf>,
}

impl PlannedController {
    /// Plans the controller of the command line, or that of passed sockets.
    pub(super) fn plan(
        arguments: &ServeArguments,
        activated: &mut Activated,
    ) -> Result<Option<Self>, Failure> {
        let path = arguments.controller_path.clone().map(Place::Path);
        let socket = path.or(arguments.controller_fd.map(Place::Fd));
        let socket = socket.or_else(|| take(activated, |n| n == CONTROLLER));
        let Some(socket) = socket else {
            for (given, option) in [
                (&arguments.controller_ctl_path, "--controller-ctl-path"),
                (&arguments.controller_restore, "--controller-restore"),
            ] {
                if given.is_some() {
                    return Err(Failure::Usage(format!(
                        "{option} needs a controller; add --controller-path PATH"
                    )));
                }
            }
            return Ok(None);
        };
        let control = arguments.controller_ctl_path.clone().map(Place::Path);
        Ok(Some(Self {
            socket,
            control: control.or_else(|| take(activated, |n| n == CONTROLLER_CTL)),
            restore: arguments.controller_restore.clone(),
        }))
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        std::iter::once(&self.socket).chain(&self.control)
    }
}

/// A slot with its profiles read, before its sockets are found.
pub(super) struct Draft {
    /// The name of the slot's own sockets.
    name: String,
    card: Card,
    functions: Vec<DraftFunction>,
    rail: Option<PathBuf>,
    restore: Option<PathBuf>,
}

/// A function of a [`Draft`].
struct DraftFunction {
    number: FunctionNumber,
    name: String,
    /// The command line gave the name.
    named: bool,
    socket: Option<Place>,
    control: Option<PathBuf>,
    faults: Vec<Fault>,
}

/// Reads the profiles of all functions and puts those that share a slot together, in the order of their
/// first functions.
pub(super) fn drafts(specs: Vec<Spec>, registry: &Registry) -> Result<Vec<Draft>, Failure> {
    let mut groups: Vec<Vec<Spec>> = Vec::new();
    for spec in specs {
        let shares = |group: &&mut Vec<Spec>| {
            let first = group.first();
            spec.slot.is_some() && first.is_some_and(|first| first.slot == spec.slot)
        };
        match groups.iter_mut().find(shares) {
            Some(group) => group.push(spec),
            None => groups.push(vec![spec]),
        }
    }
    let draft = |mut group: Vec<Spec>| match (
        group.first().and_then(|spec| spec.slot.clone()),
        group.pop(),
    ) {
        (None, Some(spec)) => Ok(Some(Draft::of_profile(spec, registry)?)),
        (Some(slot), Some(last)) => {
            group.push(last);
            Ok(Some(Draft::of_functions(&slot, group, registry)?))
        }
        (_, None) => Ok(None),
    };
    groups
        .into_iter()
        .filter_map(|group| draft(group).transpose())
        .collect()
}

impl Draft {
    /// Plans the slot of a profile, which may be a card.
    fn of_profile(spec: Spec, registry: &Registry) -> Result<Self, Failure> {
        let profile = spec.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        let card = profiles::find(profile, &spec.set, registry)?;
        let several = card.single().is_none();
        let name = spec.name.clone().unwrap_or_else(|| card.name().to_owned());
        if several {
            refuse_shared_sockets(&spec, &name)?;
        }
        if let Some(Socket::Fds(fds)) = &spec.socket {
            check_descriptors(fds, card.functions().count(), &name)?;
        }
        let function = |(place, (number, _)): (usize, (FunctionNumber, &Profile))| DraftFunction {
            number,
            name: if several {
                format!("{name}.{number}")
            } else {
                name.clone()
            },
            named: spec.name.is_some(),
            socket: spec.socket.as_ref().and_then(|socket| match socket {
                Socket::Path(path) => Some(Place::Path(paths::numbered(path, number))),
                Socket::Fds(fds) => fds.get(place).copied().map(Place::Fd),
            }),
            control: spec
                .ctl_path
                .as_ref()
                .map(|path| paths::numbered(path, number)),
            faults: if number == FunctionNumber::ZERO {
                spec.faults.clone()
            } else {
                Vec::new()
            },
        };
        Ok(Self {
            functions: card.functions().enumerate().map(function).collect(),
            name,
            card,
            rail: spec.rail_path,
            restore: spec.restore,
        })
    }

    /// Plans a slot of functions with profiles of their own.
    fn of_functions(slot: &str, specs: Vec<Spec>, registry: &Registry) -> Result<Self, Failure> {
        check_name(slot, "slot")?;
        let mut members = Vec::new();
        let mut functions = Vec::new();
        let (mut rail, mut restore) = (None, None);
        for spec in specs {
            let profile = spec.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
            let card = profiles::find(profile, &spec.set, registry)?;
            let Some(profile) = card.single() else {
                return Err(Failure::Usage(format!(
                    "{profile} is a card, which has a slot of its own; remove slot={slot}"
                )));
            };
            let number = match (spec.number, members.is_empty()) {
                (Some(number), _) => number,
                (None, true) => FunctionNumber::ZERO,
                (None, false) => {
                    return Err(Failure::Usage(format!(
                        "slot {slot} has several functions; give each of them number=N"
                    )));
                }
            };
            for (given, kept, key) in [
                (spec.rail_path, &mut rail, "rail-path"),
                (spec.restore, &mut restore, "restore"),
            ] {
                if given.is_some() && kept.is_some() {
                    return Err(Failure::Usage(format!(
                        "slot {slot} has {key} twice, which is for all functions; give it once"
                    )));
                }
                *kept = kept.take().or(given);
            }
            let name = spec.name.clone();
            let name = name.unwrap_or_else(|| profile.name().to_owned());
            if let Some(Socket::Fds(fds)) = &spec.socket {
                check_descriptors(fds, 1, &name)?;
            }
            functions.push(DraftFunction {
                number,
                named: spec.name.is_some(),
                name,
                socket: spec.socket.as_ref().and_then(|socket| match socket {
                    Socket::Path(path) => Some(Place::Path(paths::numbered(path, number))),
                    Socket::Fds(fds) => fds.first().copied().map(Place::Fd),
                }),
                control: spec.ctl_path.map(|path| paths::numbered(&path, number)),
                faults: spec.faults,
            });
            members.push((number, profile.clone()));
        }
        functions.sort_by_key(|function| function.number);
        Ok(Self {
            name: slot.to_owned(),
            card: Card::assemble(slot, members)?,
            functions,
            rail,
            restore,
        })
    }

    /// Returns the number of functions.
    pub(super) fn len(&self) -> usize {
        self.functions.len()
    }

    /// Finds the sockets. `single`: nothing else is served, so that a passed socket needs no name.
    pub(super) fn plan(
        self,
        single: bool,
        taken: &mut Vec<String>,
        activated: &mut Activated,
        registry: &Registry,
    ) -> Result<PlannedSlot, Failure> {
        let mut devices = self.card.device_set(registry)?;
        for function in &self.functions {
            function.set_faults(&mut devices)?;
        }
        let its_function = |function: &DraftFunction| function.name == self.name;
        let of_function = self.functions.len() == 1 && self.functions.iter().all(its_function);
        let mut functions = Vec::new();
        for (function, (_, profile)) in self.functions.into_iter().zip(self.card.functions()) {
            let named = function.named;
            let mut planned = function.plan(single, profile, activated, registry)?;
            if !named {
                planned.name = first_free(&planned.name, |name| taken.iter().any(|n| n == name));
            }
            taken.push(planned.name.clone());
            functions.push(planned);
        }
        let rail = self.rail.map(Place::Path);
        let named = format!("{}.rail", self.name);
        let passed = || take(activated, |n| n == named || (single && n == "rail"));
        // A slot of one function goes by the name of the function.
        let first = functions.first().filter(|_| of_function);
        let name = match first {
            Some(function) => function.name.clone(),
            None => {
                let free = first_free(&self.name, |name| taken.iter().any(|n| n == name));
                taken.push(free.clone());
                free
            }
        };
        Ok(PlannedSlot {
            name,
            devices,
            functions,
            rail: rail.or_else(passed),
            restore: self.restore,
        })
    }
}

impl DraftFunction {
    /// Sets the faults of the command line.
    fn set_faults(&self, devices: &mut DeviceSet) -> Result<(), Failure> {
        let Some(mut device) = devices.device_mut(self.number) else {
            return Ok(());
        };
        for fault in &self.faults {
            let added = device.add_fault(Time::ZERO, fault.clone());
            added.map_err(|error| Failure::Usage(format!("{}: {error}", self.name)))?;
        }
        Ok(())
    }

    fn plan(
        self,
        single: bool,
        profile: &Profile,
        activated: &mut Activated,
        registry: &Registry,
    ) -> Result<PlannedFunction, Failure> {
        let Self {
            number,
            name,
            named: _,
            socket,
            control,
            faults: _,
        } = self;
        check_name(&name, "function")?;
        let named = format!("{name}.ctl");
        let passed = || take(activated, |n| n == named || (single && n == "ctl"));
        let controllers = |n: &str| [CONTROLLER, CONTROLLER_CTL].contains(&n);
        let control = control.map(Place::Path).or_else(passed);
        // A rail socket may follow, so its name does not fit a device.
        let rails = |n: &str| n == "rail" || n.ends_with(".rail");
        let passed_device = match socket {
            Some(_) => None,
            None => take(activated, |n| {
                n == name || (single && !rails(n) && !controllers(n))
            }),
        };
        let socket = socket.or(passed_device);
        let by_default = socket.is_none();
        Ok(PlannedFunction {
            number,
            backend: profile.backend(registry)?,
            client_memory: profile.client_memory(),
            socket: socket.unwrap_or_else(|| Place::Path(paths::socket(&name))),
            control: control.or_else(|| by_default.then(|| Place::Path(paths::control(&name)))),
            by_default,
            name,
        })
    }
}

impl PlannedSlot {
    /// Returns the names of the functions, for messages.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.functions.iter().map(|f| f.name.as_str()).collect();
        names.join(", ")
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let functions = self.functions.iter();
        let functions = functions.flat_map(|f| std::iter::once(&f.socket).chain(&f.control));
        functions.chain(&self.rail)
    }
}

/// Refuses sockets that several functions of a card would share.
fn refuse_shared_sockets(spec: &Spec, name: &str) -> Result<(), Failure> {
    let shared = |path: &Path| !paths::has_number(path);
    let problem = match (&spec.socket, &spec.ctl_path) {
        (Some(Socket::Path(path)), _) if shared(path) => format!(
            "--socket-path {} is one socket; write %n for the number of the function",
            path.display()
        ),
        (_, Some(path)) if shared(path) => format!(
            "--ctl-path {} is one socket; write %n for the number of the function",
            path.display()
        ),
        _ => return Ok(()),
    };
    Err(Failure::Usage(format!(
        "{name} is a card with several functions, each with sockets of its own: {problem}"
    )))
}

/// Refuses descriptors that are not as many as the functions.
fn check_descriptors(fds: &[RawFd], functions: usize, name: &str) -> Result<(), Failure> {
    if fds.len() == functions {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{name} has {functions} function(s), but {} descriptor(s) are given; give one for each, such \
         as --fd 3,4, or pass sockets that are named {name}.N",
        fds.len()
    )))
}

/// Removes and returns the first passed socket whose name fits.
pub(super) fn take(activated: &mut Activated, fits: impl Fn(&str) -> bool) -> Option<Place> {
    let position = activated.iter().position(|(_, name)| fits(name))?;
    Some(Place::Fd(activated.remove(position).0))
}

/// Validates a name, which becomes part of paths and log lines.
fn check_name(name: &str, of: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.is_empty() && name.chars().all(fits) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "'{name}' is not a valid {of} name; use letters, digits, dots, - and _"
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
