//! Validates a `serve` command line and plans the server, before anything is opened.

mod slot;

use std::collections::HashSet;
use std::fs;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::listen::Access;
use crate::sandbox::Sandbox;
use crate::settings::{PollMode, Settings};
use pci_device_models::model::Registry;

use crate::cli::args::{ClockKind, Poll, ServeArguments};
use crate::cli::failure::Failure;
use crate::cli::function::Spec;
use slot::Draft;
pub use slot::{Place, PlannedController, PlannedFunction, PlannedSlot};

/// Sockets that the service manager passed, with their names; a function removes those it uses.
type Activated = Vec<(RawFd, String)>;

/// A server to start.
pub struct Plan {
    pub settings: Settings,
    pub access: Access,
    /// Sandbox that the server enters before it serves.
    pub sandbox: Sandbox,
    pub slots: Vec<PlannedSlot>,
    /// The platform controller.
    pub controller: Option<PlannedController>,
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
        let drafts = slot::drafts(specs, registry)?;
        let single = drafts.iter().map(Draft::len).sum::<usize>() == 1;
        let mut names = Vec::new();
        let mut plan = |draft: Draft| draft.plan(single, &mut names, &mut activated, registry);
        let slots = drafts.into_iter().map(&mut plan);
        let mut slots = slots.collect::<Result<Vec<_>, _>>()?;
        if let Some(effect) = arguments.rail_as {
            slots
                .iter_mut()
                .for_each(|slot| slot.devices.set_rail_as(effect.into()));
        }
        let controller = PlannedController::plan(arguments, &mut activated)?;
        if let Some((number, name)) = activated.first() {
            return Err(Failure::Usage(format!(
                "no function uses descriptor {number} of the service manager, named '{name}'; name \
                 a device socket NAME, a control socket NAME.ctl, a rail socket NAME.rail, where \
                 NAME is a function or its slot, and those of a platform controller controller and \
                 controller.ctl"
            )));
        }
        refuse_doubles(&slots, controller.as_ref())?;
        let access = access(arguments)?;
        let is_bound = |place: &Place| matches!(place, Place::Path(_));
        let bound = controller
            .iter()
            .flat_map(PlannedController::places)
            .all(is_bound)
            && slots.iter().flat_map(PlannedSlot::places).all(is_bound);
        let private = bound && access.mode & 0o077 == 0;
        let guard = &arguments.guard;
        let sandbox = guard.sandbox()?;
        Ok(Self {
            settings: guard.limit(&sandbox, private, settings(arguments)),
            access,
            sandbox,
            slots,
            controller,
        })
    }
}

fn refuse_doubles(
    slots: &[PlannedSlot],
    controller: Option<&PlannedController>,
) -> Result<(), Failure> {
    let mut names = HashSet::new();
    for slot in slots {
        for function in &slot.functions {
            if !names.insert(&function.name) {
                return Err(Failure::Usage(format!(
                    "two functions are named {}; give each function a unique name",
                    function.name
                )));
            }
        }
    }
    let of_slots = slots.iter().flat_map(PlannedSlot::places);
    let of_controller = controller.into_iter().flat_map(PlannedController::places);
    let mut places = HashSet::new();
    for place in of_slots.chain(of_controller) {
        if !places.insert(place.to_string()) {
            return Err(Failure::Usage(format!(
                "{place} is given twice; every socket needs its own path or descriptor"
            )));
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
