//! The platform controller: software switches the power of slots through it and learns which
//! function woke.
//!
//! On a board this is the work of an embedded controller and of a general-purpose event. One
//! controller serves all slots of a platform. Software selects a slot by its key, which
//! [`slot_key`] computes from the slot's name. INTx is asserted while a wake event is recorded.
//! Write-only and missing registers read zero.
//!
//! | offset | register | meaning |
//! |---|---|---|
//! | 00h | `ID` | 43524d44h |
//! | 04h | `SLOTS` | number of slots |
//! | 08h | `WOKEN` | key of the first slot with a recorded wake event, or 0 |
//! | 10h | `SLOT` | key of the selected slot |
//! | 14h | `RAIL` | main power of the selected slot: 1 on, 0 off |
//! | 18h | `WAKE` | functions of the selected slot that woke, a bit for each; a write of 1 clears a bit |
//! | 1Ch | `WAKE_ENABLE` | functions of the selected slot whose own wake events are recorded |
//!
//! A reset of the controller is a reset of the platform: it turns the power of all slots on, and
//! forgets wake events. When the controller is restored from a saved state, the power of the slots
//! follows the state.
//!
//! # Examples
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::backend::RailSwitch;
//! use pci_device_models::model::controller::{Controller, slot_key};
//!
//! let mut bench = Bench::new(Box::new(Controller::new([slot_key("gpu")])))?;
//! bench.write(0, 0x10, slot_key("gpu"));
//! bench.write(0, 0x14, 0);
//! let mut switches = Vec::new();
//! while let Some(switch) =
//!     bench.with_backend(|backend, cx| backend.platform().and_then(|port| port.take_switch(cx)))
//! {
//!     switches.push(switch);
//! }
//! assert_eq!(switches.last(), Some(&RailSwitch { slot: 0, on: false }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod registers;

use self::registers::{ID, ID_VALUE, RAIL, SLOT, SLOTS, WAKE, WAKE_ENABLE, WOKEN};
use super::Registry;
use super::backend::{Backend, PlatformPort, RailSwitch, WakeSource};
use super::prelude::*;
use crate::host::DeviceSet;
use crate::profile::{Profile, ProfileError};
use crate::slot::FunctionNumber;
use crate::snapshot::RestoreError;

/// The name of the model and of its profile.
pub const NAME: &str = "controller";

/// The BAR with the registers.
const REGISTER_BAR: u8 = 0;
/// All functions of a slot.
const ALL: u8 = u8::MAX;

/// Returns the key by which software selects the slot with this name: the 32-bit FNV-1a hash of the
/// name.
///
/// ```
/// use pci_device_models::model::controller::slot_key;
/// assert_eq!(slot_key("a"), 0xe40c_292c);
/// ```
#[must_use]
pub fn slot_key(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// The platform controller.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    /// The key that software has selected.
    selected: u32,
    slots: Vec<ControlledSlot>,
    /// It was restored, and the slots have to follow its state.
    #[serde(skip)]
    restored: bool,
}

/// A slot as its controller knows it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlledSlot {
    key: u32,
    /// Main power is on.
    rail: bool,
    /// Functions that woke, a bit for each.
    woken: u8,
    /// Functions whose wake events are recorded.
    enabled: u8,
    switches: Switches,
}

/// Switches of a rail that the platform has not performed yet. More than one change comes down to
/// one change to the other state and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switches {
    last: Option<bool>,
    /// The opposite of the last one came before it.
    both: bool,
}

impl Switches {
    fn push(&mut self, on: bool) {
        self.both |= self.last == Some(!on);
        self.last = Some(on);
    }

    fn pop(&mut self) -> Option<bool> {
        let last = self.last?;
        if std::mem::take(&mut self.both) {
            return Some(!last);
        }
        self.last = None;
        Some(last)
    }
}

impl Controller {
    /// Creates a controller of slots with these keys, whose power is on.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = u32>) -> Self {
        let slot = |key| ControlledSlot {
            key,
            rail: true,
            woken: 0,
            enabled: ALL,
            switches: Switches::default(),
        };
        Self {
            selected: 0,
            slots: keys.into_iter().map(slot).collect(),
            restored: false,
        }
    }

    /// Creates a slot with a controller of slots with these keys as its only function, behind a
    /// host driver.
    ///
    /// # Errors
    /// None in practice. The function's own profile is checked like any other.
    pub fn device_set(keys: &[u32]) -> Result<DeviceSet, ProfileError> {
        let mut registry = Registry::builtin();
        let keys = keys.to_vec();
        registry.register(NAME, move || Box::new(Self::new(keys.iter().copied())));
        let profile = Profile::parse(NAME, include_str!("controller/profile.toml"), &[])?;
        profile.device_set(&registry)
    }

    fn selected(&mut self) -> Option<&mut ControlledSlot> {
        let key = self.selected;
        self.slots.iter_mut().find(|slot| slot.key == key)
    }

    /// Returns the selected slot, and records a violation if there is none.
    fn selected_by(&mut self, cx: &mut Context<'_>) -> Option<&mut ControlledSlot> {
        let key = self.selected;
        let found = self.selected();
        if found.is_none() {
            let text = format!("access to slot {key:#x}, which the controller does not have");
            cx.violation("no-such-slot", &text);
        }
        found
    }
}

impl Model for Controller {
    fn read(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, _: Lanes) -> u32 {
        if bar != REGISTER_BAR {
            return 0;
        }
        match offset {
            ID => ID_VALUE,
            SLOTS => u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            WOKEN => {
                let woken = self.slots.iter().find(|slot| slot.woken != 0);
                woken.map_or(0, |slot| slot.key)
            }
            SLOT => self.selected,
            RAIL | WAKE | WAKE_ENABLE => self.selected_by(cx).map_or(0, |slot| match offset {
                RAIL => u32::from(slot.switches.last.unwrap_or(slot.rail)),
                WAKE => u32::from(slot.woken),
                _ => u32::from(slot.enabled),
            }),
            _ => 0,
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, write: DwordWrite) {
        if bar != REGISTER_BAR {
            return;
        }
        if offset == SLOT {
            self.selected = write.merge(self.selected);
            return;
        }
        // The registers of a slot have their bits in the first byte.
        let Some((_, byte)) = write.bytes().find(|(place, _)| *place == 0) else {
            return;
        };
        if !matches!(offset, RAIL | WAKE | WAKE_ENABLE) {
            return;
        }
        if let Some(slot) = self.selected_by(cx) {
            match offset {
                RAIL => slot.switches.push(byte & 1 != 0),
                WAKE => slot.woken &= !byte,
                _ => slot.enabled = byte,
            }
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
        self.selected = 0;
        for slot in &mut self.slots {
            slot.woken = 0;
            slot.enabled = ALL;
            slot.switches.push(true);
        }
    }

    fn settle(&mut self, cx: &mut Context<'_>) {
        cx.set_intx(self.slots.iter().any(|slot| slot.woken != 0));
    }

    fn backend(&mut self) -> Option<Backend<'_>> {
        Some(Backend::Platform(self))
    }

    fn restored(&self, saved: Self) -> Result<Self, RestoreError> {
        let keys = |of: &Self| of.slots.iter().map(|slot| slot.key).collect::<Vec<_>>();
        if keys(self) == keys(&saved) {
            return Ok(Self {
                restored: true,
                ..saved
            });
        }
        Err(RestoreError::part(
            "model.slots",
            "the saved controller has other slots; serve the slots of the saved one, in its order",
        ))
    }
}

impl PlatformPort for Controller {
    fn take_switch(&mut self, _: &mut Context<'_>) -> Option<RailSwitch> {
        if std::mem::take(&mut self.restored) {
            for slot in &mut self.slots {
                if slot.switches.last.is_none() {
                    slot.switches.push(slot.rail);
                }
            }
        }
        let mut slots = self.slots.iter_mut().enumerate();
        slots.find_map(|(slot, state)| {
            let on = state.switches.pop()?;
            state.rail = on;
            Some(RailSwitch { slot, on })
        })
    }

    fn set_rail(&mut self, _: &mut Context<'_>, slot: usize, on: bool) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.rail = on;
        }
    }

    fn wants_power(&self, slot: usize) -> bool {
        let slot = self.slots.get(slot);
        slot.is_some_and(|slot| slot.switches.last.unwrap_or(slot.rail))
    }

    fn wake(
        &mut self,
        _: &mut Context<'_>,
        slot: usize,
        function: FunctionNumber,
        source: WakeSource,
    ) {
        let wants_power = self.wants_power(slot);
        if let Some(slot) = self.slots.get_mut(slot) {
            let bit = 1 << u8::from(function);
            slot.woken |= match source {
                WakeSource::Function => bit & slot.enabled,
                WakeSource::Host if wants_power => 0,
                WakeSource::Host => bit,
            };
        }
    }
}

#[cfg(test)]
mod tests;
