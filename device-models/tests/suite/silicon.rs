//! The built-in profiles show what the silicon they follow shows.

use std::time::Duration;

use pci_device_models::function::Function;
use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, Profile};
use pci_device_models::register::ResetKind;
use pci_device_models::time::Time;

/// Offsets in the order in which the lists lead to them.
const LISTS: &[(&str, &[u16], &[u16])] = &[
    ("testdev", &[0x40, 0x50, 0x70, 0xb0], &[0x100, 0x150]),
    (
        "gpu-display",
        &[0x60, 0x68, 0x78, 0xb4],
        &[
            0x100, 0x258, 0x128, 0x420, 0x600, 0x900, 0xbb0, 0xc1c, 0xd00, 0xe00,
        ],
    ),
    (
        "gpu-3d",
        &[0x60, 0x68, 0x78],
        &[0x100, 0x250, 0x258, 0x128, 0x420, 0x600, 0x900],
    ),
    ("gpu-audio", &[0x60, 0x68, 0x78], &[]),
    ("nic", &[0x40, 0x50, 0x70, 0xa0], &[0x100, 0x140, 0x150]),
    (
        "nvme",
        &[0x40, 0x70, 0xb0],
        &[0x100, 0x148, 0x168, 0x178, 0x198, 0x1bc, 0x1d4, 0x3c0],
    ),
    ("ioat", &[0x60, 0x80, 0x90, 0xe0], &[0x100]),
    ("i2c-designware", &[0x80, 0x90], &[]),
    ("smbus", &[0x50], &[]),
    ("serial", &[0x40, 0x50], &[]),
    ("xhci", &[0x70, 0x80, 0x90, 0xb0], &[]),
];

/// Registers as the silicon has them after power-on: offset and DWORD.
const REGISTERS: [(&str, &[(u16, u32)]); 5] = [
    (
        "gpu-display",
        &[
            (0x60, 0x4803_6801),
            (0x64, 0x0000_0008),
            (0xb4, 0x0114_0009),
        ],
    ),
    (
        "gpu-3d",
        &[
            (0x00, 0x1d10_10de),
            (0x08, 0x0302_00a1),
            (0x60, 0x0003_6801),
            (0x64, 0x0000_0008),
            (0x68, 0x0080_7805),
            (0x78, 0x0002_0010),
            (0x7c, 0x07e8_8de1),
            (0x84, 0x0045_4c43),
            (0x9c, 0x0004_0813),
            (0xa4, 0x0000_000e),
            (0xa8, 0x001e_0003),
            (0xb4, 0x0114_0009),
            (0x100, 0x2501_0002),
            (0x114, 0x8000_00ff),
            (0x128, 0x4201_0004),
            (0x130, 0x0007_8121),
            (0x250, 0x2581_0018),
            (0x258, 0x1281_001e),
            (0x25c, 0x0028_ff1f),
            (0x264, 0x0000_0028),
            (0x420, 0x6002_0001),
            (0x42c, 0x0046_2030),
            (0x434, 0x0000_a000),
            (0x600, 0x9001_000b),
            (0x604, 0x0241_0001),
            (0x900, 0x0001_0019),
            (0x90c, 0x7500_7500),
        ],
    ),
    (
        "gpu-audio",
        &[
            (0x00, 0x0be3_10de),
            (0x08, 0x0403_00a1),
            (0x0c, 0x0080_0000),
            (0x2c, 0x1312_3842),
            (0x3c, 0x0000_02ff),
            (0x60, 0x0003_6801),
            (0x64, 0x0000_0008),
            (0x68, 0x0080_7805),
            (0x78, 0x0002_0010),
            (0x7c, 0x012c_8da0),
            (0x84, 0x0004_2d01),
            (0x88, 0x1101_0000),
            (0x9c, 0x0000_0010),
        ],
    ),
    (
        "nic",
        &[
            (0x40, 0xc823_5001),
            (0x44, 0x1a00_2000),
            (0x50, 0x0180_7005),
            (0x70, 0x0009_a011),
            (0x74, 0x0000_0003),
            (0x78, 0x0000_2003),
            (0xa4, 0x1000_8cc2),
            (0xac, 0x0203_6c41),
            (0xc4, 0x0000_001f),
            (0x100, 0x1401_0001),
            (0x10c, 0x0006_2011),
            (0x114, 0x0000_2000),
            (0x144, 0xff12_174c),
            (0x148, 0x001b_21ff),
        ],
    ),
    (
        "nvme",
        &[
            (0x04, 0x0011_0000),
            (0x40, 0x0013_7001),
            (0x44, 0x0000_0008),
            // The drive's MSI; its next pointer reads zero here.
            (0x50, 0x028a_0005),
            (0x74, 0x10a0_8fe2),
            (0x7c, 0x0043_7025),
            (0x9c, 0x0180_003e),
            (0xa0, 0x011e_0005),
            (0xb0, 0x0080_0011),
            (0xb4, 0x0000_4000),
            (0xb8, 0x0000_3000),
            (0x100, 0x1482_0001),
            (0x108, 0x0040_0000),
            (0x10c, 0x0046_2030),
            (0x114, 0x0000_e000),
            (0x14c, 0x8c38_2500),
            (0x150, 0x2b0a_5031),
            (0x250, 0xff80_111f),
            (0x258, 0x0000_0100),
            (0x25c, 0x1d1e_1f20),
        ],
    ),
];

fn profile(name: &str) -> Profile {
    let text = Profile::builtin(name).expect("a built-in profile");
    Profile::parse(name, text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn dword(space: &[u8], offset: u16) -> u32 {
    let at = usize::from(offset);
    u32::from_le_bytes(space[at..at + 4].try_into().expect("four bytes"))
}

/// Follows a list by its pointers.
fn walk(space: &[u8], first: u16, next: impl Fn(u32) -> u16) -> Vec<u16> {
    let mut seen = Vec::new();
    let mut offset = first;
    while offset != 0 {
        assert!(
            !seen.contains(&offset),
            "the list runs in a circle at {offset:#x}"
        );
        seen.push(offset);
        offset = next(dword(space, offset));
    }
    seen
}

#[test]
fn every_profile_builds_and_its_lists_lead_where_its_silicon_has_them() {
    let names: Vec<&str> = Profile::builtins().collect();
    let listed: Vec<&str> = LISTS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, listed);
    for (name, conventional, extended) in LISTS {
        let profile = profile(name);
        assert_eq!(profile.name(), *name);
        assert!(!profile.description().is_empty(), "{name}");
        let devices = profile
            .device_set(&Registry::builtin())
            .expect("its model is known");
        let space = profile.config_space();
        let mut built = vec![0; space.len()];
        devices.slot().first().config().read(0, &mut built);
        assert!(
            built == space,
            "{name}: the device shows what the profile says"
        );

        let found = walk(space, u16::from(space[0x34]), |header| {
            (header >> 8) as u16 & 0xfc
        });
        assert_eq!(found, *conventional, "{name}");
        let first = if space.len() > 0x100 && dword(space, 0x100) != 0 {
            0x100
        } else {
            0
        };
        let found = walk(space, first, |header| (header >> 20) as u16 & 0xffc);
        assert_eq!(found, *extended, "{name}");
    }
}

#[test]
fn registers_are_those_of_the_silicon() {
    for (name, registers) in REGISTERS {
        let profile = profile(name);
        for (offset, expected) in registers {
            let value = dword(profile.config_space(), *offset);
            assert_eq!(
                value, *expected,
                "{name} at {offset:#x}: {value:#010x}, silicon {expected:#010x}"
            );
        }
    }
}

#[test]
fn the_display_function_enables_audio_until_its_power_goes() {
    const ENABLE: u64 = 0x488;
    const PMCSR: u64 = 0x64;
    let registry = Registry::builtin();
    for name in ["gpu-display", "gpu-card", "gpu-card-usb"] {
        let text = registry.profile(name).unwrap();
        let bases = |name: &str| registry.base(name);
        let card = Card::parse(name, text, &[], &bases).unwrap();
        let (_, display) = card.functions().next().unwrap();
        let mut function = display.function(&registry).unwrap();
        let read = |function: &Function| function.config().read_dword(ENABLE);
        assert_eq!(read(&function), 0, "{name}: as the kernel finds it");
        let mut now = Time::ZERO;
        let set = |function: &mut Function, now| {
            function.config_write(now, ENABLE, &u32::MAX.to_le_bytes());
            assert_eq!(read(function), 1 << 25, "{name}: one bit only");
        };
        set(&mut function, now);
        for state in [3, 0] {
            function.config_write(now, PMCSR, &[state]);
            now = now.after(Duration::from_millis(10));
        }
        assert_eq!(read(&function), 1 << 25, "{name}: it outlives D3hot");
        function.power_off(now);
        function.power_on(now);
        assert_eq!(read(&function), 0, "{name}: not D3cold");
        now = now.after(Duration::from_millis(100));
        set(&mut function, now);
        function.reset(now, ResetKind::Flr);
        assert_eq!(read(&function), 0, "{name}: nor a reset");
    }
}
