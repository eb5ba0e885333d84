//! Accesses to config space, with resets, power states and time between them.
//!
//! Two devices of the same kind go through the same actions, the second with its accesses split:
//! reads into bytes, writes at the borders of DWORDs, as on a bus.

use std::time::Duration;

use pci_device_models::host::{DeviceMut, DeviceSet, PmDialect, PowerControl};
use pci_device_models::register::ResetKind;
use pci_device_models::time::Time;
use vfio_user_protocol::vfio::RegionIndex;

use super::input::{Input, is_thorough};
use super::subject::{Subject, differ, seen};

const CONFIG: u32 = RegionIndex::Config.number();

/// Maximum number of bytes of one access.
const LONGEST: usize = 24;

/// Performs the accesses that the input describes.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (device, split) =
        Subject::choose(&mut input, |subject| (subject.devices(), subject.devices()));
    let mut pair = Pair {
        whole: device,
        split,
        now: Time::ZERO,
    };
    let unused = pair.whole.first().status(pair.now).runtime_usage;
    if !pair.open() {
        return;
    }
    let fixed = Fixed::of(&mut pair);
    while !input.is_empty() {
        pair.step(&mut input, &fixed);
        fixed.check(&mut pair);
    }
    assert_eq!(
        seen(pair.whole.first(), pair.now),
        seen(pair.split.first(), pair.now),
        "split accesses make a difference"
    );
    if is_thorough(data) {
        pair.compare();
    }
    pair.both(|device, now| {
        device.set_control(now, PowerControl::Auto);
        while device.connected() > 0 {
            device.client_gone(now);
        }
    });
    assert_eq!(
        pair.whole.first().status(pair.now).runtime_usage,
        unused,
        "references"
    );
}

struct Pair {
    whole: DeviceSet,
    split: DeviceSet,
    now: Time,
}

impl Pair {
    /// Performs an action on both devices and returns the result, which must be equal.
    fn both<R: PartialEq + std::fmt::Debug>(
        &mut self,
        mut act: impl FnMut(&mut DeviceMut<'_>, Time) -> R,
    ) -> R {
        let (whole, split) = (
            act(&mut self.whole.first_mut(), self.now),
            act(&mut self.split.first_mut(), self.now),
        );
        assert_eq!(whole, split);
        for devices in [&mut self.whole, &mut self.split] {
            let mut device = devices.first_mut();
            device.take_wait(self.now);
            while device.next_output().is_some() {}
            device.idle(self.now);
        }
        whole
    }

    fn open(&mut self) -> bool {
        self.both(|device, now| device.has_room() && device.client_came(now).is_ok())
    }

    fn step(&mut self, input: &mut Input<'_>, fixed: &Fixed) {
        match input.below(16) {
            0..=4 => {
                let offset = fixed.offset(input);
                self.read(offset, input.below(LONGEST + 1));
            }
            5..=9 => {
                let offset = fixed.offset(input);
                let len = input.below(LONGEST + 1);
                let data = input.bytes(len).to_vec();
                self.write(offset, &data);
            }
            10 => {
                let state = input.u8();
                if let Some(pmcsr) = fixed.pmcsr {
                    self.write(pmcsr, &[state]);
                }
            }
            11 => {
                self.both(|device, now| device.reset(now).is_ok());
            }
            12 => {
                let kind = input.pick(&[
                    ResetKind::Flr,
                    ResetKind::Hot,
                    ResetKind::Fundamental,
                    ResetKind::PowerOn,
                ]);
                self.both(|device, now| device.platform_reset(now, kind));
            }
            13 => {
                let span =
                    Duration::from_micros(input.pick(&[1, 150, 250, 10_000, 100_000, 1_000_000]));
                self.now = self.now.after(span);
                self.both(|device, now| device.advance(now));
            }
            14 => {
                let on = input.flag();
                self.both(|device, now| device.set_rail(now, on));
            }
            _ => self.happen(input),
        }
    }

    /// Performs an action on the device from outside.
    fn happen(&mut self, input: &mut Input<'_>) {
        let (what, argument) = (input.below(10), input.u8());
        let on = argument & 1 == 1;
        self.both(|device, now| match what {
            0 => device.pme(now),
            1 => device.set_intx(now, on),
            2 => device.interrupt(now, argument.into()),
            3 => device.withdraw(now, argument.into()),
            4 => drop(device.suspend_now(now)),
            5 => drop(device.host_access(now)),
            6 => device.set_control(
                now,
                if on {
                    PowerControl::On
                } else {
                    PowerControl::Auto
                },
            ),
            7 => device.set_d3cold_allowed(now, on),
            8 => device.set_slot_power_limit(now, argument, argument >> 6),
            _ if on => drop(device.has_room() && device.client_came(now).is_ok()),
            _ if device.connected() > 1 => device.client_gone(now),
            _ => {}
        });
    }

    fn read(&mut self, offset: u64, len: usize) {
        let mut data = vec![0; len];
        let whole = self
            .whole
            .first_mut()
            .region_read(self.now, CONFIG, offset, &mut data);
        let mut bytes = vec![0; len];
        let mut count = 0;
        for (at, byte) in (0..).zip(bytes.chunks_mut(1)) {
            let Some(at) = offset.checked_add(at) else {
                break;
            };
            count += self
                .split
                .first_mut()
                .region_read(self.now, CONFIG, at, byte)
                .unwrap_or_default();
        }
        match whole {
            Ok(read) => {
                assert_eq!(read, count, "bytes read at {offset:#x}");
                assert_eq!(data[..read], bytes[..read], "read at {offset:#x}");
            }
            Err(_) => assert!(count < len, "bytes can be read, the whole cannot"),
        }
        self.both(|_, _| ());
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let whole = self
            .whole
            .first_mut()
            .region_write(self.now, CONFIG, offset, data);
        let inside = whole.is_ok();
        let first = (4 - (offset % 4) as usize).min(data.len());
        let (head, tail) = data.split_at(first);
        let mut at = offset;
        for piece in std::iter::once(head).chain(tail.chunks(4)) {
            // What goes beyond the end is refused as a whole.
            if inside {
                self.split
                    .first_mut()
                    .region_write(self.now, CONFIG, at, piece)
                    .ok();
            }
            at = at.saturating_add(piece.len() as u64);
        }
        self.both(|_, _| ());
    }

    /// Checks that both are equal, apart from the counts of violations.
    fn compare(&mut self) {
        let saved = |devices: &DeviceSet| devices.save(self.now);
        if let Some(at) = differ("", &saved(&self.whole), &saved(&self.split)) {
            assert!(
                at.contains("violations"),
                "split accesses make a difference: {at}"
            );
        }
    }
}

/// Bits that only a new device changes, by the PCI Express Base Specification.
struct Fixed {
    /// Config space when the device was opened, and the mask of its fixed bits.
    bytes: Vec<u8>,
    mask: Vec<u8>,
    /// Offsets of capabilities, and of config space itself.
    places: Vec<u64>,
    pmcsr: Option<u64>,
}

/// Fixed bytes of the header: ids, revision and class, header type without BIST, subsystem,
/// capabilities pointer, interrupt pin.
const HEADER: [std::ops::Range<usize>; 5] = [0..4, 8..12, 14..15, 0x2c..0x30, 0x3d..0x3e];

/// Read-only fields after the header of a capability: id, offset, mask of a DWORD.
const CONVENTIONAL: [(u8, usize, u32); 8] = [
    // PMC; of PMCSR No_Soft_Reset and reserved bits.
    (0x01, 0x00, 0xffff_0000),
    (0x01, 0x04, 0x0000_00fc),
    // MSI: per-vector masks. What it is capable of vfio-pci lets its user write.
    (0x05, 0x00, 0x0100_0000),
    // MSI-X: table size, table and PBA.
    (0x11, 0x00, 0x07ff_0000),
    (0x11, 0x04, u32::MAX),
    (0x11, 0x08, u32::MAX),
    // PCI Express: capabilities, Link Capabilities.
    (0x10, 0x00, 0xffff_0000),
    (0x10, 0x0c, u32::MAX),
];

const EXTENDED: [(u16, usize, u32); 2] = [
    // Serial number.
    (0x0003, 0x04, u32::MAX),
    (0x0003, 0x08, u32::MAX),
];

impl Fixed {
    /// Returns the fixed bits of an open device.
    fn of(pair: &mut Pair) -> Self {
        let size = pair.whole.slot().first().config().size();
        let mut bytes = vec![0; size.into()];
        let now = pair.now;
        for devices in [&mut pair.split, &mut pair.whole] {
            devices
                .first_mut()
                .region_read(now, CONFIG, 0, &mut bytes)
                .expect("an open device is read");
        }
        let mut fixed = Self {
            mask: vec![0; bytes.len()],
            places: vec![0],
            pmcsr: None,
            bytes,
        };
        for range in HEADER {
            fixed.mask[range].fill(0xff);
        }
        fixed.mask[0x34] = 0xff;
        fixed.conventional();
        fixed.extended();
        fixed
    }

    fn fix(&mut self, at: usize, mask: u32) {
        for (place, byte) in self.mask.iter_mut().skip(at).zip(mask.to_le_bytes()) {
            *place |= byte;
        }
    }

    fn conventional(&mut self) {
        let mut at = usize::from(self.bytes[0x34] & 0xfc);
        for _ in 0..48 {
            if at < 0x40 {
                return;
            }
            let id = self.bytes[at];
            self.places.push(at as u64);
            self.fix(at, 0x0000_ffff);
            for (_, offset, mask) in CONVENTIONAL.iter().filter(|(of, _, _)| *of == id) {
                self.fix(at + offset, *mask);
            }
            if id == 0x01 {
                self.pmcsr = Some(at as u64 + 4);
            }
            at = usize::from(self.bytes[at + 1] & 0xfc);
        }
    }

    fn extended(&mut self) {
        let mut at = 0x100;
        for _ in 0..960 {
            let header = self.dword(at);
            if at < 0x100 || header == 0 {
                return;
            }
            self.places.push(at as u64);
            self.fix(at, u32::MAX);
            for (_, offset, mask) in EXTENDED
                .iter()
                .filter(|(of, _, _)| u32::from(*of) == header & 0xffff)
            {
                self.fix(at + offset, *mask);
            }
            at = (header >> 20) as usize & !3;
        }
    }

    /// Returns an offset near a known place, or anywhere.
    fn offset(&self, input: &mut Input<'_>) -> u64 {
        let near = input.below(self.places.len() + 2);
        match self.places.get(near) {
            Some(place) => place + u64::from(input.u8() % 64),
            None if near == self.places.len() => u64::from(input.u16()),
            None => input.u64(),
        }
    }

    /// Checks that no fixed bit has changed, unless the device does not answer at all.
    fn check(&self, pair: &mut Pair) {
        let is_virtual = Subject::is_virtual(pair.whole.first());
        if is_virtual && self.seen(pair, 8) != self.dword(8) {
            return;
        }
        let places = (0..self.bytes.len()).step_by(4);
        for at in places.filter(|at| self.masked(*at) != 0) {
            let is = if is_virtual {
                self.seen(pair, at)
            } else {
                let function = pair.whole.slot().first();
                let own = function.config().read_dword(at as u64);
                own | self.virtual_pme(pair, at)
            };
            let (was, is) = (self.dword(at) & self.masked(at), is & self.masked(at));
            assert_eq!(was, is, "read-only bits at {at:#x}");
        }
    }

    /// Returns the bits of a DWORD that the virtual PME of the v4 dialect adds: `PME_Support` in PMC, which
    /// precedes PMCSR, has every state.
    fn virtual_pme(&self, pair: &Pair, at: usize) -> u32 {
        let is_v4 = pair.whole.first().options().pm_dialect == PmDialect::V4;
        let is_pmc = self.pmcsr.is_some_and(|pmcsr| at as u64 + 4 == pmcsr);
        if is_v4 && is_pmc { 0xf800_0000 } else { 0 }
    }

    /// Returns a DWORD as the client sees it.
    fn seen(&self, pair: &mut Pair, at: usize) -> u32 {
        let mut dword = [0; 4];
        pair.both(|device, now| {
            let read = device.region_read(now, CONFIG, at as u64, &mut dword);
            read.is_ok().then_some(dword)
        });
        u32::from_le_bytes(dword)
    }

    /// Returns the fixed bits of a DWORD.
    fn masked(&self, at: usize) -> u32 {
        dword(&self.mask, at)
    }

    fn dword(&self, at: usize) -> u32 {
        dword(&self.bytes, at)
    }
}

fn dword(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes
        .get(at..at + 4)
        .and_then(|dword| dword.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}
