//! The verbs: one table for the wire, the `dormouse ctl` command line and their help.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::Clock;
use super::device::{Input, Interrupt, Intx, Pme, Withdraw};
use super::faults::{DeadAfterCold, FailReset, FailResume};
use super::host::{ControlAttribute, D3coldAllowed, HostAccess, Suspend, SuspendDelay};
use super::platform::{Rail, Reset, SlotPowerLimit};
use super::query::{Inspect, Status, Violations};
use super::session::{Help, Shutdown, Subscribe};
use super::state::{Restore, Save};
use super::{ControlContext, ControlError, Done};

/// A verb with its arguments.
///
/// On the wire the arguments are members of the request, on the command line they follow the verb
/// in the order of the fields, some as options.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Subcommand))]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// Power state, interrupts, counters, time in each state
    Status(Status),
    /// The whole state field by field, or the part at PATH
    Inspect(Inspect),
    /// What software did wrong
    Violations(Violations),
    /// Raise a power management event (PME)
    Pme(Pme),
    /// Assert or deassert the cause of INTx
    Intx(Intx),
    /// Raise an interrupt as the device would
    Interrupt(Interrupt),
    /// Drive an input of the device, one of its model's
    Input(Input),
    /// Take back an interrupt that has not gone out
    Withdraw(Withdraw),
    /// Switch the slot's main power
    Rail(Rail),
    /// Reset the function
    Reset(Reset),
    /// Send the slot's power limit to the function
    SlotPowerLimit(SlotPowerLimit),
    /// Read config space as a tool on the host does
    HostAccess(HostAccess),
    /// Write the host's `control` attribute: keep the device awake, or let it sleep
    Control(ControlAttribute),
    /// Write the host's `d3cold_allowed` attribute, which wakes the device
    D3coldAllowed(D3coldAllowed),
    /// Put the device to sleep now if nobody uses it
    Suspend(Suspend),
    /// Say when an unused device goes to sleep from now on
    SuspendDelay(SuspendDelay),
    /// Make the device fail to wake
    FailResume(FailResume),
    /// Make resets fail: somebody else holds the device
    FailReset(FailReset),
    /// Make the function stay silent once its power was off
    DeadAfterCold(DeadAfterCold),
    /// Save the device to FILE
    Save(Save),
    /// Make the device what it was when FILE was saved
    Restore(Restore),
    /// Move the server's clock forward
    Clock(Clock),
    /// Stream events until the connection ends
    Subscribe(Subscribe),
    /// End the server
    Shutdown(Shutdown),
    /// List the verbs
    Help(Help),
}

impl Verb {
    /// The verb in the members of a request, its id aside.
    pub(super) fn from_members(members: Map<String, Value>) -> Result<Self, ControlError> {
        static KNOWN: LazyLock<Vec<String>> =
            LazyLock::new(|| Verb::all().iter().map(|help| help.verb.clone()).collect());
        let known = || KNOWN.clone();
        let Some(verb) = members
            .get("verb")
            .and_then(Value::as_str)
            .map(str::to_owned)
        else {
            return Err(ControlError::NoVerb { known: known() });
        };
        Self::deserialize(Value::Object(members)).map_err(|reason| {
            let known = known();
            if known.contains(&verb) {
                ControlError::Arguments { verb, reason }
            } else {
                ControlError::UnknownVerb { verb, known }
            }
        })
    }

    /// Whether the verb does something to the function.
    pub(super) const fn acts(&self) -> bool {
        !matches!(
            self,
            Self::Status(_)
                | Self::Inspect(_)
                | Self::Violations(_)
                | Self::Save(_)
                | Self::Clock(_)
                | Self::Subscribe(_)
                | Self::Shutdown(_)
                | Self::Help(_)
        )
    }

    /// Carries the verb out.
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        match self {
            Self::Status(verb) => Ok(verb.apply(cx)),
            Self::Inspect(verb) => verb.apply(cx),
            Self::Violations(verb) => Ok(verb.apply(cx)),
            Self::Pme(verb) => Ok(verb.apply(cx)),
            Self::Intx(verb) => Ok(verb.apply(cx)),
            Self::Interrupt(verb) => Ok(verb.apply(cx)),
            Self::Input(verb) => verb.apply(cx),
            Self::Withdraw(verb) => Ok(verb.apply(cx)),
            Self::Rail(verb) => Ok(verb.apply(cx)),
            Self::Reset(verb) => Ok(verb.apply(cx)),
            Self::SlotPowerLimit(verb) => Ok(verb.apply(cx)),
            Self::HostAccess(verb) => Ok(verb.apply(cx)),
            Self::Control(verb) => Ok(verb.apply(cx)),
            Self::D3coldAllowed(verb) => Ok(verb.apply(cx)),
            Self::Suspend(verb) => Ok(verb.apply(cx)),
            Self::SuspendDelay(verb) => Ok(verb.apply(cx)),
            Self::FailResume(verb) => verb.apply(cx),
            Self::FailReset(verb) => Ok(verb.apply(cx)),
            Self::DeadAfterCold(verb) => Ok(verb.apply(cx)),
            Self::Save(verb) => verb.apply(cx),
            Self::Restore(verb) => verb.apply(cx),
            Self::Clock(verb) => Ok(verb.apply(cx)),
            Self::Subscribe(verb) => Ok(verb.apply()),
            Self::Shutdown(verb) => Ok(verb.apply()),
            Self::Help(verb) => Ok(verb.apply()),
        }
    }
}
