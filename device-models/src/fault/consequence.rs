//! The consequences of faults, which the hooks at the occasions carry out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vfio_user_protocol::Errno;

use crate::capability::DetectedError;
use crate::effect::Notice;

/// The time for which a failure lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// This long from the strike on.
    For(Duration),
    /// Until main power has been off.
    UntilPowerOff,
    /// Until the fault is removed.
    ForEver,
}

/// The failure of an operation of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) errno: Errno,
    /// The host remembers the error, whatever it is.
    pub(crate) latched: bool,
}

/// The failure of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LinkFailure {
    /// The link does not train.
    Down,
    /// The port above keeps the link down to contain an error: one of the function itself, or one of another
    /// function of the slot.
    Contained { own: bool },
    /// The link has at most so many lanes.
    Width(u8),
    /// The link has at most this speed, in the encoding of Link Status.
    Speed(u8),
}

impl LinkFailure {
    /// Returns whether the link is down.
    pub(crate) const fn is_down(self) -> bool {
        matches!(self, Self::Down | Self::Contained { .. })
    }
}

/// The consequence of a fault that strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// The thing that was about to happen does not happen.
    Prevent,
    /// The thing that was about to happen happens twice.
    Double,
    /// The thing that was about to happen happens so much later.
    Delay(Duration),
    /// The device raises a wake event. If `again`, it is signalled although an earlier one is pending.
    WakeEvent { again: bool },
    /// `PME_Status` cannot be cleared.
    KeepPmeStatus { lasting: Lasting },
    /// The MSI-X table loses its content at a change to D0.
    LoseTable,
    /// The function does not answer: reads return all ones, or, if `retry`, Vendor ID 0001h.
    Silence { lasting: Lasting, retry: bool },
    /// The function is off the bus, without power and state.
    Gone { lasting: Lasting },
    /// The port above takes the link of the slot down.
    Contain { lasting: Lasting },
    /// A write leaves these bits of the DWORD at `offset` as they are.
    KeepBits { offset: u64, mask: u32 },
    /// The function loses its state at a change to D0 that keeps it as far as `No_Soft_Reset` goes.
    LoseState,
    /// A BAR does not decode.
    BarOff { bar: u8, lasting: Lasting },
    /// The transfer does not reach memory and ends as an Unsupported Request.
    RefuseTransfer,
    /// The transfer goes to an address that is `offset` higher.
    Misdirect { offset: u64 },
    /// The function detects an error of the bus.
    Detect(DetectedError),
    /// An input of the device model is driven.
    Input { name: String },
    /// The host notifies the clients.
    Notice(Notice),
    /// The link of the slot fails.
    Link {
        failure: LinkFailure,
        lasting: Lasting,
    },
    /// The host's operation fails.
    Fail(Failure),
}
