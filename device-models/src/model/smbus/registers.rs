//! The registers, of one byte each (Intel 6 Series PCH data sheet, "SMBus Controller Registers").

use bitfield_struct::bitfield;

use crate::register::{Block, Register, register_bits};

/// Host Configuration, in config space.
pub const HSTCFG: u16 = 0x40;
/// Of [`HSTCFG`]: the host interface works.
pub const HST_EN: u8 = 1 << 0;
/// Of [`HSTCFG`]: block writes send no count, as on plain I²C.
pub const I2C_EN: u8 = 1 << 2;
/// Host Status: [`HostStatus`].
pub const HSTSTS: usize = 0x00;
/// Host Control: [`HostControl`].
pub const HSTCNT: usize = 0x02;
/// Host Command.
pub const HSTCMD: usize = 0x03;
/// Transmit Slave Address: bit 0 says that it is read.
pub const XMIT_SLVA: usize = 0x04;
/// Data 0, or the count of a block.
pub const DAT0: usize = 0x05;
/// Data 1.
pub const DAT1: usize = 0x06;
/// Block Data Byte: the byte of a block that was received last, or is sent next; or the place in the buffer that
/// software has reached.
pub const BLOCK_DB: usize = 0x07;
/// Auxiliary Control.
pub const AUX_CTL: usize = 0x0d;
/// Of [`AUX_CTL`]: SMBus blocks go through the buffer.
pub const E32B: u8 = 1 << 1;
/// Slave Command.
pub const SLV_CMD: usize = 0x11;
/// Of [`SLV_CMD`]: SMBALERT# does not interrupt.
pub const SMBALERT_DIS: u8 = 1 << 2;

/// The registers after power-on. The controller checks no PEC, and no other host sends messages to it.
pub fn page() -> Block {
    let register = |reset: u8, rw: u8, rw1c: u8| Register::new(reset).rw(rw).rw1c(rw1c);
    Block::page(
        8,
        [
            (HSTSTS, register(0x00, 0x00, 0xfe)),
            (HSTCNT, register(0x00, 0x3d, 0x00)),
            (HSTCMD, register(0x00, 0xff, 0x00)),
            (XMIT_SLVA, register(0x00, 0xff, 0x00)),
            (DAT0, register(0x00, 0xff, 0x00)),
            (DAT1, register(0x00, 0xff, 0x00)),
            (BLOCK_DB, register(0x00, 0xff, 0x00)),
            (0x08, register(0x00, 0xff, 0x00)), // Packet Error Check
            (0x09, register(0x44, 0x7f, 0x00)), // Receive Slave Address
            (AUX_CTL, register(0x00, E32B, 0x00)),
            (0x0e, register(0x07, 0x04, 0x00)), // SMLink Pin Control: wires at rest
            (0x0f, register(0x07, 0x04, 0x00)), // SMBus Pin Control: likewise
            (0x10, register(0x00, 0x00, 0x01)), // Slave Status
            (SLV_CMD, register(0x00, 0x07, 0x00)),
        ],
    )
}

/// `HSTSTS`.
#[bitfield(u8)]
pub struct HostStatus {
    /// A transaction runs.
    pub busy: bool,
    /// It is complete.
    pub done: bool,
    /// Nobody acknowledged.
    pub device_error: bool,
    /// Another host won the wires.
    pub bus_error: bool,
    /// It was killed.
    pub failed: bool,
    /// SMBALERT# was pulled.
    pub alert: bool,
    /// Somebody has read this register since it was cleared: a semaphore for software.
    pub in_use: bool,
    /// A byte of a block was moved.
    pub byte_done: bool,
}

/// `HSTCNT`.
#[bitfield(u8)]
pub struct HostControl {
    /// `HSTSTS` interrupts.
    pub interrupt: bool,
    /// End the transaction.
    pub kill: bool,
    /// SMB_CMD, the protocol.
    #[bits(3)]
    pub protocol: usize,
    /// The next byte of a block read is the last one.
    pub last_byte: bool,
    /// Begin; reads zero.
    pub start: bool,
    __: bool,
}

register_bits!(HostStatus: u8, HostControl: u8);
