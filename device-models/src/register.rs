//! Registers are data: a reset value and masks, written in the register's own bitfield type.
//!
//! A register has [`Attributes`]: its reset value and masks for the access to its bits. [`Dword`] packs
//! registers into the 32-bit unit in which a function sees every access, with [`Lanes`] for the bytes that an
//! access covers. Accesses of one, two and four bytes, aligned or not, are thus one path ([`split`]).
//!
//! The attributes of PCIe Base §7.4 map to masks like this:
//!
//! | attribute | mask |
//! |---|---|
//! | RO, HwInit, RsvdP, RsvdZ | in no mask |
//! | RW | [`Attributes::rw`] |
//! | RW1C | [`Attributes::rw1c`] |
//! | sticky (ROS, RWS, RW1CS) | [`Attributes::sticky`] besides |
//! | not touched by FLR | [`Attributes::kept_by_flr`] besides |
//! | backed by auxiliary power | [`Attributes::aux_backed`] besides |
//!
//! Device models declare their registers with [`registers!`](crate::registers), and the bits of
//! registers with [`register_bits!`](crate::register_bits). The attributes of capabilities depend
//! on the profile, so they create [`Register`]s at run time. A [`BankDescription`] also has the
//! names of registers: those that a model declares, or those that TOML describes.
//!
//! # Examples
//!
//! ```
//! use pci_device_models::register::registers;
//!
//! registers! {
//!     struct Registers[0x04] {
//!         /// Bit 1: the job is over. A write of one clears it.
//!         STATUS @ 0x00: u8 { reset: 0x12, rw1c: 0x02 },
//!     }
//! }
//!
//! let mut registers = Registers::default();
//! registers.write_byte_at(STATUS, 0xff);
//! assert_eq!(registers.read_at(STATUS), 0x10);
//! ```

mod attributes;
mod description;
mod dword;
mod lanes;
mod macros;
mod typed;

pub use crate::{register_bits, registers};
pub use attributes::{Access, Attributes};
pub use description::{
    BankDescription, DescriptionError, FieldDescription, Problem, RegisterDescription,
};
pub use dword::{Block, Dword, Written};
pub use lanes::{DwordWrite, Lanes, Piece, split};
pub use typed::{Register, RegisterBits};

/// Kinds of reset and power loss, from the deepest to the mildest (PCIe Base §6.6, §5.3.1.4).
///
/// Each kind has a mask in every register; the bits in that mask keep their value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetKind {
    /// Main and auxiliary power were lost, so no state is kept.
    PowerOn,
    /// Fundamental reset (PERST#, or main power back while auxiliary power stayed).
    Fundamental,
    /// Hot reset or `DL_Down`, the effect of a secondary bus reset above the function.
    Hot,
    /// Function Level Reset.
    Flr,
    /// The internal reset on D3hot→D0 of a function without `No_Soft_Reset`.
    SoftD3hot,
}

impl ResetKind {
    /// All kinds, deepest first.
    pub const ALL: [Self; 5] = [
        Self::PowerOn,
        Self::Fundamental,
        Self::Hot,
        Self::Flr,
        Self::SoftD3hot,
    ];
}

#[cfg(test)]
mod tests;
