//! The registers in BAR0 and the descriptors in memory.

use bitfield_struct::bitfield;
use serde::{Deserialize, Serialize};

use super::{PAGE, Parameters};
use crate::register::{Block, Register, register_bits};

/// Byte offsets of the global registers in BAR0.
pub mod global {
    /// RO, 8 bits: channels.
    pub const CHANCNT: u64 = 0x00;
    /// RO, 8 bits: binary logarithm of the largest copy in bytes. Behind it is `GENCTRL`, storage.
    pub const XFERCAP: u64 = 0x01;
    /// 8 bits: [`InterruptControl`](super::InterruptControl).
    pub const INTRCTRL: u64 = 0x03;
    /// RO, 32 bits: the channels that interrupted, a bit each; reading it forgets them.
    pub const ATTNSTATUS: u64 = 0x04;
    /// RO, 8 bits: version, a digit each.
    pub const VER: u64 = 0x08;
    /// RW, 14 bits: storage.
    pub const INTRDELAY: u64 = 0x0c;
    /// RO, 32 bits: what the engine can besides copying.
    pub const DMACAP: u64 = 0x10;
}

/// Byte offsets of a channel's registers in its page.
pub mod channel {
    /// 16 bits: [`Control`](super::Control); behind it RW, 16 bits `DMA_COMP`: storage.
    pub const CHANCTRL: u64 = 0x00;
    /// 8 bits: [`Command`](super::Command).
    pub const CHANCMD: u64 = 0x04;
    /// RW, 16 bits: descriptors handed over since the chain began, modulo 2^16.
    pub const DMACOUNT: u64 = 0x06;
    /// RO, 64 bits: address of the last completed descriptor in 63:6, [`State`](super::State) in 2:0.
    pub const CHANSTS: u64 = 0x08;
    /// RW, 64 bits: the first descriptor. A write begins a new chain.
    pub const CHAINADDR: u64 = 0x10;
    /// RW, 64 bits: where completions are written.
    pub const CHANCMP: u64 = 0x18;
    /// RO, 64 bits: the current descriptor.
    pub const CDAR: u64 = 0x20;
    /// RW1C, 32 bits: see [`error`](super::error).
    pub const CHANERR: u64 = 0x28;
    /// RW, 32 bits: storage.
    pub const CHANERRMASK: u64 = 0x2c;
    /// RW, 32 bits: storage.
    pub const DCACTRL: u64 = 0x30;
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

/// Config space, where the profile places it: `CHANERR` of any channel once more.
pub const CHANERR_INT: u16 = 0x180;

/// `INTRCTRL`.
#[bitfield(u8)]
pub struct InterruptControl {
    /// Interrupts without a vector for each channel go out.
    pub master_enable: bool,
    /// RO: `ATTNSTATUS` is not zero.
    pub status: bool,
    /// RO: both of the above.
    pub interrupt: bool,
    /// Every channel has an MSI-X vector of its own.
    pub vector_per_channel: bool,
    #[bits(4)]
    __: u8,
}

/// `CHANCTRL`. An error ends the chain in any case.
#[bitfield(u16)]
pub struct Control {
    /// Writing one lets the channel interrupt once more; reads zero.
    pub rearm: bool,
    __: bool,
    /// An error is written to `CHANCMP`.
    pub completion_on_error: bool,
    __: bool,
    /// An error interrupts.
    pub interrupt_on_error: bool,
    #[bits(11)]
    __: u16,
}

/// `CHANCMD`.
#[bitfield(u8)]
pub struct Command {
    #[bits(2)]
    __: u8,
    /// Stop after the descriptor at hand. Writing `DMACOUNT` resumes.
    pub suspend: bool,
    #[bits(2)]
    __: u8,
    /// Forget everything; reads one until that is done.
    pub reset: bool,
    #[bits(2)]
    __: u8,
}

register_bits!(InterruptControl: u8, Control: u16);

/// What a channel does, as bits 2:0 of `CHANSTS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum State {
    /// It works on its chain.
    Active = 0,
    /// As many descriptors as `DMACOUNT` says are done.
    Done = 1,
    /// It was suspended.
    Suspended = 2,
    /// It was reset, or an error stopped it.
    #[default]
    Halted = 3,
}

/// The control word of a descriptor. Every one waits for what came before, fence or not.
#[bitfield(u32)]
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DescriptorControl {
    /// Interrupt when done.
    pub interrupt: bool,
    #[bits(2)]
    __: u8,
    /// Write `CHANSTS` to `CHANCMP` when done.
    pub completion: bool,
    __: bool,
    /// Do nothing, but count.
    pub null: bool,
    #[bits(18)]
    __: u32,
    /// 0: copy.
    pub operation: u8,
}

/// What of a descriptor the engine looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Bytes to be copied.
    pub size: u32,
    /// What is to be done.
    pub control: DescriptorControl,
    /// Bus address of the source.
    pub source: u64,
    /// Bus address of the destination.
    pub destination: u64,
    /// Bus address of the next descriptor.
    pub next: u64,
}

impl Descriptor {
    /// Bytes that the engine reads, and a descriptor's alignment, which is its whole size.
    pub const LEN: u32 = 0x20;
    /// See [`Self::LEN`].
    pub const ALIGNMENT: u64 = 0x40;

    /// The descriptor that stands in these bytes, if there are enough.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let [head, source, destination, next] = words.first_chunk()?.map(u64::from_le_bytes);
        Some(Self {
            size: head as u32,
            control: DescriptorControl::from_bits((head >> 32) as u32),
            source,
            destination,
            next,
        })
    }
}

/// The pages: a global one, and one for each channel. What depends on more than writes is not stored:
/// `ATTNSTATUS`, `CHANSTS`, `CDAR`.
pub(super) fn pages(parameters: Parameters) -> Block {
    let (channels, cap) = (parameters.channels.get(), parameters.transfer_cap.get());
    let size = u32::from_le_bytes([channels, cap, 0, 0]);
    let (ro, rw) = (Register::new, |mask| Register::new(0_u32).rw(mask));
    let global = [
        (global::CHANCNT, ro(size).rw(0x09ff_0000)),
        (global::VER, ro(parameters.version.into())),
        (global::INTRDELAY, rw(0x3fff)),
        (global::DMACAP, ro(parameters.capabilities)),
    ];
    let of_a_channel = [
        (channel::CHANCTRL, rw(0xffff_fffe)),
        (channel::CHANCMD, rw(0xffff_0000)),
        (channel::CHAINADDR, rw(u32::MAX)),
        (channel::CHAINADDR + 4, rw(u32::MAX)),
        (channel::CHANCMP, rw(u32::MAX)),
        (channel::CHANCMP + 4, rw(u32::MAX)),
        (channel::CHANERR, ro(0).rw1c(u32::MAX)),
        (channel::CHANERRMASK, rw(u32::MAX)),
        (channel::DCACTRL, rw(u32::MAX)),
    ];
    let pages = (1..=u64::from(channels)).flat_map(|page| {
        of_a_channel.map(move |(offset, register)| (page * PAGE + offset, register))
    });
    let registers = global.into_iter().chain(pages);
    let len = (u64::from(channels) + 1) * PAGE;
    Block::page(
        len as usize / 4,
        registers.map(|(offset, register)| (offset as usize, register)),
    )
}
