//! The registers of the DesignWare I2C block (Synopsys DW_apb_i2c data book, as public in Intel's data sheets of chips
//! that hold the block).
//!
//! The block is a master only, with 7-bit addresses, and does no DMA.

use crate::register::{register_bits, registers};

registers! {
    /// The registers of the block.
    pub struct Registers[0x100] {
        /// Control.
        CON @ 0x00: Control { reset: 0x65, rw: 0x3ff },
        /// Target address.
        TAR @ 0x04: Target { reset: 0x55, rw: 0xfff },
        /// The block's own address, which is not used as a target.
        SAR @ 0x08: u32 { reset: 0x55, rw: 0x3ff },
        /// Written: a command; read: a byte received.
        DATA_CMD @ 0x10: Command,
        /// Clocks for which SCL is high in standard mode.
        SS_SCL_HCNT @ 0x14: u16 { reset: 0x190, rw: all },
        /// Clocks for which SCL is low in standard mode.
        SS_SCL_LCNT @ 0x18: u16 { reset: 0x1d6, rw: all },
        /// Clocks for which SCL is high in fast mode.
        FS_SCL_HCNT @ 0x1c: u16 { reset: 0x3c, rw: all },
        /// Clocks for which SCL is low in fast mode.
        FS_SCL_LCNT @ 0x20: u16 { reset: 0x82, rw: all },
        /// Interrupts that are raised and not masked.
        INTR_STAT @ 0x2c: Interrupts,
        /// Interrupts that are not masked.
        INTR_MASK @ 0x30: Interrupts { reset: 0x8ff, rw: 0x3fff },
        /// Interrupts that are raised.
        RAW_INTR_STAT @ 0x34: Interrupts,
        /// The receive FIFO raises an interrupt when it holds more bytes than this.
        RX_TL @ 0x38: u32 { rw: 0xff },
        /// The transmit FIFO raises an interrupt when it holds this many commands or fewer.
        TX_TL @ 0x3c: u32 { rw: 0xff },
        /// A read clears every interrupt that software clears.
        CLR_INTR @ 0x40: u32,
        /// A read clears one interrupt, and likewise for the registers that follow.
        CLR_RX_UNDER @ 0x44: u32,
        CLR_RX_OVER @ 0x48: u32,
        CLR_TX_OVER @ 0x4c: u32,
        CLR_RD_REQ @ 0x50: u32,
        CLR_TX_ABRT @ 0x54: u32,
        CLR_RX_DONE @ 0x58: u32,
        CLR_ACTIVITY @ 0x5c: u32,
        CLR_STOP_DET @ 0x60: u32,
        CLR_START_DET @ 0x64: u32,
        ENABLE @ 0x6c: Enable { rw: [ENABLE] },
        STATUS @ 0x70: Status { reset: 0x06 },
        /// Commands in the transmit FIFO.
        TXFLR @ 0x74: u32,
        /// Bytes in the receive FIFO.
        RXFLR @ 0x78: u32,
        SDA_HOLD @ 0x7c: u32 { reset: 0x01, rw: 0xffffff },
        /// The cause of an aborted transfer.
        TX_ABRT_SOURCE @ 0x80: AbortSource,
        SDA_SETUP @ 0x94: u32 { reset: 0x64, rw: 0xff },
        ACK_GEN_CALL @ 0x98: u32 { reset: 0x01, rw: 0x01 },
        /// 1 while the block is enabled.
        ENABLE_STATUS @ 0x9c: u32,
        FS_SPKLEN @ 0xa0: u32 { reset: 0x02, rw: 0xff },
        /// 32-bit bus, fast mode, one interrupt line, encoded parameters, 32 places in each FIFO.
        COMP_PARAM_1 @ 0xf4: u32 { reset: 0x001f1faa },
        /// Version 1.20a.
        COMP_VERSION @ 0xf8: u32 { reset: 0x3132302a },
        COMP_TYPE @ 0xfc: u32 { reset: 0x44570140 },
    }
}

register_bits! {
    /// Control.
    #[bitfield(u32)]
    pub struct Control {
        pub master: bool,
        /// 1 is standard mode, 100 kbit/s. Other values are fast mode here.
        #[bits(2)]
        pub speed: u8,
        #[bits(2)]
        __: u32,
        /// START again within a transfer is allowed.
        pub restart: bool,
        #[bits(26)]
        __: u32,
    }

    /// Target address.
    #[bitfield(u32)]
    pub struct Target {
        #[bits(7)]
        pub address: u8,
        #[bits(25)]
        __: u32,
    }

    /// Data and command.
    #[bitfield(u16)]
    pub struct Command {
        /// The byte to send, or the received byte.
        pub data: u8,
        /// Receives a byte instead.
        pub read: bool,
        /// STOP follows the byte.
        pub stop: bool,
        /// START again precedes the byte.
        pub restart: bool,
        #[bits(5)]
        __: u16,
    }

    /// Interrupts.
    #[bitfield(u32)]
    pub struct Interrupts {
        pub rx_under: bool,
        pub rx_over: bool,
        pub rx_full: bool,
        pub tx_over: bool,
        pub tx_empty: bool,
        pub rd_req: bool,
        pub tx_abrt: bool,
        pub rx_done: bool,
        pub activity: bool,
        pub stop_det: bool,
        pub start_det: bool,
        pub gen_call: bool,
        __: bool,
        /// The controller holds the wires until the next command.
        pub mst_on_hold: bool,
        #[bits(18)]
        __: u32,
    }

    /// Enable.
    #[bitfield(u32)]
    pub struct Enable {
        /// The block is enabled.
        pub enable: bool,
        /// Ends the transfer; reads zero.
        pub abort: bool,
        #[bits(30)]
        __: u32,
    }

    /// Status.
    #[bitfield(u32)]
    pub struct Status {
        pub activity: bool,
        pub tx_not_full: bool,
        pub tx_empty: bool,
        pub rx_not_empty: bool,
        pub rx_full: bool,
        pub master_activity: bool,
        #[bits(26)]
        __: u32,
    }

    /// Causes of an aborted transfer.
    #[bitfield(u32)]
    pub struct AbortSource {
        /// No target acknowledged the address.
        pub addr_noack_7b: bool,
        #[bits(2)]
        __: u32,
        /// The target did not acknowledge a byte.
        pub txdata_noack: bool,
        #[bits(12)]
        __: u32,
        /// Software ended the transfer.
        pub user_abort: bool,
        #[bits(15)]
        __: u32,
    }
}
