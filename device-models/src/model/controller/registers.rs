//! The registers of the platform controller, in BAR0. All have 32 bits.

/// Identifies the controller.
pub const ID: u64 = 0x00;
/// Number of slots.
pub const SLOTS: u64 = 0x04;
/// Key of the first slot with a wake event, or 0.
pub const WOKEN: u64 = 0x08;
/// Key of the slot to which the registers below belong.
pub const SLOT: u64 = 0x10;
/// Main power of the slot: 1 on, 0 off.
pub const RAIL: u64 = 0x14;
/// Functions of the slot that woke, a bit for each; a write of 1 clears a bit.
pub const WAKE: u64 = 0x18;
/// Functions of the slot whose wake events are recorded, a bit for each.
pub const WAKE_ENABLE: u64 = 0x1c;

/// The value of [`ID`].
pub const ID_VALUE: u32 = 0x4352_4d44;
