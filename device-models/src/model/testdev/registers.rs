//! The registers of the test device, in BAR0. Write-only registers read zero.

use crate::register::{register_bits, registers};

registers! {
    /// The registers of the test device.
    pub struct Registers[0x40] {
        /// Identifies the test device.
        MAGIC @ 0x00: u32 { reset: 0x504d4456 },
        /// Storage; 0 after any reset.
        SCRATCH @ 0x04: u32 { rw: all },
        /// A write of N sends message N if MSI-X or MSI is enabled, and asserts INTx otherwise.
        IRQ_TRIGGER @ 0x08: u32,
        /// Power state: always 0, since it can be read in D0 only.
        D_STATE @ 0x0c: u32,
        /// A write of N raises a wake event N ms later, in the function's power state at that time.
        PME_AFTER_MS @ 0x10: u32,
        /// BAR and ROM accesses outside D0 since power-on.
        OUTSIDE_D0 @ 0x14: u32,
        /// Resets of any kind since power-on.
        RESETS @ 0x18: u32,
        /// A write releases INTx.
        IRQ_ACK @ 0x1c: u32,
        /// Bus address of the source.
        DMA_SRC @ 0x20: u64 { rw: all },
        /// Bus address of the destination.
        DMA_DST @ 0x28: u64 { rw: all },
        /// Bytes of one copy.
        DMA_LEN @ 0x30: u32 { rw: all },
        /// Number of copies.
        DMA_COUNT @ 0x34: u32 { rw: all },
        /// Starts and stops the copy engine.
        DMA_CTRL @ 0x38: DmaControl,
        /// Status of the job that runs, or of the last one.
        DMA_STATUS @ 0x3c: DmaStatus,
    }
}

register_bits! {
    /// Control of the copy engine.
    #[bitfield(u32)]
    pub struct DmaControl {
        /// Starts a job; ignored while one runs.
        pub go: bool,
        /// Interrupts at the end of the job, also on an error.
        pub interrupt: bool,
        #[bits(6)]
        __: u32,
        /// The vector to interrupt with.
        pub vector: u8,
        #[bits(15)]
        __: u32,
        /// Ends the job after the slice in progress. It has precedence over `go`.
        pub stop: bool,
    }

    /// Status of the copy engine.
    #[bitfield(u32)]
    pub struct DmaStatus {
        /// A job runs.
        pub busy: bool,
        /// The last job is over.
        pub done: bool,
        /// An error ended the last job.
        pub error: bool,
        #[bits(5)]
        __: u32,
        /// The error: 1 unmapped, 2 not permitted, 3 bus mastering off, 4 aborted by a power state or reset.
        pub code: u8,
        #[bits(16)]
        __: u32,
    }
}
