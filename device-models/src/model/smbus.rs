//! The SMBus host controller of Intel's chipsets. It is a host for [`i2c`](super::i2c) targets with
//! one-byte registers in an I/O BAR and optionally in a memory BAR, and with INTx.
//!
//! A transaction takes as long as its bytes take at 100 kHz. SMBus blocks use the buffer if it is
//! enabled. Other blocks move byte by byte, with software in between. The controller begins no
//! transaction while its host interface is disabled in config space.
//!
//! # Examples
//!
//! SMBus Pin Control: the wires are idle.
//!
//! ```
//! use pci_device_models::bench::Bench;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//!
//! let text = Profile::builtin("smbus").ok_or("it is built in")?;
//! let profile = Profile::parse("smbus", text, &[])?;
//! let mut bench = Bench::of(&profile, &Registry::builtin())?;
//! assert_eq!(bench.read_bytes(0, 0x0f), [0x07]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod registers;

use self::registers::*;
use super::i2c::Bus;
use super::prelude::*;

/// Host Configuration, in config space.
pub const HSTCFG: u16 = 0x40;

/// Time of eight bits and the acknowledgement at 100 kHz.
const BYTE_TIME: Duration = Duration::from_micros(90);
/// Timer: the activity on the wires ends.
const WIRES_FREE: u16 = 0;

/// The host controller.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Smbus {
    registers: Registers,
    bus: Bus,
    buffer: [u8; 32],
    /// Index of the buffer's byte that `BLOCK_DB` accesses.
    place: u8,
    /// A block that moves byte by byte: `true` if the target sends it, and the number of bytes
    /// left.
    block: Option<(bool, u8)>,
    /// The bits that `HSTSTS` shows when the activity on the wires ends.
    outcome: HostStatus,
}

impl Smbus {
    /// Returns the buffer's byte that `BLOCK_DB` accesses, if the buffer is in use, and advances to
    /// the next one.
    fn buffered(&mut self) -> Option<&mut u8> {
        let byte = &mut self.buffer[usize::from(self.place % 32)];
        self.place = self.place % 32 + 1;
        self.registers.aux_ctl().e32b().then_some(byte)
    }

    /// Begins activity on the wires that ends in `outcome`.
    fn begin(&mut self, cx: &mut Context<'_>, outcome: HostStatus) {
        self.registers.raise_hststs(HostStatus::BUSY);
        self.outcome = outcome;
        cx.set_timer(
            WIRES_FREE,
            Some(cx.now().after(BYTE_TIME * self.bus.take_bytes())),
        );
    }

    /// Ends the activity on the wires.
    fn end(&mut self, cx: &mut Context<'_>, outcome: HostStatus) {
        if !outcome.byte_done() {
            self.bus.stop();
            self.block = None;
            self.registers.clear_hststs(HostStatus::BUSY);
        }
        self.registers.raise_hststs(outcome);
        cx.set_timer(WIRES_FREE, None);
    }

    /// Performs a transaction: all of it, or up to the first byte of a block.
    fn transact(&mut self, i2c: bool) -> HostStatus {
        let registers = &mut self.registers;
        let (target, protocol) = (registers.xmit_slva(), registers.hstcnt().protocol());
        let data = [registers.hstcmd(), registers.dat0(), registers.dat1()];
        // What of these is sent, and how many bytes DAT0 and DAT1 receive.
        let (sent, received) = match (protocol, target.read()) {
            (1..=3, false) => (&data[..protocol.into()], 0), // Send Byte, Write Byte, Write Word
            (1, true) => (&[][..], 1),                       // Receive Byte
            (2 | 5, true) => (&data[..1], 1),                // Read Byte, Block Read
            (3, true) => (&data[..1], 2),                    // Read Word
            (4, _) => (&data[..], 2),                        // Process Call
            (5, false) if i2c => (&data[..1], 0),            // Block Write without the count
            (5, false) => (&data[..2], 0),                   // Block Write
            (6, _) => (&data[2..], 0),                       // I2C Read
            (7, _) => (&data[..2], 1),                       // Block Process Call
            _ => (&[][..], 0),                               // Quick
        };
        let reads = target.read() || matches!(protocol, 4 | 6 | 7);
        let buffered = registers.aux_ctl().e32b() && matches!(protocol, 5 | 7);
        let block = self.buffer.iter().take(data[1].into());
        let block = block.filter(|_| buffered && !target.read());
        let bytes = sent.iter().chain(block).copied();
        if !self.bus.message(target.address(), bytes, reads) {
            return HostStatus::DEVICE_ERROR;
        }
        for register in [DAT0, DAT1].into_iter().take(received) {
            registers.set(register as usize, self.bus.read());
        }
        let count = registers.dat0();
        if buffered && reads {
            let block = self.buffer.iter_mut().take(count.into());
            block.for_each(|byte| *byte = self.bus.read());
        }
        match protocol {
            5 | 7 if !buffered => self.block_byte(reads, count),
            6 => self.block_byte(reads, u8::MAX),
            _ => HostStatus::DONE,
        }
    }

    /// Moves the next byte of a block between the wires and `BLOCK_DB`.
    fn block_byte(&mut self, reads: bool, left: u8) -> HostStatus {
        let last = left <= 1 || reads && self.registers.hstcnt().last_byte();
        self.block = Some((reads, if last { 0 } else { left - 1 }));
        if reads {
            self.registers.set_block_db(self.bus.read());
        } else if !self.bus.write(self.registers.block_db()) {
            return HostStatus::DEVICE_ERROR;
        }
        HostStatus::BYTE_DONE
    }

    /// Continues a block after software has handled a byte.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        let outcome = match self.block {
            None => return,
            Some((_, 0)) => HostStatus::DONE,
            Some((reads, left)) => self.block_byte(reads, left),
        };
        self.begin(cx, outcome);
    }
}

impl Model for Smbus {
    fn read(&mut self, _: &mut Context<'_>, _: u8, offset: u64, lanes: Lanes) -> u32 {
        if lanes.reach(offset, HSTCNT) {
            self.place = 0;
        }
        if lanes.reach(offset, BLOCK_DB)
            && let Some(byte) = self.buffered().copied()
        {
            self.registers.set_block_db(byte);
        }
        let value = self.registers.read_at(offset);
        if lanes.reach(offset, HSTSTS) {
            self.registers.raise_hststs(HostStatus::IN_USE);
        }
        value
    }

    fn write(&mut self, cx: &mut Context<'_>, _: u8, offset: u64, write: DwordWrite) {
        let before = self.registers.hststs();
        let host: HostConfiguration = cx.config(HSTCFG);
        self.registers.write_at(offset, write);
        let waits = self.registers.hststs().byte_done();
        for (byte, value) in write.bytes() {
            let control = HostControl::from(value);
            match offset + byte as u64 {
                HSTSTS if before.byte_done() && !waits => self.go_on(cx),
                HSTCNT if control.kill() && before.busy() => self.end(cx, HostStatus::FAILED),
                HSTCNT if control.start() && host.hst_en() && !before.busy() => {
                    let outcome = self.transact(host.i2c_en());
                    self.begin(cx, outcome);
                }
                BLOCK_DB => self.buffered().into_iter().for_each(|byte| *byte = value),
                _ => {}
            }
        }
    }

    fn settle(&mut self, cx: &mut Context<'_>) {
        let (status, control) = (self.registers.hststs(), self.registers.hstcnt());
        let others = HostStatus::BUSY | HostStatus::ALERT | HostStatus::IN_USE;
        let alert = status.alert() && !self.registers.slv_cmd().smbalert_dis();
        cx.set_intx(status.has(!others) && control.interrupt() || alert);
    }

    fn reset(&mut self, cx: &mut Context<'_>, kind: ResetKind) {
        self.end(cx, HostStatus::new());
        self.registers.reset(kind);
    }

    fn timer(&mut self, cx: &mut Context<'_>, _: u16, _: Time) {
        self.end(cx, self.outcome);
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["alert"]
    }

    /// Asserts SMBALERT#, which is also a wake event.
    fn input(&mut self, cx: &mut Context<'_>, _: &str) {
        self.registers.raise_hststs(HostStatus::ALERT);
        cx.pme();
    }
}

#[cfg(test)]
mod tests;
