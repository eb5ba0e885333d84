//! The examples for device authors are as small as the documentation says, and they work.

use pci_device_models::host::{Device, IrqIndex, Output, region_index};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;

#[path = "../examples/minimal_model.rs"]
mod minimal_model;

const PROFILE: &str = include_str!("../examples/minimal.toml");
const MODEL: &str = include_str!("../examples/minimal_model.rs");
const GUIDE: &str = include_str!("../../docs/device-authors.md");

const COMMAND: u64 = 0x04;
const MEMORY_SPACE_AND_BUS_MASTER: [u8; 2] = [0x06, 0x00];

fn device(registry: &Registry, model: &str) -> Device {
    let set = [("model".to_owned(), model.to_owned())];
    let profile = Profile::parse("minimal.toml", PROFILE, &set).expect("it is valid");
    let mut device = profile.device(registry).expect("its model is known");
    write(
        &mut device,
        region_index::CONFIG,
        COMMAND,
        &MEMORY_SPACE_AND_BUS_MASTER,
    );
    device
}

fn write(device: &mut Device, region: u32, offset: u64, data: &[u8]) {
    device
        .region_write(Time::ZERO, region, offset, data)
        .expect("it is inside the region");
}

fn read(device: &mut Device, region: u32, offset: u64) -> u32 {
    let mut data = [0; 4];
    device
        .region_read(Time::ZERO, region, offset, &mut data)
        .expect("it is inside the region");
    u32::from_le_bytes(data)
}

#[test]
fn they_are_small() {
    assert!(PROFILE.lines().count() <= 40, "{}", PROFILE.lines().count());
    assert!(MODEL.lines().count() <= 60, "{}", MODEL.lines().count());
}

#[test]
fn the_guide_shows_them_as_they_are() {
    for (file, text) in [("minimal.toml", PROFILE), ("minimal_model.rs", MODEL)] {
        assert!(
            GUIDE.contains(text),
            "docs/device-authors.md shows another {file}"
        );
    }
}

#[test]
fn the_guide_quotes_a_mistake_as_it_is_told() {
    let wrong = PROFILE.replace("pme-from = [\"d0\",", "pme-from = [\"d0\", \"d1\",");
    let error = Profile::parse("minimal.toml", &wrong, &[]).expect_err("there is no D1");
    assert!(GUIDE.contains(&format!("\n{error}\n")), "{error}");
}

#[test]
fn the_profile_alone_is_a_device_with_memory() {
    let mut device = device(&Registry::builtin(), "ram");
    write(&mut device, 0, 0x20, &0x1234_5678_u32.to_le_bytes());
    assert_eq!(read(&mut device, 0, 0x20), 0x1234_5678);
}

#[test]
fn the_model_adds_and_interrupts() {
    let mut device = device(&minimal_model::registry(), "adder");
    // MSI-X Message Control: Enable; vector 0 of the table unmasked.
    let profile = Profile::parse("minimal.toml", PROFILE, &[]).expect("it is valid");
    let msix = capability(profile.config_space(), 0x11);
    write(
        &mut device,
        region_index::CONFIG,
        msix + 2,
        &0x8000_u16.to_le_bytes(),
    );
    write(&mut device, 4, 0xc, &[0; 4]);
    write(&mut device, 0, 4, &40_u32.to_le_bytes());
    write(&mut device, 0, 4, &2_u32.to_le_bytes());
    assert_eq!(read(&mut device, 0, 0), 42);

    let mut triggers = 0;
    while let Some(output) = device.next_output() {
        if let Output::Trigger { index, vector } = output {
            assert_eq!((index, vector), (IrqIndex::Msix, 0));
            triggers += 1;
        }
    }
    assert_eq!(triggers, 2);
    minimal_model::main().expect("the example runs");
}

/// Where a capability of the conventional list is.
fn capability(space: &[u8], id: u8) -> u64 {
    let mut at = space[0x34];
    while space[usize::from(at)] != id {
        at = space[usize::from(at) + 1];
        assert_ne!(at, 0, "no capability {id:#x}");
    }
    u64::from(at)
}
