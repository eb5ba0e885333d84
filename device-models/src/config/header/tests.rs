use super::*;
use crate::register::split;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn bar(kind: BarKind, prefetchable: bool, size: u64) -> BarConfig {
    BarConfig {
        kind,
        prefetchable,
        size,
    }
}

/// An endpoint with 16 MiB of memory behind BAR 0 and INTA.
fn config() -> HeaderConfig {
    let mut config = HeaderConfig {
        vendor_id: 0x10de,
        device_id: 0x1d10,
        revision: 0xa1,
        class: 0x03_0200,
        subsystem_vendor_id: 0x1234,
        subsystem_id: 0x5678,
        interrupt_pin: 1,
        interrupt_line: 0xff,
        ..HeaderConfig::default()
    };
    config.bars[0] = Some(bar(BarKind::Memory32, false, 16 * MIB));
    config
}

fn write(header: &mut Header, offset: u64, data: &[u8]) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    for piece in split(offset, data.len()) {
        header.write(piece.offset as usize / 4, piece.write(data), &mut effects);
    }
    effects
}

fn write32(header: &mut Header, offset: u64, value: u32) {
    write(header, offset, &value.to_le_bytes());
}

fn read(header: &Header, offset: usize) -> u32 {
    header.read(offset / 4)
}

/// A header with the two error bits of Status that a failed DMA sets.
fn with_errors() -> Header {
    let mut header = Header::new(&config());
    let status = header
        .status()
        .with_received_master_abort(true)
        .with_detected_parity_error(true);
    header.set_status(status);
    header
}

#[test]
fn registers_at_reset() {
    let mut header = Header::new(&config());
    header.set_capabilities_pointer(0x60);
    for (offset, expected) in [
        (0x00, 0x1d10_10de),
        (0x04, 0x0010_0000),
        (0x08, 0x0302_00a1),
        (0x0c, 0),
        (0x10, 0),
        (0x14, 0),
        (0x28, 0),
        (0x2c, 0x5678_1234),
        (0x30, 0),
        (0x34, 0x60),
        (0x38, 0),
        (0x3c, 0x0000_01ff),
    ] {
        assert_eq!(read(&header, offset), expected, "{offset:#x}");
    }
    let ready = Header::new(&HeaderConfig {
        immediate_readiness: true,
        multi_function: true,
        ..config()
    });
    assert_eq!(read(&ready, 0x04), 0x0011_0000);
    assert_eq!(read(&ready, 0x0c), 0x0080_0000);
}

#[test]
fn what_identifies_a_function_is_read_only() {
    let mut header = Header::new(&config());
    header.set_capabilities_pointer(0x60);
    for offset in [0x00, 0x08, 0x28, 0x2c, 0x34, 0x38] {
        let before = read(&header, offset as usize);
        for value in [u32::MAX, 0] {
            write32(&mut header, offset, value);
            assert_eq!(read(&header, offset as usize), before, "{offset:#x}");
        }
    }
}

#[test]
fn command_has_the_bits_that_the_function_can_use() {
    let memory = bar(BarKind::Memory64, true, MIB);
    let ports = bar(BarKind::Io, false, 32);
    for (name, bars, rom, pin, expected) in [
        ("memory, INTA", vec![memory], None, 1, 0x0546),
        ("memory", vec![memory], None, 0, 0x0146),
        ("ports, INTA", vec![ports], None, 1, 0x0545),
        ("both", vec![ports, memory], None, 0, 0x0147),
        ("neither", vec![], None, 0, 0x0144),
        ("ROM", vec![], Some(0x800), 0, 0x0146),
    ] {
        let mut config = HeaderConfig {
            interrupt_pin: pin,
            rom,
            ..HeaderConfig::default()
        };
        for (slot, bar) in config.bars.iter_mut().zip(bars) {
            *slot = Some(bar);
        }
        let mut header = Header::new(&config);
        assert_eq!(
            write(&mut header, 0x04, &[0xff; 2]),
            [ConfigEffect::Command],
            "{name}"
        );
        assert_eq!(u16::from(header.command()), expected, "{name}");
        assert_eq!(
            write(&mut header, 0x04, &[0xff; 2]),
            [],
            "{name}: no change"
        );
    }
}

#[test]
fn status_bits_are_cleared_one_by_one_and_never_set() {
    let mut header = with_errors();
    write(&mut header, 0x06, &[0x00, 0x20]);
    assert_eq!(u16::from(header.status()), 0x8010);
    write(&mut header, 0x06, &[0xff, 0xff]);
    assert_eq!(u16::from(header.status()), 0x0010);
    write(&mut header, 0x06, &[0xff, 0xff]);
    assert_eq!(u16::from(header.status()), 0x0010, "ones set nothing");
}

#[test]
fn command_and_status_share_a_dword_and_nothing_else() {
    let mut header = with_errors();
    write32(&mut header, 0x04, 0x0000_0006);
    assert_eq!(read(&header, 0x04), 0xa010_0006, "zeros clear nothing");
    assert_eq!(write(&mut header, 0x07, &[0x20]), []);
    assert_eq!(
        read(&header, 0x04),
        0x8010_0006,
        "a byte of Status leaves Command"
    );
    write(&mut header, 0x04, &[0x02]);
    assert_eq!(
        read(&header, 0x04),
        0x8010_0002,
        "a byte of Command leaves Status"
    );
}

#[test]
fn interrupt_status_is_the_function_s_own() {
    let mut header = Header::new(&config());
    header.set_status(header.status().with_interrupt_status(true));
    write(&mut header, 0x06, &[0xff, 0xff]);
    assert!(header.status().interrupt_status());
}

#[test]
fn bars_answer_sizing() {
    use BarKind::{Io, Memory32, Memory64};
    for (kind, prefetchable, size, low, high) in [
        (Memory32, false, 16, 0xffff_fff0, 0),
        (Memory32, false, 0x4000, 0xffff_c000, 0),
        (Memory32, false, 16 * MIB, 0xff00_0000, 0),
        (Memory32, true, 32 * MIB, 0xfe00_0008, 0),
        (Memory32, false, 2 * GIB, 0x8000_0000, 0),
        (Memory64, false, 0x8000, 0xffff_8004, 0xffff_ffff),
        (Memory64, true, 256 * MIB, 0xf000_000c, 0xffff_ffff),
        (Memory64, true, 4 * GIB, 0x0000_000c, 0xffff_ffff),
        (Memory64, true, 32 * GIB, 0x0000_000c, 0xffff_fff8),
        (Io, false, 4, 0xffff_fffd, 0),
        (Io, false, 128, 0xffff_ff81, 0),
        (Io, false, 256, 0xffff_ff01, 0),
    ] {
        let mut config = HeaderConfig::default();
        config.bars[1] = Some(bar(kind, prefetchable, size));
        let mut header = Header::new(&config);
        let type_bits = read(&header, 0x14);
        write(&mut header, 0x14, &[0xff; 8]);
        let name = format!("{kind:?} of {size:#x}");
        assert_eq!(read(&header, 0x14), low, "{name}");
        assert_eq!(read(&header, 0x18), high, "{name}, next register");
        write(&mut header, 0x14, &[0x00; 8]);
        assert_eq!(read(&header, 0x14), type_bits, "{name}, back");
        assert_eq!(read(&header, 0x18), 0, "{name}, back");
    }
}

#[test]
fn the_last_bar_has_no_high_half() {
    let mut config = HeaderConfig::default();
    config.bars[5] = Some(bar(BarKind::Memory64, false, MIB));
    let mut header = Header::new(&config);
    write(&mut header, 0x24, &[0xff; 8]);
    assert_eq!(read(&header, 0x24), 0xfff0_0004);
    assert_eq!(read(&header, 0x28), 0, "CardBus CIS stays what it is");
}

#[test]
fn what_is_not_there_reads_zero() {
    let mut header = Header::new(&config());
    for offset in [0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x30, 0x38] {
        write32(&mut header, offset, u32::MAX);
        assert_eq!(read(&header, offset as usize), 0, "{offset:#x}");
    }
}

#[test]
fn the_rom_answers_sizing() {
    for (size, ones) in [
        (0x800, 0xffff_f800),
        (0x8_0000, 0xfff8_0000),
        (0x100_0000, 0xff00_0000),
    ] {
        let mut header = Header::new(&HeaderConfig {
            rom: Some(size),
            ..HeaderConfig::default()
        });
        assert_eq!(read(&header, 0x30), 0);
        write32(&mut header, 0x30, 0xffff_f800);
        assert_eq!(read(&header, 0x30), ones, "{size:#x}");
        assert!(!header.rom_enabled());
        write32(&mut header, 0x30, 0xffff_fffe);
        assert_eq!(read(&header, 0x30), ones, "{size:#x}");
        write32(&mut header, 0x30, u32::MAX);
        assert_eq!(read(&header, 0x30), ones | 1, "{size:#x}");
        assert!(header.rom_enabled());
        assert_eq!(header.rom_size(), Some(size));
    }
}

#[test]
fn plain_storage_and_constants_of_conventional_pci() {
    let mut header = Header::new(&config());
    write(&mut header, 0x0c, &[0x10, 0xff, 0xff, 0xff]);
    assert_eq!(read(&header, 0x0c), 0x0000_0010);
    write(&mut header, 0x3c, &[0x0b, 0x05, 0xff, 0xff]);
    assert_eq!(read(&header, 0x3c), 0x0000_010b);
    assert_eq!(header.interrupt_pin(), 1);
}

#[test]
fn bar_addresses_are_what_software_wrote_without_the_type() {
    let mut config = HeaderConfig::default();
    config.bars[0] = Some(bar(BarKind::Memory32, true, MIB));
    config.bars[1] = Some(bar(BarKind::Memory64, true, MIB));
    config.bars[3] = Some(bar(BarKind::Io, false, 8));
    let mut header = Header::new(&config);
    for (offset, value) in [
        (0x10, 0xfe1f_ffff),
        (0x14, 0x8000_0000),
        (0x18, 0x7f),
        (0x1c, 0xe00f),
    ] {
        write32(&mut header, offset, value);
    }
    for (index, address) in [
        (0, Some(0xfe10_0000)),
        (1, Some(0x7f_8000_0000)),
        (2, None),
        (3, Some(0xe008)),
        (6, None),
    ] {
        assert_eq!(header.bar_address(index), address, "BAR {index}");
    }
}

#[test]
fn a_resized_bar_loses_address_bits_at_once_and_gets_them_back_by_reset() {
    for kind in ResetKind::ALL {
        let mut config = HeaderConfig::default();
        config.bars[0] = Some(bar(BarKind::Memory64, true, 256 * MIB));
        let mut header = Header::new(&config);
        write(&mut header, 0x10, &[0xff; 8]);
        header.resize_bar(0, GIB);
        assert_eq!(read(&header, 0x10), 0xc000_000c);
        header.resize_bar(0, 8 * GIB);
        assert_eq!(
            [read(&header, 0x10), read(&header, 0x14)],
            [0x0000_000c, 0xffff_fffe]
        );
        assert_eq!(header.bar(0).map(|bar| bar.size), Some(8 * GIB));
        header.resize_bar(0, 256 * MIB);
        write(&mut header, 0x10, &[0xff; 8]);
        assert_eq!(
            [read(&header, 0x10), read(&header, 0x14)],
            [0xf000_000c, 0xffff_ffff]
        );
        header.resize_bar(0, GIB);
        header.reset(kind);
        assert_eq!(
            header.bar(0).map(|bar| bar.size),
            Some(256 * MIB),
            "{kind:?}"
        );
        write(&mut header, 0x10, &[0xff; 8]);
        assert_eq!(read(&header, 0x10), 0xf000_000c, "{kind:?}");
    }
}

#[test]
fn every_reset_returns_what_software_wrote() {
    for kind in ResetKind::ALL {
        let mut header = with_errors();
        header.set_capabilities_pointer(0x60);
        let fresh = {
            let mut header = Header::new(&config());
            header.set_capabilities_pointer(0x60);
            (0..DWORDS)
                .map(|index| header.read(index))
                .collect::<Vec<_>>()
        };
        write(&mut header, 0x04, &[0xff; 2]);
        write(&mut header, 0x0c, &[0xff; 0x34]);
        header.reset(kind);
        let after: Vec<_> = (0..DWORDS).map(|index| header.read(index)).collect();
        assert_eq!(after, fresh, "{kind:?}");
    }
}

#[test]
fn bars_beyond_the_limits_of_their_kind_are_refused() {
    use super::bar::BarError;
    use BarKind::{Io, Memory32, Memory64};
    let out_of_range = |size, min, max| Err(BarError::OutOfRange { size, min, max });
    for (kind, prefetchable, size, expected) in [
        (Memory32, false, 16, Ok(())),
        (Memory32, true, 2 * GIB, Ok(())),
        (Memory32, false, 4 * GIB, out_of_range(4 * GIB, 16, 2 * GIB)),
        (Memory32, false, 8, out_of_range(8, 16, 2 * GIB)),
        (Memory64, true, 128 * GIB, Ok(())),
        (Memory64, true, 1 << 63, out_of_range(1 << 63, 16, 1 << 62)),
        (
            Memory64,
            true,
            3 * GIB,
            Err(BarError::NotPowerOfTwo { size: 3 * GIB }),
        ),
        (Memory64, true, 0, Err(BarError::NotPowerOfTwo { size: 0 })),
        (Io, false, 4, Ok(())),
        (Io, false, 256, Ok(())),
        (Io, false, 2, out_of_range(2, 4, 256)),
        (Io, false, 512, out_of_range(512, 4, 256)),
        (Io, true, 128, Err(BarError::PrefetchableIo)),
    ] {
        let result = bar(kind, prefetchable, size).validate();
        assert_eq!(result, expected, "{kind:?} of {size:#x}");
    }
    let message = BarError::NotPowerOfTwo { size: 3 * GIB }.to_string();
    assert!(message.contains("0x100000000"), "{message}");
}
