//! The registers and their bits: PC16550D data sheet, table II.

/// Read: the byte received. Write: the byte to send.
pub const RBR_THR: usize = 0;
/// Interrupt enable: [`DATA`], [`TRANSMITTER_EMPTY`], [`MODEM_STATUS`].
pub const IER: usize = 1;
/// Read: interrupt identification. Write: FIFO control, bits 7:6 one of [`TRIGGER_LEVELS`].
pub const IIR_FCR: usize = 2;
/// Line control.
pub const LCR: usize = 3;
/// Modem control.
pub const MCR: usize = 4;
/// Line status: bit 0 a byte was received.
pub const LSR: usize = 5;
/// Modem status: [`CHANGES`], and above them the lines.
pub const MSR: usize = 6;
/// The divisor, two bytes, which [`DLAB`] puts in place of registers 0 and 1.
pub const DIVISOR: usize = 8;

/// The registers after power-on, and what software stores in them. The last but two is scratch.
pub const REGISTERS: [(u8, u8); 10] = [
    (0, 0),
    (0, 0x0f),
    (0, 0xc1),
    (0, 0xff),
    (0, 0x1f),
    (IDLE, 0),
    (0, 0),
    (0, 0xff),
    (0, 0xff),
    (0, 0xff),
];

/// IER: received data interrupts.
pub const DATA: u8 = 0x01;
/// IER: an empty transmitter interrupts.
pub const TRANSMITTER_EMPTY: u8 = 0x02;
/// IER: a change of modem status interrupts.
pub const MODEM_STATUS: u8 = 0x08;
/// IIR: none of them does.
pub const NO_INTERRUPT: u8 = 0x01;
/// IIR: the transmitter does.
pub const TRANSMITTER: u8 = 0x02;
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
/// LSR: nothing is left to send.
pub const IDLE: u8 = 0x60;
/// MSR: what changed since it was last read.
pub const CHANGES: u8 = 0x0f;
/// MSR: the lines that somebody at the other end holds on: DCD, DSR, CTS.
pub const CARRIER: u8 = 0xb0;
/// MSR: the ring indicator, of which only the end counts as a change.
pub const RING: u8 = 0x40;
