//! Byte offsets of the registers in BAR0.

/// RO: [`super::MAGIC_VALUE`].
pub const MAGIC: u64 = 0x00;
/// RW: storage; 0 after any reset.
pub const SCRATCH: u64 = 0x04;
/// W: message N if MSI-X or MSI is enabled, else INTx.
pub const IRQ_TRIGGER: u64 = 0x08;
/// RO: 0, since it can be read in D0 only.
pub const D_STATE: u64 = 0x0c;
/// W: a wake event N ms from now, in whatever state the function then is. Resets do not stop it.
pub const PME_AFTER_MS: u64 = 0x10;
/// RO: BAR and ROM accesses outside D0 since power-on.
pub const OUTSIDE_D0: u64 = 0x14;
/// RO: resets of any kind since power-on.
pub const RESETS: u64 = 0x18;
/// W: INTx is released.
pub const IRQ_ACK: u64 = 0x1c;
/// RW: bus address of the source, 64 bits.
pub const DMA_SRC: u64 = 0x20;
/// RW: bus address of the destination, 64 bits.
pub const DMA_DST: u64 = 0x28;
/// RW: bytes of one copy.
pub const DMA_LEN: u64 = 0x30;
/// RW: how many copies.
pub const DMA_COUNT: u64 = 0x34;
/// W: [`super::DmaControl`].
pub const DMA_CTRL: u64 = 0x38;
/// RO: [`super::DmaStatus`].
pub const DMA_STATUS: u64 = 0x3c;
