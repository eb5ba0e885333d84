//! Transfers that are under way when a device is saved are under way when it is restored.

use pci_device_models::dma::{DmaError, DmaOp, DmaRequest};
use pci_device_models::host::{DeviceMut, DeviceSet, Output};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use serde_json::{Value, json};
use vfio_user_protocol::vfio::RegionIndex;

const CONFIG: u32 = RegionIndex::Config.number();
const NOW: Time = Time::from_nanos(1_000_000_000);
const DMA_STATUS: u64 = 0x3c;
const BUSY: u32 = 1;
const DONE: u32 = 2;
const ABORTED: u32 = 4 << 8 | 0b110;
const LEDGER: &str = "/slot/functions/0/core/dma";

fn testdev() -> DeviceSet {
    let text = Profile::builtin("testdev").expect("it is built in");
    let set = [("capabilities.pm.no-soft-reset", "true")];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let profile = Profile::parse("testdev", text, &set).expect("a profile");
    let mut devices = profile.device_set(&Registry::builtin()).expect("a device");
    devices.first_mut().client_came(NOW).expect("it wakes");
    devices
}

fn write(device: &mut DeviceMut<'_>, region: u32, offset: u64, value: u32) {
    let written = device.region_write(NOW, region, offset, &value.to_le_bytes());
    written.expect("it is inside");
}

fn status(device: &mut DeviceMut<'_>) -> u32 {
    let mut data = [0; 4];
    let read = device.region_read(NOW, 0, DMA_STATUS, &mut data);
    read.expect("a register");
    u32::from_le_bytes(data)
}

fn transfers(device: &mut DeviceMut<'_>) -> Vec<DmaRequest> {
    let outputs = std::iter::from_fn(|| device.next_output());
    let transfers = outputs.filter_map(|output| match output {
        Output::Dma(request) => Some(request),
        _ => None,
    });
    transfers.collect()
}

/// Two copies of 0x100 bytes, the first of which is under way.
fn copying() -> DeviceSet {
    let mut devices = testdev();
    let mut device = devices.first_mut();
    write(&mut device, CONFIG, 4, 6);
    for (register, value) in [(0x20, 0x1000), (0x28, 0x2000), (0x30, 0x100), (0x34, 2)] {
        write(&mut device, 0, register, value);
    }
    write(&mut device, 0, 0x38, 1);
    devices
}

fn restored(tree: &Value) -> DeviceSet {
    let mut devices = testdev();
    assert_eq!(devices.restore(NOW, tree), Ok(()));
    assert_eq!(devices.save(NOW), *tree);
    devices
}

#[test]
fn a_job_goes_on_where_it_was() {
    let mut first = copying();
    let copy = DmaOp::Copy {
        from: 0x1000,
        to: 0x2000,
        len: 0x100,
    };
    let tree = first.save(NOW);
    assert_eq!(
        tree.pointer(LEDGER),
        Some(&json!({
            "aborting": false,
            "outstanding": [{"tag": 1, "op": {"copy": {"from": 0x1000, "to": 0x2000, "len": 0x100}}}],
        }))
    );
    let mut second = restored(&tree);
    for devices in [&mut first, &mut second] {
        let device = &mut devices.first_mut();
        for left in (0..2).rev() {
            let [request] = &transfers(device)[..] else {
                panic!("one at a time");
            };
            assert_eq!(request.op, copy);
            assert_eq!(status(device), BUSY);
            assert!(device.dma_is_live(request.id));
            device.dma_done(NOW, request.id, Ok(&[]));
            assert_eq!(status(device), if left > 0 { BUSY } else { DONE });
        }
        assert_eq!(transfers(device), []);
    }
    assert_eq!(first.save(NOW), second.save(NOW));
}

#[test]
fn what_was_asked_before_a_restore_is_answered_in_vain() {
    let mut devices = copying();
    let mut device = devices.first_mut();
    let tree = device.save(NOW);
    let before = transfers(&mut device);
    assert_eq!(device.restore(NOW, &tree), Ok(()));
    let after = transfers(&mut device);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert!(!device.dma_is_live(before[0].id) && device.dma_is_live(after[0].id));
    device.dma_done(NOW, before[0].id, Ok(&[]));
    assert_eq!(device.save(NOW), tree);
}

#[test]
fn a_transfer_that_is_being_aborted_still_is() {
    let mut devices = copying();
    let mut device = devices.first_mut();
    let pm = 0x40 + 4;
    device.region_write(NOW, CONFIG, pm, &[3]).expect("PMCSR");
    let tree = device.save(NOW);
    assert_eq!(
        tree.pointer(LEDGER).map(|ledger| &ledger["aborting"]),
        Some(&json!(true))
    );
    let mut second = restored(&tree);
    let mut second = second.first_mut();
    let request = &transfers(&mut second)[0];
    assert!(!second.dma_is_live(request.id));
    second.dma_done(NOW, request.id, Err(DmaError::Aborted));
    second.region_write(NOW, CONFIG, pm, &[0]).expect("PMCSR");
    assert_eq!(status(&mut second), ABORTED);
    assert_eq!(transfers(&mut second), []);
}

#[test]
fn transfers_that_cannot_be_are_refused_and_those_under_way_begin_again() {
    let tree = copying().save(NOW);
    for (ledger, expected) in [
        (
            json!({"aborting": true, "outstanding": []}),
            "nothing to be aborted",
        ),
        (
            json!({"aborting": false, "outstanding": [
                {"tag": 1, "op": {"read": {"address": 0, "len": u32::MAX}}},
            ]}),
            "a read of 4294967295 bytes",
        ),
        (
            json!({"aborting": false, "outstanding": [
                {"tag": 1, "op": {"write": {"address": 0, "data": "0"}}},
            ]}),
            "two hexadecimal digits",
        ),
    ] {
        let mut bad = tree.clone();
        *bad.pointer_mut(LEDGER).expect("it is there") = ledger;
        let mut devices = copying();
        let mut device = devices.first_mut();
        transfers(&mut device);
        let error = device.restore(NOW, &bad).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(device.save(NOW), tree);
        assert_eq!(transfers(&mut device).len(), 1, "{expected}");
    }
}
