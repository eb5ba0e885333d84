//! Latency Tolerance Reporting extended capability, id 0018h (PCIe Base §7.8.2).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | Max Snoop Latency | RW, kept by FLR |
//! | +6 | Max No-Snoop Latency | RW, kept by FLR |

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Capability, CapabilityId};
use crate::pci::ExtendedId;
use crate::pci::latency_tolerance::{MAX_NO_SNOOP, MAX_SNOOP};
use crate::register::{Block, Dword, Register, register_bits};

/// Max Snoop Latency and Max No-Snoop Latency.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct MaxLatency {
    /// Latency in units of the scale.
    #[bits(10)]
    pub value: u16,
    /// Unit: 32 to the power of this value, in ns. The values 6 and 7 are not permitted.
    #[bits(3)]
    pub scale: u8,
    #[bits(3)]
    __: u8,
}

register_bits!(MaxLatency: u16);

impl MaxLatency {
    /// Returns the latency in ns, or `None` with a scale that is not permitted.
    #[must_use]
    pub fn nanoseconds(self) -> Option<u64> {
        (self.scale() < 6).then(|| u64::from(self.value()) << (5 * self.scale()))
    }
}

/// The table `[capabilities.ltr]` of a profile. Firmware programs the latencies; they start at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LtrConfig {
    /// Byte offset in config space.
    pub offset: Option<u16>,
}

/// The latency tolerance reporting capability of a device's function 0.
#[derive(Debug)]
pub struct LatencyToleranceReporting {
    registers: Block,
}

impl LatencyToleranceReporting {
    /// Creates the capability.
    #[must_use]
    pub fn new(_config: &LtrConfig) -> Self {
        let fields = MaxLatency::new().with_value(0x3ff).with_scale(0x7);
        let latency = Register::new(MaxLatency::new())
            .rw(fields)
            .kept_by_flr(fields);
        Self {
            registers: Block::new([Dword::new(), Dword::new().with(0, latency).with(2, latency)]),
        }
    }
}

impl Capability for LatencyToleranceReporting {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::LatencyToleranceReporting,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "latency-tolerance-reporting"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    registers_are_the_state!();

    fn inspect(&self) -> Value {
        json!({
            "max_snoop_ns": self.registers.get::<MaxLatency>(MAX_SNOOP).nanoseconds(),
            "max_no_snoop_ns": self.registers.get::<MaxLatency>(MAX_NO_SNOOP).nanoseconds(),
        })
    }
}

#[cfg(test)]
mod tests;
