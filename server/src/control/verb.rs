//! The verbs: one table for the wire, the `dormouse ctl` command line and their help.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clock::Clock;
use super::device::{Input, Interrupt, Intx, Pme, Withdraw};
use super::faults::{DeadAfterCold, FailReset, FailResume, FaultVerb};
use super::host::{
    ControlAttribute, D3coldAllowed, HostAccess, SriovNumvfs, Suspend, SuspendDelay,
};
use super::hotplug::{Insert, Remove};
use super::notices::{Err, Req};
use super::platform::{HotReset, Rail, Reset, SlotPowerLimit};
use super::port::{PortControl, PortD3coldAllowed, PortFailResume, PortLink};
use super::query::{Inspect, Status, Violations};
use super::session::{Help, Shutdown, Subscribe};
use super::state::{Restore, Save};
use super::{ControlContext, ControlError, Done};

/// A verb with its arguments.
///
/// On the wire, the arguments are members of the request. On the command line they follow the verb in
/// the order of the fields; some are options.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Subcommand))]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Verb {
    /// Show power state, interrupts, counters and the time in each state
    Status(Status),
    /// Show the whole state, or the part at PATH, field by field
    Inspect(Inspect),
    /// List what software did that hardware leaves undefined or forbids
    Violations(Violations),
    /// Raise a power management event (PME)
    Pme(Pme),
    /// Assert or deassert the function's INTx interrupt
    Intx(Intx),
    /// Raise an interrupt vector as the function would: an MSI-X or MSI message, else INTx
    Interrupt(Interrupt),
    /// Drive an input of the device model
    Input(Input),
    /// Withdraw a pending interrupt vector that has not been signalled
    Withdraw(Withdraw),
    /// Switch the slot's main power rail
    Rail(Rail),
    /// Reset the function
    Reset(Reset),
    /// Reset all functions of the slot and keep their config space, as VFIO_DEVICE_PCI_HOT_RESET does
    HotReset(HotReset),
    /// Send a Set_Slot_Power_Limit message to the function
    SlotPowerLimit(SlotPowerLimit),
    /// Read the config header as lspci on the host does, which wakes a device in D3cold
    HostAccess(HostAccess),
    /// Write the host's sysfs attribute `power/control`: keep the device awake or allow runtime suspend
    Control(ControlAttribute),
    /// Write the host's sysfs attribute `d3cold_allowed`, which wakes the device
    D3coldAllowed(D3coldAllowed),
    /// Write the host's sysfs attribute `sriov_numvfs`: enable virtual functions, or disable all
    SriovNumvfs(SriovNumvfs),
    /// Suspend the device now if its usage count is 0
    Suspend(Suspend),
    /// Set the delay between the last use of the device and its suspend
    SuspendDelay(SuspendDelay),
    /// Make waking the device fail
    FailResume(FailResume),
    /// Make DEVICE_RESET fail with EAGAIN, as if another user held the device lock
    FailReset(FailReset),
    /// Make the function read all ones after power has been removed and restored
    DeadAfterCold(DeadAfterCold),
    /// Set, list or remove faults: what goes wrong, and when
    Fault(FaultVerb),
    /// Ask the clients for the device: signal the irq index REQ
    Req(Req),
    /// Report an uncorrectable error to the clients: signal the irq index ERR
    Err(Err),
    /// Remove the card from its slot once the clients of its functions have closed, who are asked to
    Remove(Remove),
    /// Put the card into its slot again
    Insert(Insert),
    /// Write `power/control` of the port above the slot: keep it awake or allow runtime suspend
    PortControl(PortControl),
    /// Write `d3cold_allowed` of the port above the slot, which wakes the port
    PortD3coldAllowed(PortD3coldAllowed),
    /// Set whether the link trains when the port above the slot comes back from D3cold
    PortLink(PortLink),
    /// Make waking the port above the slot fail: waking a function below it then fails with EBUSY
    PortFailResume(PortFailResume),
    /// Save the state of the device to FILE
    Save(Save),
    /// Restore the state of the device from FILE
    Restore(Restore),
    /// Move the server's clock forward
    Clock(Clock),
    /// Print events as they happen, until the connection ends
    Subscribe(Subscribe),
    /// Stop the server
    Shutdown(Shutdown),
    /// List the verbs and their arguments
    Help(Help),
}

impl Verb {
    /// Parses a verb from the members of a request, without its id.
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

    /// Returns whether the verb acts on the function.
    pub(super) fn acts(&self) -> bool {
        if let Self::Fault(verb) = self {
            return verb.acts();
        }
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
            Self::HotReset(verb) => verb.apply(cx),
            Self::SlotPowerLimit(verb) => Ok(verb.apply(cx)),
            Self::HostAccess(verb) => Ok(verb.apply(cx)),
            Self::Control(verb) => Ok(verb.apply(cx)),
            Self::D3coldAllowed(verb) => Ok(verb.apply(cx)),
            Self::SriovNumvfs(verb) => verb.apply(cx),
            Self::Suspend(verb) => Ok(verb.apply(cx)),
            Self::SuspendDelay(verb) => Ok(verb.apply(cx)),
            Self::FailResume(verb) => verb.apply(cx),
            Self::FailReset(verb) => verb.apply(cx),
            Self::DeadAfterCold(verb) => verb.apply(cx),
            Self::Fault(verb) => verb.apply(cx),
            Self::Req(verb) => Ok(verb.apply(cx)),
            Self::Err(verb) => Ok(verb.apply(cx)),
            Self::Remove(verb) => verb.apply(cx),
            Self::Insert(verb) => verb.apply(cx),
            Self::PortControl(verb) => Ok(verb.apply(cx)),
            Self::PortD3coldAllowed(verb) => Ok(verb.apply(cx)),
            Self::PortLink(verb) => Ok(verb.apply(cx)),
            Self::PortFailResume(verb) => verb.apply(cx),
            Self::Save(verb) => verb.apply(cx),
            Self::Restore(verb) => verb.apply(cx),
            Self::Clock(verb) => Ok(verb.apply(cx)),
            Self::Subscribe(verb) => Ok(verb.apply()),
            Self::Shutdown(verb) => Ok(verb.apply()),
            Self::Help(verb) => Ok(verb.apply()),
        }
    }
}
