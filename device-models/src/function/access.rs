//! Accesses that reach the function: config space, BARs, expansion ROM.

use super::core::Core;
use super::errors::Access;
use super::memory::read_bytes;
use super::{BarContent, Delays, Function, Target};
use crate::config::BarKind;
use crate::fault::{Occurrence, Range};
use crate::power::PowerState;
use crate::register::split;
use crate::time::Time;
use crate::violation::Violation;

/// The value that the requester reads if no device answers.
const ALL_ONES: u8 = 0xff;

/// Vendor ID of a function that asks for a retry (PCIe Base §2.3.2).
const RETRY_ID: u16 = 0x0001;

impl Function {
    /// Reads config space. All bits read one without power, and during delays that are enforced.
    pub fn config_read(&mut self, now: Time, offset: u64, data: &mut [u8]) {
        if self.core.faults.is_some() {
            self.core.note_time(now);
            let range = Range::of(offset, data.len());
            self.core.meet(&Occurrence::ConfigRead(range));
            self.settle_faults(now);
            self.core.show_link(now);
        }
        if self.core.answers(now) {
            self.core.config.read(offset, data);
            return;
        }
        data.fill(ALL_ONES);
        // Request Retry Status is shown for Vendor ID alone (PCIe Base §2.3.2).
        if self.core.silenced(now) == Some(true)
            && offset == 0
            && let Some(vendor) = data.get_mut(..2)
        {
            vendor.copy_from_slice(&RETRY_ID.to_le_bytes());
        }
    }

    /// Returns whether the function answers an access to config space now.
    pub(crate) fn will_answer(&self, now: Time) -> bool {
        let core = &self.core;
        core.is_there()
            && core.silenced(now).is_none()
            && (now >= core.ready_at || core.delays != Delays::Enforce)
    }

    /// Writes config space, DWORD by DWORD. Each write takes effect before the next.
    pub fn config_write(&mut self, now: Time, offset: u64, data: &[u8]) {
        if !self.core.answers(now) {
            return;
        }
        for piece in split(offset, data.len()) {
            let mut write = piece.write(data);
            if self.core.faults.is_some() {
                self.core.note_time(now);
                write = self.core.meet_config_write(piece.offset, write);
            }
            let mut effects = std::mem::take(&mut self.core.config_effects);
            self.core
                .config
                .write_dword(piece.offset, write, &mut effects);
            for effect in effects.drain(..) {
                self.apply(now, effect);
            }
            self.core.config_effects = effects;
        }
        self.settle_faults(now);
    }

    /// Reads from a BAR or the ROM. An access that nothing decodes reads all ones.
    pub fn read(&mut self, now: Time, target: Target, offset: u64, data: &mut [u8]) {
        let lost = self.meet_access(now, target, Range::of(offset, data.len()), false);
        if lost
            || !self
                .core
                .decodes(now, target, offset, Access::Read(data.len()))
        {
            data.fill(ALL_ONES);
            return;
        }
        match target {
            Target::Rom => read_bytes(&self.core.rom, offset, data),
            Target::Bar(bar) => self.read_bar(now, bar, offset, data),
        }
        self.settle_faults(now);
    }

    /// Writes to a BAR. A write that nothing decodes is lost, and so is a write to the ROM.
    pub fn write(&mut self, now: Time, target: Target, offset: u64, data: &[u8]) {
        let lost = self.meet_access(now, target, Range::of(offset, data.len()), true);
        if !lost
            && self.core.decodes(now, target, offset, Access::Write(data))
            && let Target::Bar(bar) = target
        {
            self.write_bar(now, bar, offset, data);
            self.settle_faults(now);
        }
    }

    /// Meets the faults at an access to a BAR. Returns whether the access is lost.
    fn meet_access(&mut self, now: Time, target: Target, range: Range, write: bool) -> bool {
        let Target::Bar(bar) = target else {
            return false;
        };
        if self.core.faults.is_none() {
            return false;
        }
        self.core.note_time(now);
        let verdict = self.core.meet(&if write {
            Occurrence::BarWrite(bar, range)
        } else {
            Occurrence::BarRead(bar, range)
        });
        self.settle_faults(now);
        verdict.prevented || self.core.is_bar_off(now, bar)
    }

    /// Reads config space without side effects; see [`Self::config_read`].
    pub fn peek_config(&self, offset: u64, data: &mut [u8]) {
        if self.core.is_there() {
            self.core.config.read(offset, data);
        } else {
            data.fill(ALL_ONES);
        }
    }

    /// Reads from a BAR or the ROM without side effects; see [`Self::read`]. Registers of the
    /// device, which a read may change, read all ones.
    pub fn peek(&self, target: Target, offset: u64, data: &mut [u8]) {
        let core = &self.core;
        if core.state != PowerState::D0 || !core.decoding_enabled(target) {
            data.fill(ALL_ONES);
            return;
        }
        match target {
            Target::Rom => read_bytes(&core.rom, offset, data),
            Target::Bar(bar) if core.is_plain_ram(bar) => core.read_ram(bar, offset, data),
            Target::Bar(bar) => {
                for piece in split(offset, data.len()) {
                    let value = core.stored(bar, piece.offset);
                    piece.fill(value.unwrap_or(u32::MAX), data);
                }
            }
        }
    }

    fn read_bar(&mut self, now: Time, bar: u8, offset: u64, data: &mut [u8]) {
        if self.core.is_plain_ram(bar) {
            self.core.read_ram(bar, offset, data);
            return;
        }
        for piece in split(offset, data.len()) {
            let value = match self.core.stored(bar, piece.offset) {
                Some(value) => value,
                None => self.with_model(now, |model, cx| {
                    model.read(cx, bar, piece.offset, piece.lanes())
                }),
            };
            piece.fill(value, data);
        }
    }

    fn write_bar(&mut self, now: Time, bar: u8, offset: u64, data: &[u8]) {
        if self.core.is_plain_ram(bar) {
            self.core.write_ram(bar, offset, data);
            return;
        }
        for piece in split(offset, data.len()) {
            let write = piece.write(data);
            if let Some(msix) = self.core.config.msix_mut()
                && let Some(register) = msix.window(bar, piece.offset)
            {
                if msix.table_write(register, write) {
                    self.core.deliver_messages();
                }
            } else if self.core.is_memory(bar, piece.offset) {
                let bytes = data.get(piece.at..piece.at + piece.len);
                let at = piece.offset + piece.first as u64;
                self.core.write_ram(bar, at, bytes.unwrap_or_default());
            } else {
                self.with_model(now, |model, cx| model.write(cx, bar, piece.offset, write));
            }
        }
    }
}

impl Core {
    /// Returns whether the function answers at all, and records early accesses.
    fn answers(&mut self, now: Time) -> bool {
        if !self.is_there() || self.silenced(now).is_some() {
            return false;
        }
        if now < self.ready_at && self.delays != Delays::Off {
            let early_nanos = self.ready_at.as_nanos() - now.as_nanos();
            self.violate(now, Violation::TooEarly { early_nanos });
            return self.delays == Delays::Report;
        }
        true
    }

    /// Returns whether the function decodes an access to `target`. If not, the access is an
    /// Unsupported Request and is logged as one (PCIe Base §7.5.3.5, §7.8.4).
    fn decodes(&mut self, now: Time, target: Target, offset: u64, access: Access<'_>) -> bool {
        if self.state != PowerState::D0 {
            self.counters.outside_d0 = self.counters.outside_d0.saturating_add(1);
        }
        if !self.answers(now) {
            return false;
        }
        let refusal = if self.state == PowerState::D0 {
            if self.decoding_enabled(target) {
                return true;
            }
            Violation::DecodeOff
        } else {
            Violation::AccessOutsideD0 { state: self.state }
        };
        self.violate(now, refusal);
        self.refuse_request(target, offset, access);
        false
    }

    fn decoding_enabled(&self, target: Target) -> bool {
        let header = self.config.header();
        let command = header.command();
        match target {
            Target::Rom => {
                header.rom_size().is_some() && command.memory_space_enable() && header.rom_enabled()
            }
            Target::Bar(bar) => match header.bar(usize::from(bar)).map(|bar| bar.kind) {
                Some(BarKind::Io) => command.io_space_enable(),
                Some(_) => self.memory_space_enable(),
                None => false,
            },
        }
    }

    fn content(&self, bar: u8) -> BarContent {
        self.contents
            .get(usize::from(bar))
            .copied()
            .unwrap_or_default()
    }

    /// Returns a DWORD of a BAR that is not the model's: one of the MSI-X table or PBA, or of
    /// memory.
    fn stored(&self, bar: u8, offset: u64) -> Option<u32> {
        let msix = self.config.msix();
        msix.and_then(|msix| msix.value_at(bar, offset))
            .or_else(|| {
                self.is_memory(bar, offset).then(|| {
                    let mut bytes = [0; 4];
                    self.read_ram(bar, offset, &mut bytes);
                    u32::from_le_bytes(bytes)
                })
            })
    }

    /// Returns whether memory answers at an offset.
    fn is_memory(&self, bar: u8, offset: u64) -> bool {
        let mut areas = self.areas(bar.into()).iter();
        self.content(bar) == BarContent::Ram || areas.any(|area| area.contains(offset))
    }

    fn is_plain_ram(&self, bar: u8) -> bool {
        self.content(bar) == BarContent::Ram
            && self.config.msix().is_none_or(|msix| !msix.uses_bar(bar))
    }

    fn read_ram(&self, bar: u8, offset: u64, data: &mut [u8]) {
        match self.ram.get(usize::from(bar)) {
            Some(Some(ram)) => ram.read(offset, data),
            _ => data.fill(0),
        }
    }

    fn write_ram(&mut self, bar: u8, offset: u64, data: &[u8]) {
        if let Some(Some(ram)) = self.ram.get_mut(usize::from(bar)) {
            ram.write(offset, data);
        }
    }
}
