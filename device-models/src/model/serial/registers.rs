//! The registers of the UART, one byte each (PC16550D data sheet, table II).

use crate::register::{register_bits, registers};

registers! {
    /// The registers of the UART.
    pub struct Registers[0x0c] {
        /// Written: the byte to send; read: the byte received.
        THR @ 0: u8,
        /// Interrupt enable.
        IER @ 1: InterruptEnable { rw: 0x0f },
        /// Written: FIFO control; read: interrupt identification, IIR.
        FCR @ 2: FifoControl { rw: 0xc1 },
        /// Line control.
        LCR @ 3: LineControl { rw: all },
        /// Modem control.
        MCR @ 4: ModemControl { rw: 0x1f },
        /// Line status.
        LSR @ 5: LineStatus { reset: 0x60 },
        /// Modem status.
        MSR @ 6: ModemStatus,
        /// Scratch: storage.
        SCR @ 7: u8 { rw: all },
        /// The divisor's low byte: DLAB puts it in place of register 0.
        DLL @ 8: u8 { rw: all },
        /// The divisor's high byte: DLAB puts it in place of register 1.
        DLM @ 9: u8 { rw: all },
    }
}

register_bits! {
    /// Interrupt Enable.
    #[bitfield(u8)]
    pub struct InterruptEnable {
        /// Received bytes interrupt.
        pub data: bool,
        /// An empty transmitter interrupts.
        pub transmitter: bool,
        /// Errors in received bytes interrupt. They do not occur.
        pub line: bool,
        /// A change of the modem status interrupts.
        pub modem: bool,
        #[bits(4)]
        __: u8,
    }

    /// FIFO Control.
    #[bitfield(u8)]
    pub struct FifoControl {
        /// The FIFOs are on.
        pub enable: bool,
        /// Empties the receiver's FIFO; reads zero.
        pub clear_receiver: bool,
        /// Empties the transmitter's FIFO; reads zero.
        pub clear_transmitter: bool,
        #[bits(3)]
        __: u8,
        /// Number of received bytes that raise an interrupt: 1, 4, 8 or 14.
        #[bits(2)]
        pub trigger: u8,
    }

    /// Line Control.
    #[bitfield(u8)]
    pub struct LineControl {
        #[bits(7)]
        __: u8,
        /// Registers 0 and 1 are the divisor.
        pub dlab: bool,
    }

    /// Modem Control.
    #[bitfield(u8)]
    pub struct ModemControl {
        /// Data terminal ready.
        pub dtr: bool,
        /// Request to send: lets the other end send.
        pub rts: bool,
        /// Output 1.
        pub out1: bool,
        /// Output 2.
        pub out2: bool,
        /// The receiver receives the transmitter's bytes.
        pub loopback: bool,
        #[bits(3)]
        __: u8,
    }

    /// Line Status.
    #[bitfield(u8)]
    pub struct LineStatus {
        /// A byte was received.
        pub ready: bool,
        #[bits(4)]
        __: u8,
        /// A byte to send may be written.
        pub thre: bool,
        /// No byte is left to send.
        pub temt: bool,
        __: bool,
    }

    /// Modem Status.
    #[bitfield(u8)]
    pub struct ModemStatus {
        /// Inputs that changed since this register was read.
        #[bits(4)]
        pub changes: u8,
        /// DCD, RI, DSR, CTS.
        #[bits(4)]
        pub lines: u8,
    }
}
