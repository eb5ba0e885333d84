//! Base Address Registers (PCIe Base §7.5.1.2.1) and the Expansion ROM BAR (§7.5.1.2.4).

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::register::{Dword, Register};

/// Number of BARs of a type 0 header.
pub const MAX_BARS: usize = 6;

/// The address space and width a BAR decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BarKind {
    /// 32-bit memory.
    Memory32,
    /// 64-bit memory, which occupies the next register as well.
    Memory64,
    /// I/O ports.
    Io,
}

/// The range that a BAR decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BarConfig {
    /// Space and width.
    pub kind: BarKind,
    /// The Prefetchable bit of a memory BAR.
    pub prefetchable: bool,
    /// Size in bytes, a power of two.
    pub size: u64,
}

/// Reasons for which a BAR cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BarError {
    /// The size is not a power of two.
    #[error("size {size:#x} is not a power of two; the next one is {:#x}", .size.checked_next_power_of_two().unwrap_or(1 << 63))]
    NotPowerOfTwo {
        /// Requested size.
        size: u64,
    },
    /// The size is too small or too large for the kind.
    #[error("size {size:#x} is outside {min:#x} to {max:#x}, the limits of a BAR of this kind")]
    OutOfRange {
        /// Requested size.
        size: u64,
        /// Smallest size.
        min: u64,
        /// Largest size.
        max: u64,
    },
    /// An I/O BAR has the Prefetchable bit, which only memory BARs have.
    #[error("an I/O BAR cannot be prefetchable")]
    PrefetchableIo,
}

impl BarConfig {
    /// Checks the limits of PCIe Base §7.5.1.2.1. Memory BARs have from 128 bytes (16 are
    /// tolerated, since real conventional functions have them) to 2 GiB, and more only with 64
    /// bits. I/O BARs have from 4 to 256 bytes.
    /// 256 bytes.
    ///
    /// # Errors
    /// The limit that the BAR breaks.
    pub fn validate(&self) -> Result<(), BarError> {
        let size = self.size;
        if !size.is_power_of_two() {
            return Err(BarError::NotPowerOfTwo { size });
        }
        if self.kind == BarKind::Io && self.prefetchable {
            return Err(BarError::PrefetchableIo);
        }
        let (min, max) = match self.kind {
            BarKind::Memory32 => (16, 1 << 31),
            BarKind::Memory64 => (16, 1 << 62),
            BarKind::Io => (4, 256),
        };
        if size < min || size > max {
            return Err(BarError::OutOfRange { size, min, max });
        }
        Ok(())
    }

    /// Returns the read-only low bits that tell software the kind of the BAR.
    const fn type_bits(&self) -> u32 {
        match self.kind {
            BarKind::Io => 1,
            BarKind::Memory32 => (self.prefetchable as u32) << 3,
            BarKind::Memory64 => 0b100 | (self.prefetchable as u32) << 3,
        }
    }

    /// Returns the address bits that software may set: all above the size.
    const fn address_mask(&self) -> u64 {
        let low = match self.kind {
            BarKind::Io => 0x3,
            _ => 0xf,
        };
        !(self.size.wrapping_sub(1)) & !low
    }

    /// Returns the low (or only) register.
    pub(crate) fn low(&self) -> Dword {
        let register = Register::new(self.type_bits()).rw(self.address_mask() as u32);
        Dword::new().with(0, register)
    }

    /// Returns the high register of a 64-bit BAR.
    pub(crate) fn high(&self) -> Dword {
        let register = Register::new(0).rw((self.address_mask() >> 32) as u32);
        Dword::new().with(0, register)
    }

    /// Moves the boundary between read-only and writable address bits for another size.
    pub(crate) fn resize(&mut self, size: u64, low: &mut Dword) {
        self.size = size;
        low.set_writable(0xffff_fff0, self.address_mask() as u32);
    }

    /// Moves the boundary in the high register of a 64-bit BAR; see [`Self::resize`].
    pub(crate) fn resize_high(&self, high: &mut Dword) {
        high.set_writable(u32::MAX, (self.address_mask() >> 32) as u32);
    }
}

/// Returns the Expansion ROM BAR of a ROM of `size` bytes (a power of two from 2 KiB to 16 MiB).
pub(super) fn rom(size: u32) -> Dword {
    let enable = 1;
    let address = !(size.wrapping_sub(1)) & 0xffff_f800;
    Dword::new().with(0, Register::new(0).rw(address | enable))
}
