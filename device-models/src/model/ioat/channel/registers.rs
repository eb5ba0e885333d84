//! The registers of a channel (data sheets of Intel's Xeon processors, "Intel QuickData Technology", CB_BAR): its page
//! of BAR0.

use crate::register::{register_bits, registers};

registers! {
    /// The registers of a channel.
    pub struct Registers[0x80] {
        /// Channel control.
        CHANCTRL @ 0x00: Control { rw: 0xfffe },
        /// Storage.
        DMA_COMP @ 0x02: u16 { rw: all },
        /// Channel command. Reads as the commands that are still pending.
        CHANCMD @ 0x04: Command,
        /// Descriptors handed over since the chain began, modulo 2^16.
        DMACOUNT @ 0x06: u16 { rw: all },
        /// Bits 63:6: the last completed descriptor; bits 2:0: the channel's state.
        CHANSTS @ 0x08: u64 { reset: 3 },
        /// The first descriptor; a write begins a new chain.
        CHAINADDR @ 0x10: u64 { rw: all },
        /// The address to which completions are written.
        CHANCMP @ 0x18: u64 { rw: all },
        /// The current descriptor.
        CDAR @ 0x20: u64,
        /// Errors of the channel.
        CHANERR @ 0x28: Errors { rw1c: all },
        /// Storage.
        CHANERRMASK @ 0x2c: u32 { rw: all },
        /// Storage.
        DCACTRL @ 0x30: u32 { rw: all },
    }
}

register_bits! {
    /// Control.
    #[bitfield(u16)]
    pub struct Control {
        /// The channel may interrupt once more; reads zero.
        pub rearm: bool,
        __: bool,
        /// An error is written to CHANCMP. It ends the chain in either case.
        pub completion_on_error: bool,
        __: bool,
        /// An error interrupts.
        pub interrupt_on_error: bool,
        #[bits(11)]
        __: u16,
    }

    /// Command.
    #[bitfield(u8)]
    pub struct Command {
        #[bits(2)]
        __: u8,
        /// Stops after the current descriptor. A write to DMACOUNT resumes.
        pub suspend: bool,
        #[bits(2)]
        __: u8,
        /// Resets the channel.
        pub reset: bool,
        #[bits(2)]
        __: u8,
    }

    /// Errors.
    #[bitfield(u32)]
    pub struct Errors {
        #[bits(2)]
        __: u32,
        /// A descriptor cannot be read.
        pub next_address: bool,
        /// A descriptor is not at a multiple of its size.
        pub alignment: bool,
        #[bits(4)]
        __: u32,
        /// The source cannot be read.
        pub read_data: bool,
        /// The destination cannot be written.
        pub write_data: bool,
        /// The engine does not have the operation.
        pub control: bool,
        /// No bytes, or more than XFERCAP allows.
        pub length: bool,
        /// A completion cannot be written.
        pub completion_address: bool,
        #[bits(19)]
        __: u32,
    }

    /// Bytes 4 to 7 of a descriptor. Every descriptor waits for the previous ones, with a fence or
    /// without.
    #[bitfield(u32)]
    pub struct DescriptorControl {
        /// Interrupts when the descriptor is done.
        pub interrupt: bool,
        #[bits(2)]
        __: u32,
        /// Writes CHANSTS to CHANCMP when the descriptor is done.
        pub completion: bool,
        __: bool,
        /// The descriptor is counted and does nothing else.
        pub null: bool,
        #[bits(18)]
        __: u32,
        /// The operation; 0 is a copy.
        pub operation: u8,
    }
}
