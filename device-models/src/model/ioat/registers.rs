//! The global registers of the copy engine (data sheets of Intel's Xeon processors, "Intel QuickData Technology",
//! CB_BAR): the first page of BAR0.
//!
//! Registers whose value a profile chooses are zero after a reset.

use crate::register::{register_bits, registers};

registers! {
    /// The global registers.
    pub struct Registers[0x80] {
        /// Number of channels.
        CHANCNT @ 0x00: u8,
        /// The largest copy.
        XFERCAP @ 0x01: TransferCapacity,
        /// Storage.
        GENCTRL @ 0x02: u8 { rw: all },
        /// Interrupt control.
        INTRCTRL @ 0x03: InterruptControl { rw: [MASTER_ENABLE, VECTOR_PER_CHANNEL] },
        /// The channels that interrupted; a read clears them.
        ATTNSTATUS @ 0x04: u32,
        /// Version: one digit for each of the two parts of the number.
        VER @ 0x08: u8,
        /// Storage.
        INTRDELAY @ 0x0c: u16 { rw: 0x3fff },
        /// Capabilities besides copying.
        DMACAP @ 0x10: u32,
    }
}

register_bits! {
    /// Transfer Capacity.
    #[bitfield(u8)]
    pub struct TransferCapacity {
        /// Binary logarithm of the bytes of the largest copy.
        #[bits(5)]
        pub log2_bytes: u8,
        #[bits(3)]
        __: u8,
    }

    /// Interrupt Control.
    #[bitfield(u8)]
    pub struct InterruptControl {
        /// Enables interrupts that have no vector for each channel.
        pub master_enable: bool,
        /// ATTNSTATUS is not zero.
        pub status: bool,
        /// Both of the above.
        pub interrupt: bool,
        /// Every channel has an MSI-X vector of its own.
        pub vector_per_channel: bool,
        #[bits(4)]
        __: u8,
    }
}
