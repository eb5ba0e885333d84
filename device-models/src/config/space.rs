//! The whole config space: header, conventional list, extended list.

use std::mem::discriminant;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::ConfigEffect;
use super::header::{self, Header, HeaderConfig};
use crate::capability::Pmc;
use crate::capability::{
    AdvancedErrorReporting, Capability, CapabilityId, DynamicPowerAllocation, Msi, Msix,
    PciExpress, PowerManagement, ResizableBar, SingleRootIoVirtualization,
};
use crate::pci::{self, ExtendedId, power_management};
use crate::register::{Dword, DwordWrite, RegisterBits, ResetKind, split};
use crate::snapshot::{self, Fingerprint, RestoreError};

/// A capability of any kind. The kinds that the function itself uses keep their type.
#[derive(Debug)]
pub enum AnyCapability {
    /// Power management.
    PowerManagement(PowerManagement),
    /// MSI.
    Msi(Msi),
    /// MSI-X.
    Msix(Msix),
    /// PCI Express.
    PciExpress(PciExpress),
    /// Advanced error reporting.
    AdvancedErrorReporting(AdvancedErrorReporting),
    /// Dynamic power allocation.
    DynamicPowerAllocation(DynamicPowerAllocation),
    /// Resizable BARs.
    ResizableBar(ResizableBar),
    /// Single root I/O virtualization.
    SingleRootIoVirtualization(SingleRootIoVirtualization),
    /// Any other capability, which consists of registers and effects only.
    Other(Box<dyn Capability>),
}

impl AnyCapability {
    /// Returns the capability as a trait object.
    #[must_use]
    pub fn get(&self) -> &dyn Capability {
        match self {
            Self::PowerManagement(capability) => capability,
            Self::Msi(capability) => capability,
            Self::Msix(capability) => capability,
            Self::PciExpress(capability) => capability,
            Self::AdvancedErrorReporting(capability) => capability,
            Self::DynamicPowerAllocation(capability) => capability,
            Self::ResizableBar(capability) => capability,
            Self::SingleRootIoVirtualization(capability) => capability,
            Self::Other(capability) => capability.as_ref(),
        }
    }

    /// Returns the capability as a mutable trait object.
    pub fn get_mut(&mut self) -> &mut dyn Capability {
        match self {
            Self::PowerManagement(capability) => capability,
            Self::Msi(capability) => capability,
            Self::Msix(capability) => capability,
            Self::PciExpress(capability) => capability,
            Self::AdvancedErrorReporting(capability) => capability,
            Self::DynamicPowerAllocation(capability) => capability,
            Self::ResizableBar(capability) => capability,
            Self::SingleRootIoVirtualization(capability) => capability,
            Self::Other(capability) => capability.as_mut(),
        }
    }
}

/// A capability and its place.
#[derive(Debug)]
pub struct Placement {
    /// Byte offset in config space, DWORD aligned.
    pub offset: u16,
    /// The lists lead to the capability. Real functions have structures without a pointer to them.
    pub linked: bool,
    /// The capability.
    pub capability: AnyCapability,
}

impl Placement {
    /// Returns the capability's key in trees.
    fn key(&self) -> String {
        format!("{:03x}-{}", self.offset, self.capability.get().name())
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedConfig {
    header: Value,
    capabilities: Map<String, Value>,
}

/// Reasons for which capabilities cannot be laid out as requested.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// The offset is not DWORD aligned.
    #[error("{name} at {offset:#x} is not aligned to 4 bytes")]
    Unaligned {
        /// Capability.
        name: &'static str,
        /// Requested offset.
        offset: u16,
    },
    /// The capability lies outside the part of config space that belongs to its list.
    #[error("{name} at {offset:#x} with {len:#x} bytes is outside {start:#x} to {end:#x}")]
    OutOfRange {
        /// Capability.
        name: &'static str,
        /// Requested offset.
        offset: u16,
        /// Length in bytes.
        len: usize,
        /// First byte of the area.
        start: u16,
        /// End of the area.
        end: u16,
    },
    /// Two capabilities claim the same bytes.
    #[error(
        "{name} at {offset:#x} overlaps {other} at {other_offset:#x}, which ends at {other_end:#x}"
    )]
    Overlap {
        /// Capability.
        name: &'static str,
        /// Its offset.
        offset: u16,
        /// The capability that occupies them already.
        other: &'static str,
        /// Start of that capability.
        other_offset: u16,
        /// End of that capability.
        other_end: u16,
    },
    /// There is more than one PM, MSI, MSI-X or PCI Express capability.
    #[error("there are two {name} capabilities; a function has at most one")]
    Duplicate {
        /// Capability.
        name: &'static str,
    },
    /// The extended list does not start at 100h.
    #[error(
        "the extended list starts with {name} at {offset:#x}; its first capability must be at 0x100"
    )]
    FirstExtended {
        /// First capability of the list.
        name: &'static str,
        /// Its offset.
        offset: u16,
    },
}

/// The config space of a function: 256 bytes, or 4096 with extended capabilities.
#[derive(Debug)]
pub struct ConfigSpace {
    size: u16,
    header: Header,
    /// The capabilities, by offset.
    capabilities: Vec<Placement>,
}

/// Generates typed access to a capability that the function uses.
macro_rules! typed_capability {
    ($($get:ident, $get_mut:ident, $variant:ident: $capability:ty;)*) => {$(
        #[doc = concat!("The function's [`", stringify!($capability), "`] capability.")]
        #[must_use]
        pub fn $get(&self) -> Option<&$capability> {
            self.capabilities.iter().find_map(|placed| match &placed.capability {
                AnyCapability::$variant(capability) => Some(capability),
                _ => None,
            })
        }

        #[doc = concat!("As [`Self::", stringify!($get), "`].")]
        pub fn $get_mut(&mut self) -> Option<&mut $capability> {
            self.capabilities.iter_mut().find_map(|placed| match &mut placed.capability {
                AnyCapability::$variant(capability) => Some(capability),
                _ => None,
            })
        }
    )*};
}

impl ConfigSpace {
    /// Creates a config space from placed capabilities. Placements are linked in the given order,
    /// so lists need not be sorted by offset. The space has 4096 bytes if `extended`, else 256.
    ///
    /// # Errors
    /// The capabilities that overlap or are out of place.
    pub fn new(
        config: &HeaderConfig,
        mut placements: Vec<Placement>,
        extended: bool,
    ) -> Result<Self, LayoutError> {
        let size = if extended {
            pci::EXTENDED_SIZE
        } else {
            pci::CONVENTIONAL_SIZE
        } as u16;
        check_layout(&placements, size)?;
        let mut header = Header::new(config);
        let first = link(&mut placements, false);
        header.set_capabilities_pointer(first as u8);
        link(&mut placements, true);
        placements.sort_by_key(|placed| placed.offset);
        Ok(Self {
            size,
            header,
            capabilities: placements,
        })
    }

    typed_capability! {
        pm, pm_mut, PowerManagement: PowerManagement;
        msi, msi_mut, Msi: Msi;
        msix, msix_mut, Msix: Msix;
        pcie, pcie_mut, PciExpress: PciExpress;
        aer, aer_mut, AdvancedErrorReporting: AdvancedErrorReporting;
        dpa, dpa_mut, DynamicPowerAllocation: DynamicPowerAllocation;
        resizable_bar, resizable_bar_mut, ResizableBar: ResizableBar;
        sriov, sriov_mut, SingleRootIoVirtualization: SingleRootIoVirtualization;
    }

    /// Returns the size in bytes: 256 or 4096.
    #[must_use]
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Returns the header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the header for modification.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Returns the capabilities by offset.
    pub fn capabilities(&self) -> impl Iterator<Item = &Placement> {
        self.capabilities.iter()
    }

    /// Reads bytes starting at `offset`. Bytes beyond the end read as all ones, as from a bus.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        let end = offset.saturating_add(data.len() as u64);
        let inside = u64::from(self.size).clamp(offset, end) - offset;
        let (known, beyond) = data.split_at_mut(inside as usize);
        known.fill(0);
        beyond.fill(u8::MAX);
        // Most of it is empty, so it is read structure by structure.
        let header = |index| self.header.read(index);
        fill(offset, known, 0, header::DWORDS, header);
        let after = self
            .capabilities
            .partition_point(|placed| u64::from(placed.offset) <= offset);
        let capabilities = self.capabilities.iter().skip(after.saturating_sub(1));
        for placed in capabilities.take_while(|placed| u64::from(placed.offset) < end) {
            let capability = placed.capability.get();
            let len = capability.registers().len();
            let read = |index| capability.read(index);
            fill(offset, known, placed.offset.into(), len, read);
        }
    }

    /// Returns the DWORD at `offset`.
    #[must_use]
    pub fn read_dword(&self, offset: u64) -> u32 {
        if offset >= u64::from(self.size) {
            return u32::MAX;
        }
        let index = offset as usize / 4;
        if index < header::DWORDS {
            return self.header.read(index);
        }
        self.find(offset).map_or(0, |(at, index)| {
            self.capabilities
                .get(at)
                .map_or(0, |placed| placed.capability.get().read(index))
        })
    }

    /// Writes `data` starting at `offset`, DWORD by DWORD in ascending order. Bytes beyond the end
    /// are dropped.
    pub fn write(&mut self, offset: u64, data: &[u8], effects: &mut Vec<ConfigEffect>) {
        for piece in split(offset, data.len()) {
            self.write_dword(piece.offset, piece.write(data), effects);
        }
    }

    /// Writes the DWORD at `offset`.
    pub fn write_dword(&mut self, offset: u64, write: DwordWrite, effects: &mut Vec<ConfigEffect>) {
        let index = offset as usize / 4;
        if index < header::DWORDS {
            self.header.write(index, write, effects);
        } else if let Some((at, index)) = self.find(offset)
            && let Some(placed) = self.capabilities.get_mut(at)
        {
            placed.capability.get_mut().write(index, write, effects);
        }
    }

    /// Returns the bits of the DWORD at `offset` that software clears by writing ones.
    #[must_use]
    pub fn write_one_to_clear(&self, offset: u64) -> u32 {
        let index = offset as usize / 4;
        if index < header::DWORDS {
            return self.header.write_one_to_clear(index);
        }
        let found = self.find(offset);
        let placed = found.and_then(|(at, index)| Some((self.capabilities.get(at)?, index)));
        placed.map_or(0, |(placed, index)| {
            let mut dwords = placed.capability.get().registers().iter();
            dwords.nth(index).map_or(0, Dword::rw1c)
        })
    }

    /// Returns the offset of a capability of the extended list.
    pub(crate) fn extended_at(&self, id: ExtendedId) -> Option<u16> {
        let mut placed = self.capabilities();
        let found = placed.find(|placed| placed.capability.get().id().is_extended_id(id));
        found.map(|placed| placed.offset)
    }

    /// Returns the offset of PMCSR and the value of PMC.
    pub(crate) fn pm_place(&self) -> Option<(u64, Pmc)> {
        let mut placed = self.capabilities.iter();
        placed.find_map(|placed| match &placed.capability {
            AnyCapability::PowerManagement(pm) => {
                let offset = usize::from(placed.offset) + power_management::PMCSR;
                Some((offset as u64, pm.pmc()))
            }
            _ => None,
        })
    }

    /// Returns the register at `offset`, as software would read it, or zero if there is none.
    #[must_use]
    pub fn register<T: RegisterBits>(&self, offset: u16) -> T {
        let dword = self.read_dword(u64::from(offset & !3)) >> (8 * (offset % 4));
        T::of_bits(u64::from(dword))
    }

    /// Changes a register of the device's own at `offset`, which belongs to a structure without a
    /// list header. Other registers keep their value.
    pub fn set_register<T: RegisterBits>(&mut self, offset: u16, register: T) {
        let found = self.find(u64::from(offset & !3));
        let placed = found.and_then(|(at, _)| self.capabilities.get_mut(at));
        if let Some(placed) = placed
            && let CapabilityId::DeviceSpecific { .. } = placed.capability.get().id()
        {
            let at = usize::from(offset - placed.offset);
            placed
                .capability
                .get_mut()
                .registers_mut()
                .set(at, register);
        }
    }

    /// Clears the state that a reset of this kind clears.
    pub fn reset(&mut self, kind: ResetKind) {
        self.header.reset(kind);
        for placed in &mut self.capabilities {
            placed.capability.get_mut().reset(kind);
        }
    }

    /// Returns the state of every register.
    #[must_use]
    pub fn save(&self) -> Value {
        let Self {
            size: _,
            header,
            capabilities,
        } = self;
        let placed = capabilities.iter();
        let capabilities = placed.map(|placed| (placed.key(), placed.capability.get().save()));
        snapshot::object([
            ("header", header.save()),
            ("capabilities", Value::Object(capabilities.collect())),
        ])
    }

    /// Restores the state that [`Self::save`] returned.
    ///
    /// # Errors
    /// The tree does not fit this config space, which may then be restored in part.
    pub fn restore(&mut self, saved: &Value) -> Result<(), RestoreError> {
        const AT: &str = "config";
        let mut saved: SavedConfig = snapshot::read(AT, saved)?;
        let mut effects = Vec::new();
        for placed in &mut self.capabilities {
            let key = placed.key();
            let at = format!("{AT}.capabilities.{key}");
            let Some(tree) = saved.capabilities.remove(&key) else {
                return Err(RestoreError::part(at, "the capability is missing"));
            };
            let capability = placed.capability.get_mut();
            capability.restore(&at, &tree, &mut effects)?;
        }
        if let Some((key, _)) = saved.capabilities.into_iter().next() {
            let at = format!("{AT}.capabilities");
            return Err(RestoreError::part(at, format!("there is no {key:?} here")));
        }
        for effect in effects {
            if let ConfigEffect::BarSize { bar, size } = effect {
                self.header.resize_bar(usize::from(bar), size);
            }
        }
        self.header.restore("config.header", &saved.header)
    }

    /// Returns a fingerprint of the registers and of the changes that software may make to them.
    pub(crate) fn shape(&self) -> Fingerprint {
        let mut shape = Fingerprint::new();
        shape.add(&self.size.to_le_bytes());
        self.header.add_shape(&mut shape);
        for placed in &self.capabilities {
            shape.add(placed.key().as_bytes());
            placed.capability.get().registers().add_shape(&mut shape);
        }
        shape
    }

    /// Returns header and capabilities field by field.
    #[must_use]
    pub fn inspect(&self) -> Value {
        let capabilities: serde_json::Map<String, Value> = self
            .capabilities
            .iter()
            .map(|placed| {
                let capability = placed.capability.get();
                (placed.key(), capability.inspect())
            })
            .collect();
        json!({ "header": self.header.inspect(), "capabilities": capabilities })
    }

    /// Returns the position of the capability that holds `offset`, and the index of the DWORD in
    /// it.
    fn find(&self, offset: u64) -> Option<(usize, usize)> {
        let after = self
            .capabilities
            .partition_point(|placed| u64::from(placed.offset) <= offset);
        let at = after.checked_sub(1)?;
        let placed = self.capabilities.get(at)?;
        let index = (offset - u64::from(placed.offset)) as usize / 4;
        (index < placed.capability.get().registers().len()).then_some((at, index))
    }
}

/// Copies the DWORDs of a structure at `start`, of `len` DWORDs, into `data`, which begins at
/// `offset`.
fn fill(offset: u64, data: &mut [u8], start: u64, len: usize, read: impl Fn(usize) -> u32) {
    let end = offset + data.len() as u64;
    let from = start.max(offset);
    let to = (start + 4 * len as u64).min(end);
    let part = (from < to).then(|| (from - offset) as usize..(to - offset) as usize);
    let Some(part) = part.and_then(|part| data.get_mut(part)) else {
        return;
    };
    for piece in split(from, part.len()) {
        let index = (piece.offset - start) as usize / 4;
        piece.fill(read(index), part);
    }
}

/// Links the capabilities of one list and returns the offset of the first, or 0.
fn link(placements: &mut [Placement], extended: bool) -> u16 {
    let mut next = 0;
    for placed in placements.iter_mut().rev() {
        let id = placed.capability.get().id();
        if id.is_extended() != extended {
            continue;
        }
        let header = id.header(if placed.linked { next } else { 0 });
        let block = placed.capability.get_mut().registers_mut();
        if let Some(dword) = block.dword_mut(0) {
            dword.define(id.header_mask(), header);
        }
        if placed.linked {
            next = placed.offset;
        }
    }
    next
}

fn check_layout(placements: &[Placement], size: u16) -> Result<(), LayoutError> {
    let mut extents: Vec<(u16, u16, &'static str)> = Vec::with_capacity(placements.len());
    let mut unique = Vec::new();
    let mut extended_starts = None;
    for placed in placements {
        let capability = placed.capability.get();
        let (name, offset) = (capability.name(), placed.offset);
        let len = 4 * capability.registers().len();
        let (start, end) = if capability.id().is_extended() {
            if placed.linked {
                extended_starts.get_or_insert((name, offset));
            }
            (pci::CONVENTIONAL_SIZE as u16, size)
        } else {
            (pci::header::SIZE as u16, pci::CONVENTIONAL_SIZE as u16)
        };
        if offset % 4 != 0 {
            return Err(LayoutError::Unaligned { name, offset });
        }
        if offset < start || usize::from(offset) + len > usize::from(end) {
            return Err(LayoutError::OutOfRange {
                name,
                offset,
                len,
                start,
                end,
            });
        }
        let this = (offset, offset + len as u16, name);
        if let Some((other_offset, other_end, other)) = extents
            .iter()
            .copied()
            .find(|(from, to, _)| *from < this.1 && this.0 < *to)
        {
            return Err(LayoutError::Overlap {
                name,
                offset,
                other,
                other_offset,
                other_end,
            });
        }
        extents.push(this);
        if !matches!(placed.capability, AnyCapability::Other(_)) {
            let kind = discriminant(&placed.capability);
            if unique.contains(&kind) {
                return Err(LayoutError::Duplicate { name });
            }
            unique.push(kind);
        }
    }
    match extended_starts {
        Some((name, offset)) if usize::from(offset) != pci::CONVENTIONAL_SIZE => {
            Err(LayoutError::FirstExtended { name, offset })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
