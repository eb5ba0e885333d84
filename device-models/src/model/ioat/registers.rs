//! The registers in BAR0 and the descriptors in memory.

use super::{PAGE, Parameters};
use crate::register::{Block, Register};

/// RO, 8 bits: channels. The first of the global registers.
pub const CHANCNT: usize = 0x00;
/// RO, 8 bits: binary logarithm of the largest copy in bytes in 4:0.
pub const XFERCAP: usize = 0x01;
/// 8 bits: see [`MASTER_ENABLE`] and those after it.
pub const INTRCTRL: usize = 0x03;
/// RO, 32 bits: the channels that interrupted, a bit each; reading it forgets them.
pub const ATTNSTATUS: usize = 0x04;

/// INTRCTRL: interrupts without a vector for each channel go out.
pub const MASTER_ENABLE: u8 = 1 << 0;
/// INTRCTRL, RO: `ATTNSTATUS` is not zero.
pub const STATUS: u8 = 1 << 1;
/// INTRCTRL, RO: both of the above.
pub const INTERRUPT: u8 = 1 << 2;
/// INTRCTRL: every channel has an MSI-X vector of its own.
pub const VECTOR_PER_CHANNEL: u8 = 1 << 3;

/// 16 bits: see [`REARM`] and those after it. The first register in a channel's page.
pub const CHANCTRL: usize = 0x00;
/// 8 bits: [`SUSPEND`], [`RESET`]; reads as what has not been obeyed yet.
pub const CHANCMD: usize = 0x04;
/// RW, 16 bits: descriptors handed over since the chain began, modulo 2^16.
pub const DMACOUNT: usize = 0x06;
/// RO, 64 bits: address of the last completed descriptor in 63:6, [`state`] in 2:0.
pub const CHANSTS: usize = 0x08;
/// RW, 64 bits: the first descriptor. A write begins a new chain.
pub const CHAINADDR: usize = 0x10;
/// RW, 64 bits: where completions are written.
pub const CHANCMP: usize = 0x18;
/// RO, 64 bits: the current descriptor.
pub const CDAR: usize = 0x20;
/// RW1C, 32 bits: see [`error`].
pub const CHANERR: usize = 0x28;
/// Config space, where the profile places it: `CHANERR` of any channel once more.
pub const CHANERR_INT: u16 = 0x180;

/// CHANCTRL: writing one lets the channel interrupt once more; reads zero.
pub const REARM: u16 = 1 << 0;
/// CHANCTRL: an error is written to `CHANCMP`. It ends the chain in any case.
pub const COMPLETION_ON_ERROR: u16 = 1 << 2;
/// CHANCTRL: an error interrupts.
pub const INTERRUPT_ON_ERROR: u16 = 1 << 4;

/// CHANCMD: stop after the descriptor at hand. Writing `DMACOUNT` resumes.
pub const SUSPEND: u8 = 1 << 2;
/// CHANCMD: forget everything.
pub const RESET: u8 = 1 << 5;

/// What a channel does.
pub mod state {
    /// It works on its chain.
    pub const ACTIVE: u64 = 0;
    /// As many descriptors as `DMACOUNT` says are done.
    pub const DONE: u64 = 1;
    /// It was suspended.
    pub const SUSPENDED: u64 = 2;
    /// It was reset, or an error stopped it.
    pub const HALTED: u64 = 3;
}

/// Bits of `CHANERR`.
pub mod error {
    /// The address of a descriptor leads nowhere.
    pub const NEXT_ADDRESS: u32 = 1 << 2;
    /// A descriptor is not at a multiple of its size.
    pub const ALIGNMENT: u32 = 1 << 3;
    /// The source cannot be read.
    pub const READ_DATA: u32 = 1 << 8;
    /// The destination cannot be written.
    pub const WRITE_DATA: u32 = 1 << 9;
    /// An operation that the engine does not have.
    pub const CONTROL: u32 = 1 << 10;
    /// No bytes, or more than `XFERCAP` allows.
    pub const LENGTH: u32 = 1 << 11;
    /// A completion cannot be written.
    pub const COMPLETION_ADDRESS: u32 = 1 << 12;
}

/// What of a descriptor the engine looks at: size in 31:0 and control in 63:32, then the bus
/// addresses of source, destination and next descriptor.
pub type Descriptor = [u64; 4];
/// Bytes of a [`Descriptor`].
pub const DESCRIPTOR_READ: u32 = 0x20;
/// Bytes of a whole descriptor in memory, which is its alignment.
pub const DESCRIPTOR: u64 = 0x40;

/// The control of a descriptor. Every one waits for what came before, fence or not.
pub mod control {
    /// Interrupt when done.
    pub const INTERRUPT: u32 = 1 << 0;
    /// Write `CHANSTS` to `CHANCMP` when done.
    pub const COMPLETION: u32 = 1 << 3;
    /// Do nothing, but count.
    pub const NULL: u32 = 1 << 5;
    /// The operation; zero is a copy.
    pub const OPERATION: u32 = 0xff << 24;
}

/// The pages: a global one, and one for each channel.
pub(super) fn pages(parameters: Parameters) -> Block {
    let (channels, cap) = (parameters.channels.get(), parameters.transfer_cap.get());
    let (ro, rw) = (Register::new, |mask| Register::new(0_u32).rw(mask));
    let size = u32::from_le_bytes([channels, cap, 0, 0]);
    let global = [
        (CHANCNT, ro(size).rw(0x09ff_0000)), // and XFERCAP, GENCTRL, INTRCTRL
        (0x08, ro(parameters.version.into())), // VER
        (0x0c, rw(0x3fff)),                  // INTRDELAY
        (0x10, ro(parameters.capabilities)), // DMACAP
    ];
    let of_a_channel = [
        (CHANCTRL, rw(0xffff_fffe)), // and DMA_COMP
        (CHANCMD, rw(0xffff_0000)),  // and DMACOUNT
        (CHANSTS, ro(state::HALTED as u32)),
        (CHAINADDR, rw(u32::MAX)),
        (CHAINADDR + 4, rw(u32::MAX)),
        (CHANCMP, rw(u32::MAX)),
        (CHANCMP + 4, rw(u32::MAX)),
        (CHANERR, ro(0).rw1c(u32::MAX)),
        (0x2c, rw(u32::MAX)), // CHANERRMASK
        (0x30, rw(u32::MAX)), // DCACTRL
    ];
    let pages = (1..=usize::from(channels)).flat_map(|page| {
        of_a_channel.map(move |(offset, register)| (page * PAGE + offset, register))
    });
    let dwords = (1 + usize::from(channels)) * PAGE / 4;
    Block::page(dwords, global.into_iter().chain(pages))
}
