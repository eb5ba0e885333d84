//! Precision Time Measurement extended capability of an endpoint, id 001Fh (PCIe Base §7.9.15).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | PTM Capability | RO |
//! | +8 | PTM Control | PTM Enable, Effective Granularity RW |
//!
//! The function is a requester. Its time comes from above, so it has no clock of its own to tell the
//! granularity of.

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Capability, CapabilityId};
use crate::pci::ExtendedId;
use crate::pci::precision_time::CONTROL;
use crate::register::{Block, Dword, Register, register_bits};

/// PTM Capability, +4.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct PtmCapability {
    pub requester: bool,
    pub responder: bool,
    pub root: bool,
    #[bits(5)]
    __: u8,
    /// Period of the local clock in ns. A requester without one has 0.
    pub local_clock_granularity: u8,
    #[bits(16)]
    __: u16,
}

/// PTM Control, +8.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct PtmControl {
    pub enable: bool,
    pub root_select: bool,
    #[bits(6)]
    __: u8,
    /// Expected accuracy in ns; 0 is unknown.
    pub effective_granularity: u8,
    #[bits(16)]
    __: u16,
}

register_bits!(PtmCapability: u32, PtmControl: u32);

/// The table `[capabilities.ptm]` of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PtmConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
}

/// The precision time measurement capability of a requester.
#[derive(Debug)]
pub struct PrecisionTimeMeasurement {
    registers: Block,
}

impl PrecisionTimeMeasurement {
    /// Creates the capability.
    #[must_use]
    pub fn new(_config: &PtmConfig) -> Self {
        let capability = PtmCapability::new().with_requester(true);
        let writable = PtmControl::new()
            .with_enable(true)
            .with_effective_granularity(0xff);
        let control = Register::new(PtmControl::new()).rw(writable);
        Self {
            registers: Block::new([
                Dword::new(),
                Dword::read_only(capability.into()),
                Dword::new().with(0, control),
            ]),
        }
    }
}

impl Capability for PrecisionTimeMeasurement {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::PrecisionTimeMeasurement,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "precision-time-measurement"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!();

    fn inspect(&self) -> Value {
        let control = self.registers.get::<PtmControl>(CONTROL);
        json!({
            "enable": control.enable(),
            "effective_granularity_ns": control.effective_granularity(),
        })
    }
}

#[cfg(test)]
mod tests;
