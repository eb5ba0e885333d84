//! Single Root I/O Virtualization, extended id 0010h (PCIe Base §9.3.3).
//!
//! | offset | register | attributes |
//! |---|---|---|
//! | +4 | SR-IOV Capabilities | RO |
//! | +8 | SR-IOV Control: VF Enable, VF Memory Space Enable, ARI Capable Hierarchy | RW |
//! | +A | SR-IOV Status: VF Migration | RO |
//! | +C | `InitialVFs`, `TotalVFs` | RO |
//! | +10 | `NumVFs` | RW while VF Enable is clear |
//! | +12 | Function Dependency Link | RO |
//! | +14 | First VF Offset, VF Stride | RO |
//! | +1A | VF Device ID | RO |
//! | +1C | Supported Page Sizes | RO |
//! | +20 | System Page Size | RW while VF Enable is clear |
//! | +24 | VF BAR0 to VF BAR5 | RW above the size of one VF's part |
//! | +3C | VF Migration State Array Offset | RO |
//!
//! VF migration is not implemented, so `InitialVFs` equals `TotalVFs`. A write of `NumVFs` or System
//! Page Size while VF Enable is set, which the specification leaves undefined, has no effect.

use bitfield_struct::bitfield;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Capability, CapabilityId};
use crate::config::{BarConfig, BarError, BarKind, ConfigEffect, MAX_BARS};
use crate::pci::ExtendedId;
use crate::pci::single_root::{
    CONTROL, FIRST_VF_OFFSET, NUM_VFS, SIZE, SYSTEM_PAGE_SIZE, TOTAL_VFS, VF_BAR_0, VF_DEVICE_ID,
    VF_STRIDE,
};
use crate::register::{Block, Dword, DwordWrite, Register, ResetKind, register_bits};
use crate::snapshot::RestoreError;

/// SR-IOV Control, +8.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct SriovControl {
    pub vf_enable: bool,
    pub vf_migration_enable: bool,
    pub vf_migration_interrupt_enable: bool,
    pub vf_memory_space_enable: bool,
    pub ari_capable_hierarchy: bool,
    #[bits(11)]
    __: u16,
}

register_bits!(SriovControl: u16);

/// SR-IOV Capabilities: ARI Capable Hierarchy Preserved.
const ARI_PRESERVED: u32 = 1 << 1;

/// Size in bytes of the pages of System Page Size bit 0.
const SMALLEST_PAGE: u64 = 0x1000;

/// The sizes that every physical function supports: 4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB and 4 MiB
/// (PCIe Base §9.3.3.12).
const REQUIRED_PAGE_SIZES: u32 = 0x553;

/// The part of a VF BAR that belongs to one virtual function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VfBar {
    /// BAR index, 0 to 5.
    pub index: u8,
    /// Memory of 32 or 64 bits.
    pub kind: BarKind,
    /// Size in bytes, a power of two.
    pub size: u64,
    /// The Prefetchable bit.
    #[serde(default)]
    pub prefetchable: bool,
}

/// The `[capabilities.sriov]` table of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SriovConfig {
    /// Offset in config space.
    #[serde(default)]
    pub offset: Option<u16>,
    /// Number of virtual functions, `TotalVFs` and `InitialVFs`.
    pub total_vfs: u16,
    /// VF Device ID.
    pub vf_device_id: u16,
    /// Distance of the first virtual function's routing id from that of this function.
    #[serde(default = "one")]
    pub first_vf_offset: u16,
    /// Distance between the routing ids of virtual functions.
    #[serde(default = "one")]
    pub vf_stride: u16,
    /// The function without whose virtual functions those of this one are of no use: its own number
    /// if there is none.
    #[serde(default)]
    pub function_dependency_link: u8,
    /// Bit n: pages of 2ⁿ⁺¹² bytes are supported.
    #[serde(default = "required_page_sizes")]
    pub supported_page_sizes: u32,
    /// ARI Capable Hierarchy survives D3hot.
    #[serde(default)]
    pub ari_hierarchy_preserved: bool,
    /// The BARs of each virtual function.
    #[serde(default)]
    pub bars: Vec<VfBar>,
}

const fn one() -> u16 {
    1
}

const fn required_page_sizes() -> u32 {
    REQUIRED_PAGE_SIZES
}

/// The mistake in a [`SriovConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SriovConfigError {
    /// A physical function without virtual functions has no such capability.
    #[error("a physical function has at least one virtual function; choose 1 or more")]
    NoVfs,
    /// The routing ids of virtual functions coincide.
    #[error("{key} is 0, so routing ids of functions would coincide; choose 1 or more")]
    SameRoutingId {
        /// Key at fault.
        key: &'static str,
    },
    /// A required page size is not supported.
    #[error(
        "{0:#x} leaves out a page size that every function supports; add {REQUIRED_PAGE_SIZES:#x}"
    )]
    PageSizes(u32),
    /// The BAR does not exist, or its register belongs to another one.
    #[error(
        "VF BAR {0} does not exist or is used twice; VF BARs are 0 to 5, and one of 64 bits takes two"
    )]
    Index(u8),
    /// Virtual functions have no I/O space.
    #[error("VF BAR {0} is an I/O BAR; virtual functions have memory BARs only")]
    Io(u8),
    /// The BAR cannot have this size.
    #[error("VF BAR {index}: {error}")]
    Bar {
        /// BAR index.
        index: u8,
        /// The limit that it breaks.
        error: BarError,
    },
}

impl SriovConfigError {
    /// Returns the key at fault.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::NoVfs => "total-vfs",
            Self::SameRoutingId { key } => key,
            Self::PageSizes(_) => "supported-page-sizes",
            Self::Index(_) | Self::Io(_) | Self::Bar { .. } => "bars",
        }
    }
}

/// The virtual functions that exist, as a physical function's registers decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualFunctions {
    /// Number of those that exist: the first ones.
    pub number: u16,
    /// Their memory BARs decode (VF Memory Space Enable).
    pub memory_space: bool,
}

/// The SR-IOV capability of a physical function.
#[derive(Debug)]
pub struct SingleRootIoVirtualization {
    registers: Block,
    bars: [Option<BarConfig>; MAX_BARS],
}

impl SingleRootIoVirtualization {
    /// Creates the capability with VF Enable clear.
    ///
    /// # Errors
    /// [`SriovConfigError`] with the wrong key.
    pub fn new(config: &SriovConfig) -> Result<Self, SriovConfigError> {
        if config.total_vfs == 0 {
            return Err(SriovConfigError::NoVfs);
        }
        for (key, distance) in [
            ("first-vf-offset", config.first_vf_offset),
            ("vf-stride", config.vf_stride),
        ] {
            if distance == 0 {
                return Err(SriovConfigError::SameRoutingId { key });
            }
        }
        let pages = config.supported_page_sizes;
        if pages & REQUIRED_PAGE_SIZES != REQUIRED_PAGE_SIZES {
            return Err(SriovConfigError::PageSizes(pages));
        }
        let bars = vf_bars(&config.bars)?;
        let control = SriovControl::new()
            .with_vf_enable(true)
            .with_vf_memory_space_enable(true)
            .with_ari_capable_hierarchy(true);
        let pair = |low: u16, high: u16| Dword::read_only(u32::from(high) << 16 | u32::from(low));
        let capabilities = if config.ari_hierarchy_preserved {
            ARI_PRESERVED
        } else {
            0
        };
        let mut dwords = vec![
            Dword::new(),
            Dword::read_only(capabilities),
            Dword::new().with(0, Register::new(SriovControl::new()).rw(control)),
            pair(config.total_vfs, config.total_vfs),
            Dword::new()
                .with(0, Register::new(0_u16).rw(u16::MAX))
                .with(2, Register::new(config.function_dependency_link)),
            pair(config.first_vf_offset, config.vf_stride),
            pair(0, config.vf_device_id),
            Dword::read_only(pages),
            Dword::new().with(0, Register::new(1_u32).rw(pages)),
        ];
        for (index, bar) in bars.iter().enumerate() {
            let below = index.checked_sub(1).and_then(|below| *bars.get(below)?);
            dwords.push(match (bar, below) {
                (Some(bar), _) => bar.low(),
                (None, Some(below)) if below.kind == BarKind::Memory64 => below.high(),
                (None, _) => Dword::new(),
            });
        }
        dwords.resize(SIZE / 4, Dword::new());
        let mut capability = Self {
            registers: Block::new(dwords),
            bars,
        };
        capability.fit_pages();
        Ok(capability)
    }

    /// Returns SR-IOV Control.
    #[must_use]
    pub fn control(&self) -> SriovControl {
        self.registers.get(CONTROL)
    }

    /// Returns the number of virtual functions that can exist.
    #[must_use]
    pub fn total_vfs(&self) -> u16 {
        self.registers.get(TOTAL_VFS)
    }

    /// Returns the distance of virtual function `index`'s routing id from that of the physical
    /// function.
    #[must_use]
    pub fn routing_offset(&self, index: u16) -> u32 {
        let first: u16 = self.registers.get(FIRST_VF_OFFSET);
        let stride: u16 = self.registers.get(VF_STRIDE);
        u32::from(first) + u32::from(stride) * u32::from(index)
    }

    /// Returns the virtual functions that exist. Of a `NumVFs` above `TotalVFs`, which the
    /// specification leaves undefined, there are as many as can be.
    #[must_use]
    pub fn virtual_functions(&self) -> VirtualFunctions {
        let control = self.control();
        let number: u16 = self.registers.get(NUM_VFS);
        VirtualFunctions {
            number: if control.vf_enable() {
                number.min(self.total_vfs())
            } else {
                0
            },
            memory_space: control.vf_memory_space_enable(),
        }
    }

    /// Makes each VF BAR as large as a page at least (PCIe Base §9.3.3.13).
    fn fit_pages(&mut self) {
        let pages: u32 = self.registers.get(SYSTEM_PAGE_SIZE);
        let page = SMALLEST_PAGE << (pages | 1 << 31).trailing_zeros();
        for index in 0..MAX_BARS {
            let Some(Some(mut bar)) = self.bars.get(index).copied() else {
                continue;
            };
            let size = bar.size.max(page);
            if let Some(low) = self.registers.dword_mut(VF_BAR_0 / 4 + index) {
                bar.resize(size, low);
            }
            if bar.kind == BarKind::Memory64
                && let Some(high) = self.registers.dword_mut(VF_BAR_0 / 4 + index + 1)
            {
                bar.resize_high(high);
            }
        }
    }
}

/// Returns the ranges by the index of their BAR.
fn vf_bars(tables: &[VfBar]) -> Result<[Option<BarConfig>; MAX_BARS], SriovConfigError> {
    let mut bars = [None; MAX_BARS];
    let mut taken = [false; MAX_BARS];
    for table in tables {
        let VfBar {
            index,
            kind,
            size,
            prefetchable,
        } = *table;
        if kind == BarKind::Io {
            return Err(SriovConfigError::Io(index));
        }
        let bar = BarConfig {
            kind,
            prefetchable,
            size,
        };
        bar.validate()
            .map_err(|error| SriovConfigError::Bar { index, error })?;
        let first = usize::from(index);
        let registers = if kind == BarKind::Memory64 { 2 } else { 1 };
        for register in first..first + registers {
            match taken.get_mut(register) {
                Some(taken) if !*taken => *taken = true,
                _ => return Err(SriovConfigError::Index(index)),
            }
        }
        if let Some(place) = bars.get_mut(first) {
            *place = Some(bar);
        }
    }
    Ok(bars)
}

impl Capability for SingleRootIoVirtualization {
    fn id(&self) -> CapabilityId {
        CapabilityId::Extended {
            id: ExtendedId::SingleRootIoVirtualization,
            version: 1,
        }
    }

    fn name(&self) -> &'static str {
        "single-root-io-virtualization"
    }

    fn registers(&self) -> &Block {
        &self.registers
    }

    fn registers_mut(&mut self) -> &mut Block {
        &mut self.registers
    }

    fn write(&mut self, index: usize, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let locked = [NUM_VFS / 4, SYSTEM_PAGE_SIZE / 4];
        if self.control().vf_enable() && locked.contains(&index) {
            return;
        }
        let before = self.virtual_functions();
        self.registers.write(index, write);
        if index == SYSTEM_PAGE_SIZE / 4 {
            self.fit_pages();
        }
        if self.virtual_functions() != before {
            effects.push(ConfigEffect::VirtualFunctions);
        }
    }

    fn reset(&mut self, kind: ResetKind) {
        self.registers.reset(kind);
        self.fit_pages();
    }

    fn save(&self) -> Value {
        let Self { registers, bars: _ } = self;
        registers.save()
    }

    fn restore(
        &mut self,
        at: &str,
        saved: &Value,
        _: &mut Vec<ConfigEffect>,
    ) -> Result<(), RestoreError> {
        self.registers.restore(at, saved)?;
        self.fit_pages();
        Ok(())
    }

    fn inspect(&self) -> Value {
        let control = self.control();
        json!({
            "vf_enable": control.vf_enable(),
            "vf_memory_space_enable": control.vf_memory_space_enable(),
            "ari_capable_hierarchy": control.ari_capable_hierarchy(),
            "total_vfs": self.total_vfs(),
            "num_vfs": self.registers.get::<u16>(NUM_VFS),
            "vf_device_id": self.registers.get::<u16>(VF_DEVICE_ID),
            "system_page_size": self.registers.get::<u32>(SYSTEM_PAGE_SIZE),
        })
    }
}

#[cfg(test)]
mod tests;
