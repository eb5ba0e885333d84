//! The registers of the SMBus host controller (Intel 6 Series PCH data sheet, "SMBus Controller Registers").
//!
//! The controller does not check PEC, and no other host sends messages to it.

use crate::register::{register_bits, registers};

registers! {
    /// The registers of the host controller.
    pub struct Registers[0x20] {
        /// Host Status.
        HSTSTS @ 0x00: HostStatus { rw1c: 0xfe },
        /// Host Control.
        HSTCNT @ 0x02: HostControl { rw: 0x3d },
        /// Host Command.
        HSTCMD @ 0x03: u8 { rw: all },
        /// Transmit Slave Address.
        XMIT_SLVA @ 0x04: TargetAddress { rw: all },
        /// Data 0, or the count of a block.
        DAT0 @ 0x05: u8 { rw: all },
        /// Data 1.
        DAT1 @ 0x06: u8 { rw: all },
        /// Block Data Byte.
        BLOCK_DB @ 0x07: u8 { rw: all },
        /// Packet Error Check.
        PEC @ 0x08: u8 { rw: all },
        /// Receive Slave Address.
        RCV_SLVA @ 0x09: u8 { reset: 0x44, rw: 0x7f },
        /// Auxiliary Control.
        AUX_CTL @ 0x0d: AuxiliaryControl { rw: [E32B] },
        /// SMLink Pin Control: idle wires.
        SMLINK_PIN @ 0x0e: u8 { reset: 0x07, rw: 0x04 },
        /// SMBus Pin Control: idle wires.
        SMBUS_PIN @ 0x0f: u8 { reset: 0x07, rw: 0x04 },
        /// Slave Status.
        SLV_STS @ 0x10: u8 { rw1c: 0x01 },
        /// Slave Command.
        SLV_CMD @ 0x11: SlaveCommand { rw: 0x07 },
    }
}

register_bits! {
    /// Host Status.
    #[bitfield(u8)]
    pub struct HostStatus {
        /// A transaction runs.
        pub busy: bool,
        /// The transaction is complete.
        pub done: bool,
        /// No target acknowledged.
        pub device_error: bool,
        /// Another host won the wires.
        pub bus_error: bool,
        /// The transaction was killed.
        pub failed: bool,
        /// A device asserted SMBALERT#.
        pub alert: bool,
        /// This register has been read since the bit was cleared: a semaphore for software.
        pub in_use: bool,
        /// A byte of a block was moved.
        pub byte_done: bool,
    }

    /// Host Control.
    #[bitfield(u8)]
    pub struct HostControl {
        /// Status bits of HSTSTS interrupt.
        pub interrupt: bool,
        /// Ends the transaction.
        pub kill: bool,
        /// The protocol of the transaction (SMB_CMD).
        #[bits(3)]
        pub protocol: u8,
        /// The next byte of a block read is the last one.
        pub last_byte: bool,
        /// Begins a transaction; reads zero.
        pub start: bool,
        __: bool,
    }

    /// Transmit Slave Address.
    #[bitfield(u8)]
    pub struct TargetAddress {
        /// The target sends.
        pub read: bool,
        /// The target's address.
        #[bits(7)]
        pub address: u8,
    }

    /// Auxiliary Control.
    #[bitfield(u8)]
    pub struct AuxiliaryControl {
        __: bool,
        /// SMBus blocks go through the buffer.
        pub e32b: bool,
        #[bits(6)]
        __: u8,
    }

    /// Slave Command.
    #[bitfield(u8)]
    pub struct SlaveCommand {
        #[bits(2)]
        __: u8,
        /// SMBALERT# does not interrupt.
        pub smbalert_dis: bool,
        #[bits(5)]
        __: u8,
    }

    /// Host Configuration, in config space at 40h.
    #[bitfield(u8)]
    pub struct HostConfiguration {
        /// The host interface is enabled.
        pub hst_en: bool,
        __: bool,
        /// Block writes send no count, as on plain I2C.
        pub i2c_en: bool,
        #[bits(5)]
        __: u8,
    }
}
