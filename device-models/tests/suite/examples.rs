//! The examples for device authors are as small as the documentation says, and they work.

use pci_device_models::dma::DmaOp;
use pci_device_models::host::{DeviceMut, DeviceSet, Output};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use vfio_user_protocol::vfio::{IrqIndex, RegionIndex};

#[path = "../../examples/minimal_model.rs"]
mod minimal_model;
#[path = "../../examples/step_by_step.rs"]
mod step_by_step;

const PROFILE: &str = include_str!("../../examples/minimal.toml");
const MODEL: &str = include_str!("../../examples/minimal_model.rs");
const STEPS: &str = include_str!("../../examples/step_by_step.rs");
const GUIDE: &str = include_str!("../../../docs/device-authors.md");

const COMMAND: u64 = 0x04;
const MEMORY_SPACE_AND_BUS_MASTER: [u8; 2] = [0x06, 0x00];

fn device(registry: &Registry, model: &str) -> DeviceSet {
    let set = [("model".to_owned(), model.to_owned())];
    let profile = Profile::parse("minimal.toml", PROFILE, &set).expect("it is valid");
    let mut devices = profile.device_set(registry).expect("its model is known");
    write(
        &mut devices.first_mut(),
        RegionIndex::Config.number(),
        COMMAND,
        &MEMORY_SPACE_AND_BUS_MASTER,
    );
    devices
}

fn write(device: &mut DeviceMut<'_>, region: u32, offset: u64, data: &[u8]) {
    device
        .region_write(Time::ZERO, region, offset, data)
        .expect("it is inside the region");
}

fn read(device: &mut DeviceMut<'_>, region: u32, offset: u64) -> u32 {
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
fn the_steps_of_the_guide_are_the_whole_example() {
    let (_, section) = GUIDE
        .split_once("### One model, step by step")
        .expect("the section is there");
    let section = section.split("\n### ").next().expect("it ends");
    let mut at = 0;
    let mut quoted = 0;
    for step in section.split("```rust\n").skip(1) {
        let code = step.split("```").next().expect("it ends");
        let found = STEPS[at..].find(code);
        at += found.unwrap_or_else(|| panic!("no such code, or out of order: {code}"));
        quoted += code.lines().count();
    }
    let lines = STEPS.lines().count();
    assert!(
        quoted * 4 > lines * 3,
        "{quoted} of {lines} lines are shown"
    );
}

#[test]
fn the_guide_quotes_a_mistake_as_it_is_told() {
    let wrong = PROFILE.replacen("size = 0x1000", "size = 0x1800", 1);
    let error = Profile::parse("minimal.toml", &wrong, &[]).expect_err("no such size");
    assert!(GUIDE.contains(&format!("\n{error}\n")), "{error}");
}

#[test]
fn the_profile_alone_is_a_device_with_memory() {
    let mut devices = device(&Registry::builtin(), "ram");
    let mut device = devices.first_mut();
    write(&mut device, 0, 0x20, &0x1234_5678_u32.to_le_bytes());
    assert_eq!(read(&mut device, 0, 0x20), 0x1234_5678);
}

#[test]
fn the_model_adds_and_interrupts() {
    let mut devices = device(&minimal_model::registry(), "adder");
    let mut device = devices.first_mut();
    // MSI-X Message Control: Enable; vector 0 of the table unmasked.
    let profile = Profile::parse("minimal.toml", PROFILE, &[]).expect("it is valid");
    let msix = capability(profile.config_space(), 0x11);
    write(
        &mut device,
        RegionIndex::Config.number(),
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

#[test]
fn the_filler_waits_writes_its_pattern_and_interrupts() {
    let model = "{ name = \"filler\", delay-ms = 10 }";
    let mut devices = device(&step_by_step::registry(), model);
    let mut device = devices.first_mut();
    let memory_end = Time::from_nanos(10_000_000);
    for (offset, value) in [(0x00, 0x1000_u32), (0x08, 16), (0x0c, 1)] {
        write(&mut device, 0, offset, &value.to_le_bytes());
    }
    assert_eq!(read(&mut device, 0, 0x10), 1, "busy");
    assert_eq!(device.next_deadline(), Some(memory_end));
    device.advance(memory_end);
    let asked = std::iter::from_fn(|| device.next_output()).find_map(|output| match output {
        Output::Dma(request) => Some(request),
        _ => None,
    });
    let request = asked.expect("a transfer");
    let pattern = DmaOp::Write {
        address: 0x1000,
        data: vec![0xa5; 16],
    };
    assert_eq!(request.op, pattern);
    let saved = device.save(memory_end);
    device.dma_done(memory_end, request.id, Ok(&[]));
    assert_eq!(read(&mut device, 0, 0x10), 2, "done");
    device.restore(memory_end, &saved).expect("its own state");
    assert_eq!(read(&mut device, 0, 0x10), 1, "busy again");
    let again = std::iter::from_fn(|| device.next_output()).find_map(|output| match output {
        Output::Dma(request) => Some(request),
        _ => None,
    });
    let again = again.expect("the transfer begins again");
    assert_eq!(again.op, pattern);
    device.dma_done(memory_end, again.id, Ok(&[]));
    assert_eq!(read(&mut device, 0, 0x10), 2, "done");
    step_by_step::main().expect("the example runs");
}

#[test]
fn parameters_out_of_range_are_refused_in_words() {
    let set = [("model", "{ name = \"filler\", delay-ms = 0 }")];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let profile = Profile::parse("minimal.toml", PROFILE, &set).expect("it is a profile");
    let error = profile
        .device_set(&step_by_step::registry())
        .expect_err("0 is out of range");
    assert!(
        error.message.contains("0 is out of range; choose 1 to 100"),
        "{error}"
    );
}

/// Returns the offset of a capability of the conventional list.
fn capability(space: &[u8], id: u8) -> u64 {
    let mut at = space[0x34];
    while space[usize::from(at)] != id {
        at = space[usize::from(at) + 1];
        assert_ne!(at, 0, "no capability {id:#x}");
    }
    u64::from(at)
}
