//! Bits of the registers: PC16550D data sheet, table II.

/// IER: data are there.
pub const IER_RECEIVED: u8 = 0x01;
/// IER: the transmitter is empty.
pub const IER_TRANSMITTER: u8 = 0x02;
/// IER: a line of the modem changed.
pub const IER_MODEM: u8 = 0x08;

/// IIR: no interrupt.
pub const IIR_NONE: u8 = 0x01;
/// IIR: as many bytes as the trigger level says.
pub const IIR_RECEIVED: u8 = 0x04;
/// IIR: fewer, but no more come.
pub const IIR_TIMEOUT: u8 = 0x0c;
/// IIR: the transmitter is empty.
pub const IIR_TRANSMITTER: u8 = 0x02;
/// IIR: a line of the modem changed.
pub const IIR_MODEM: u8 = 0x00;
/// IIR: the FIFOs are on.
pub const IIR_FIFOS: u8 = 0xc0;

/// FCR: the FIFOs are on. Bits 7:6 choose one of [`TRIGGER_LEVELS`].
pub const FCR_ENABLE: u8 = 0x01;
/// FCR: forget what was received.
pub const FCR_CLEAR_RECEIVER: u8 = 0x02;
/// FCR: forget what is to be sent.
pub const FCR_CLEAR_TRANSMITTER: u8 = 0x04;
/// Bytes in the receiver's FIFO that interrupt.
pub const TRIGGER_LEVELS: [usize; 4] = [1, 4, 8, 14];

/// LCR: registers 0 and 1 are the divisor.
pub const LCR_DLAB: u8 = 0x80;

/// MCR: data terminal ready.
pub const MCR_DTR: u8 = 0x01;
/// MCR: request to send; here, let the other end send.
pub const MCR_RTS: u8 = 0x02;
/// MCR: output 1.
pub const MCR_OUT1: u8 = 0x04;
/// MCR: output 2.
pub const MCR_OUT2: u8 = 0x08;
/// MCR: what is sent is received.
pub const MCR_LOOP: u8 = 0x10;

/// LSR: a byte is there.
pub const LSR_READY: u8 = 0x01;
/// LSR: neither holding nor shift register has anything to send.
pub const LSR_IDLE: u8 = 0x60;

/// MSR: what changed since it was last read.
pub const MSR_DELTAS: u8 = 0x0f;
/// MSR: the ring indicator went off.
pub const MSR_RI_ENDED: u8 = 0x04;
/// MSR: clear to send.
pub const MSR_CTS: u8 = 0x10;
/// MSR: data set ready.
pub const MSR_DSR: u8 = 0x20;
/// MSR: ring indicator.
pub const MSR_RI: u8 = 0x40;
/// MSR: data carrier detect.
pub const MSR_DCD: u8 = 0x80;
