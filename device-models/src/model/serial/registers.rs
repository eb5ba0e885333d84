//! The registers and their bits: PC16550D data sheet, table II.

/// Interrupt enable: bit 0 data, bit 1 transmitter empty, bit 3 modem status.
pub const IER: usize = 1;
/// Read: interrupt identification. Write: FIFO control, bits 7:6 one of [`TRIGGER_LEVELS`].
pub const IIR_FCR: usize = 2;
/// Line control.
pub const LCR: usize = 3;
/// Modem control.
pub const MCR: usize = 4;
/// Line status.
pub const LSR: usize = 5;
/// Modem status: in 3:0 what changed since it was last read.
pub const MSR: usize = 6;
/// Storage.
pub const SCR: usize = 7;
/// The divisor, which [`DLAB`] puts in place of registers 0 and 1.
pub const DIVISOR: usize = 8;

/// IER: an empty transmitter interrupts.
pub const TRANSMITTER_EMPTY: u8 = 0x02;
/// FCR: the FIFOs are on.
pub const FIFO_ENABLE: u8 = 0x01;
/// FCR: forget what was received.
pub const CLEAR_RECEIVER: u8 = 0x02;
/// FCR: forget what is to be sent.
pub const CLEAR_TRANSMITTER: u8 = 0x04;
/// Bytes in the receiver's FIFO that interrupt.
pub const TRIGGER_LEVELS: [usize; 4] = [1, 4, 8, 14];
/// LCR: registers 0 and 1 are the divisor.
pub const DLAB: u8 = 0x80;
/// MCR: request to send, which here lets the other end send.
pub const RTS: u8 = 0x02;
/// MCR: what is sent is received.
pub const LOOP: u8 = 0x10;
/// MSR: the lines that somebody at the other end holds on: DCD, DSR, CTS.
pub const CARRIER: u8 = 0xb0;
/// MSR: the ring indicator, of which only the end counts as a change.
pub const RING: u8 = 0x40;
