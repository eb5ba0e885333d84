//! The registers, of four bytes each (Synopsys DesignWare `DW_apb_i2c` data book, as public in Intel's data sheets of
//! chips that hold the block).

use bitfield_struct::bitfield;

use crate::register::{Block, Register, register_bits};

/// Commands and bytes that each FIFO holds.
pub const FIFO_DEPTH: usize = 32;

/// Control: [`Control`].
pub const CON: usize = 0x00;
/// Target address.
pub const TAR: usize = 0x04;
/// Data and commands: [`Command`].
pub const DATA_CMD: usize = 0x10;
/// Clocks that SCL is high in standard mode.
pub const SS_SCL_HCNT: usize = 0x14;
/// Clocks that SCL is low in standard mode.
pub const SS_SCL_LCNT: usize = 0x18;
/// As [`SS_SCL_HCNT`] in fast mode.
pub const FS_SCL_HCNT: usize = 0x1c;
/// As [`SS_SCL_LCNT`] in fast mode.
pub const FS_SCL_LCNT: usize = 0x20;
/// [`Interrupts`] that are raised and not masked.
pub const INTR_STAT: usize = 0x2c;
/// [`Interrupts`] that are not masked.
pub const INTR_MASK: usize = 0x30;
/// [`Interrupts`] that are raised.
pub const RAW_INTR_STAT: usize = 0x34;
/// With more bytes than this the receive FIFO raises an interrupt.
pub const RX_TL: usize = 0x38;
/// With this many commands or fewer the transmit FIFO raises an interrupt.
pub const TX_TL: usize = 0x3c;
/// Enable: [`Enable`].
pub const ENABLE: usize = 0x6c;
/// What goes on: [`Status`].
pub const STATUS: usize = 0x70;
/// Commands in the transmit FIFO.
pub const TXFLR: usize = 0x74;
/// Bytes in the receive FIFO.
pub const RXFLR: usize = 0x78;
/// Why a transfer was aborted.
pub const TX_ABRT_SOURCE: usize = 0x80;
/// Whether the block is enabled.
pub const ENABLE_STATUS: usize = 0x9c;

/// Of [`TX_ABRT_SOURCE`]: nobody acknowledged the address.
pub const ABRT_7B_ADDR_NOACK: u32 = 1 << 0;
/// Of [`TX_ABRT_SOURCE`]: the target did not acknowledge a byte.
pub const ABRT_TXDATA_NOACK: u32 = 1 << 3;
/// Of [`TX_ABRT_SOURCE`]: software asked for it.
pub const ABRT_USER_ABRT: u32 = 1 << 16;

/// The registers after power-on. The block is a master only, with 7-bit addresses, and does no DMA. What follows from its
/// state ([`INTR_STAT`], [`STATUS`] and their like) is not stored here.
pub fn page() -> Block {
    let register = |reset: u32, rw: u32| Register::new(reset).rw(rw);
    Block::page(
        0x40,
        [
            (CON, register(0x65, 0x3ff)),
            (TAR, register(0x55, 0xfff)),
            (0x08, register(0x55, 0x3ff)), // SAR
            (SS_SCL_HCNT, register(0x190, 0xffff)),
            (SS_SCL_LCNT, register(0x1d6, 0xffff)),
            (FS_SCL_HCNT, register(0x3c, 0xffff)),
            (FS_SCL_LCNT, register(0x82, 0xffff)),
            (INTR_MASK, register(0x8ff, 0x3fff)),
            (RX_TL, register(0, 0xff)),
            (TX_TL, register(0, 0xff)),
            (ENABLE, register(0, 0x01)),
            (0x7c, register(0x01, 0x00ff_ffff)), // SDA_HOLD
            (0x94, register(0x64, 0xff)),        // SDA_SETUP
            (0x98, register(0x01, 0x01)),        // ACK_GENERAL_CALL
            (0xa0, register(0x02, 0xff)),        // FS_SPKLEN
            (0xf4, register(COMP_PARAM_1, 0)),
            (0xf8, register(0x3132_302a, 0)), // COMP_VERSION: 1.20a
            (0xfc, register(0x4457_0140, 0)), // COMP_TYPE
        ],
    )
}

/// 32-bit bus, fast mode, one interrupt line, encoded parameters, depth of both FIFOs less one.
const COMP_PARAM_1: u32 = 0xaa | (FIFO_DEPTH as u32 - 1) << 8 | (FIFO_DEPTH as u32 - 1) << 16;

/// The registers that software can write only while the block is disabled.
pub const SET_UP: [usize; 9] = [
    CON,
    TAR,
    0x08,
    SS_SCL_HCNT,
    SS_SCL_LCNT,
    FS_SCL_HCNT,
    FS_SCL_LCNT,
    0x7c,
    0xa0,
];

/// The registers that clear interrupts when they are read, and which.
pub const CLEARS: [(usize, Interrupts); 8] = [
    (0x40, Interrupts::from_bits(0x74b)), // CLR_INTR: all that software clears
    (0x44, Interrupts::new().with_rx_under(true)),
    (0x48, Interrupts::new().with_rx_over(true)),
    (0x4c, Interrupts::new().with_tx_over(true)),
    (0x54, Interrupts::new().with_tx_abort(true)),
    (0x5c, Interrupts::new().with_activity(true)),
    (0x60, Interrupts::new().with_stop(true)),
    (0x64, Interrupts::new().with_start(true)),
];

/// `IC_CON`.
#[bitfield(u32)]
pub struct Control {
    pub master: bool,
    /// 1 is standard mode, 100 kbit/s; others are fast mode here.
    #[bits(2)]
    pub speed: u8,
    #[bits(2)]
    __: u8,
    /// START again within a transfer is allowed.
    pub restart: bool,
    #[bits(26)]
    __: u32,
}

/// `IC_DATA_CMD`.
#[bitfield(u16)]
pub struct Command {
    /// The byte to send, or that was received.
    pub data: u8,
    /// Receive a byte instead.
    pub read: bool,
    /// STOP after it.
    pub stop: bool,
    /// START again before it.
    pub restart: bool,
    #[bits(5)]
    __: u8,
}

/// `IC_INTR_STAT`, `IC_INTR_MASK`, `IC_RAW_INTR_STAT`.
#[bitfield(u32)]
pub struct Interrupts {
    pub rx_under: bool,
    pub rx_over: bool,
    pub rx_full: bool,
    pub tx_over: bool,
    pub tx_empty: bool,
    __: bool,
    pub tx_abort: bool,
    __: bool,
    pub activity: bool,
    pub stop: bool,
    pub start: bool,
    #[bits(2)]
    __: u8,
    /// The wires are held: the transfer goes on when there is a command.
    pub on_hold: bool,
    #[bits(18)]
    __: u32,
}

/// `IC_ENABLE`.
#[bitfield(u32)]
pub struct Enable {
    pub enable: bool,
    /// End the transfer; reads zero.
    pub abort: bool,
    #[bits(30)]
    __: u32,
}

/// `IC_STATUS`.
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

register_bits!(Control: u32, Interrupts: u32, Enable: u32, Status: u32);
