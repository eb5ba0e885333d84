use super::*;
use crate::config::{BarConfig, BarKind, ConfigSpace, HeaderConfig, MAX_BARS};
use crate::fault::Fault;
use crate::function::{BarContent, Delays, Function, FunctionParts};
use crate::model;
use crate::profile::Profile;
use crate::slot::Slot;
use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::set_irqs::{Action, Data, Request};

fn device(interrupt_pin: u8) -> DeviceSet {
    device_with(interrupt_pin, HostOptions::default())
}

fn device_with(interrupt_pin: u8, config: HostOptions) -> DeviceSet {
    let bar = BarConfig {
        kind: BarKind::Memory32,
        prefetchable: false,
        size: 0x1000,
    };
    let header = HeaderConfig {
        interrupt_pin,
        bars: [Some(bar), None, None, None, None, None],
        rom: Some(0x800),
        ..HeaderConfig::default()
    };
    let function = Function::new(FunctionParts {
        config: ConfigSpace::new(&header, Vec::new(), false).unwrap(),
        contents: [BarContent::Ram; MAX_BARS],
        mappable: Vec::new(),
        rom: vec![0x55, 0xaa],
        delays: Delays::Off,
        doorbells: Vec::new(),
        model: Box::new(model::None),
    });
    DeviceSet::new(Slot::new(function, false), config, "")
}

fn intx(action: Action, data: Data<'_>) -> Request<'_> {
    Request {
        index: 0,
        action,
        start: 0,
        count: 1,
        data,
    }
}

fn triggers(device: &mut DeviceMut<'_>) -> usize {
    std::iter::from_fn(|| device.next_output())
        .filter(|output| matches!(output, Output::Trigger { .. }))
        .count()
}

const BIND: Data<'_> = Data::Eventfd;
const ZERO: Time = Time::ZERO;

#[test]
fn intx_masks_itself_and_starts_over_on_unmask() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 1);
    device.set_intx(ZERO, false);
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 0, "masked by itself");
    device
        .set_irqs(ZERO, &intx(Action::Unmask, Data::None), 1)
        .unwrap();
    assert_eq!(triggers(&mut device), 1, "still high");
    device.set_intx(ZERO, false);
    device.intx_resample(ZERO);
    assert_eq!(triggers(&mut device), 0, "low");
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 1);
}

fn withdrawals(device: &mut DeviceMut<'_>) -> usize {
    std::iter::from_fn(|| device.next_output())
        .filter(|output| matches!(output, Output::Withdraw { .. }))
        .count()
}

#[test]
fn a_signal_that_nobody_noticed_goes_with_the_wire() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    device.set_intx(ZERO, true);
    device.set_intx(ZERO, false);
    assert_eq!(withdrawals(&mut device), 1);
    device.intx_withdrawn();
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 1, "masked no more");
    device.set_intx(ZERO, false);
    device.set_intx(ZERO, true);
    assert_eq!(withdrawals(&mut device), 1);
    device.intx_withdrawn();
    assert_eq!(triggers(&mut device), 1, "high again by then");

    device
        .set_irqs(ZERO, &intx(Action::Mask, Data::None), 1)
        .unwrap();
    device.set_intx(ZERO, false);
    assert_eq!(withdrawals(&mut device), 0, "the client has masked it");
    device.intx_withdrawn();
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 0, "and it stays so");
}

#[test]
fn what_vfio_pci_has_signalled_stays_signalled() {
    let config = HostOptions {
        view: View::VfioPci,
        ..HostOptions::default()
    };
    let mut devices = device_with(1, config);
    let mut device = devices.first_mut();
    device.client_came(ZERO).unwrap();
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    device.set_intx(ZERO, true);
    device.set_intx(ZERO, false);
    assert_eq!(withdrawals(&mut device), 0);
}

#[test]
fn a_mask_by_the_client_holds_the_interrupt_back() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    device
        .set_irqs(ZERO, &intx(Action::Mask, Data::Bool(&[1])), 1)
        .unwrap();
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 0);
    device
        .set_irqs(ZERO, &intx(Action::Unmask, Data::Bool(&[0])), 1)
        .unwrap();
    assert_eq!(triggers(&mut device), 0, "a zero byte chooses nothing");
    device
        .set_irqs(ZERO, &intx(Action::Unmask, Data::Bool(&[1])), 1)
        .unwrap();
    assert_eq!(triggers(&mut device), 1);
}

#[test]
fn another_trigger_does_not_unmask() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    device.set_intx(ZERO, true);
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    assert_eq!(triggers(&mut device), 1);
}

#[test]
fn a_level_that_waits_is_signalled_when_a_trigger_comes() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 0);
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    assert_eq!(triggers(&mut device), 1);
}

#[test]
fn interrupts_end_with_the_client() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    device
        .set_irqs(ZERO, &intx(Action::Trigger, BIND), 1)
        .unwrap();
    device.client_gone(ZERO);
    device.set_intx(ZERO, true);
    assert_eq!(triggers(&mut device), 0);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let request = |index, action, start, count, data| Request {
        index,
        action,
        start,
        count,
        data,
    };
    use Action::{Mask, Trigger, Unmask};
    let cases = [
        ("index", request(5, Trigger, 0, 1, Data::None)),
        ("start", request(0, Trigger, 1, 1, Data::None)),
        ("count", request(0, Trigger, 0, 2, Data::None)),
        ("sum", request(0, Trigger, 1, u32::MAX, Data::None)),
        ("no MSI", request(1, Trigger, 0, 1, BIND)),
        ("start without count", request(0, Trigger, 1, 0, Data::None)),
        ("mask nothing", request(0, Mask, 0, 0, Data::None)),
        ("bool nothing", request(0, Trigger, 0, 0, Data::Bool(&[]))),
        ("mask by eventfd", request(0, Mask, 0, 1, BIND)),
        ("mask ERR", request(3, Mask, 0, 1, Data::None)),
        ("unmask REQ", request(4, Unmask, 0, 1, Data::None)),
    ];
    for (name, request) in cases {
        let error = device(1)
            .first_mut()
            .set_irqs(ZERO, &request, 1)
            .expect_err(name);
        assert_eq!(error.errno(), Errno::EINVAL, "{name}");
    }
    let mut devices = device(0);
    let mut device = devices.first_mut();
    assert_eq!(
        device.irq_info(ZERO, 0).unwrap().count,
        0,
        "I14: no pin, no INTx"
    );
    device
        .set_irqs(ZERO, &request(0, Trigger, 0, 0, Data::None), 0)
        .expect("disabling what is not there is no mistake");
}

#[test]
fn loop_back_triggers_fire_what_they_choose() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    for (data, fired) in [
        (Data::None, 1),
        (Data::Bool(&[0]), 0),
        (Data::Bool(&[7]), 1),
    ] {
        device
            .set_irqs(ZERO, &intx(Action::Trigger, data), 1)
            .unwrap();
        assert_eq!(triggers(&mut device), fired, "{data:?}");
    }
}

#[test]
fn an_access_inside_a_region_always_gets_data() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    for (index, size) in [(0, 0x1000), (6, 0x800), (7, 0x100), (1, 0), (8, 0)] {
        assert_eq!(
            device.region_info(ZERO, index).unwrap().size,
            size,
            "{index}"
        );
        let mut all = vec![0; size as usize];
        device.region_read(ZERO, index, 0, &mut all).unwrap();
        device.region_write(ZERO, index, 0, &all).unwrap();
        device.region_read(ZERO, index, u64::MAX, &mut []).unwrap();
        for (offset, len) in [(size, 1), (size.saturating_sub(1), 2), (u64::MAX, 1)] {
            let error = device
                .region_read(ZERO, index, offset, &mut vec![0; len])
                .unwrap_err();
            assert_eq!(error.errno(), Errno::EINVAL, "{index} {offset:#x}+{len}");
        }
    }
    assert!(device.region_info(ZERO, 9).is_err());
}

#[test]
fn the_rom_answers_only_where_it_decodes() {
    let mut devices = device(1);
    let mut device = devices.first_mut();
    let mut data = [0; 3];
    device.region_read(ZERO, 6, 0, &mut data).unwrap();
    assert_eq!(data, [0xff; 3]);
    device.region_write(ZERO, 7, 0x04, &[2, 0]).unwrap();
    device.region_write(ZERO, 7, 0x30, &[1, 0, 0, 0]).unwrap();
    device.region_read(ZERO, 6, 0, &mut data).unwrap();
    assert_eq!(data, [0x55, 0xaa, 0]);
}

#[test]
fn retained_state_outlives_the_client_and_reset_state_does_not() {
    for (on_disconnect, kept) in [(OnDisconnect::Reset, 0), (OnDisconnect::Retain, 2)] {
        let config = HostOptions {
            on_disconnect,
            ..HostOptions::default()
        };
        let mut devices = device_with(1, config);
        let mut device = devices.first_mut();
        device.region_write(ZERO, 7, 0x04, &[2, 0]).unwrap();
        device.client_gone(ZERO);
        let mut command = [0; 2];
        device.region_read(ZERO, 7, 0x04, &mut command).unwrap();
        assert_eq!(command, [kept, 0]);
    }
}

#[test]
fn a_function_that_does_not_take_its_sleep_is_not_armed() {
    let registry = model::Registry::builtin();
    let text = Profile::builtin("testdev").unwrap();
    let sleeps = ("host.disable-idle-d3".to_owned(), "false".to_owned());
    let profile = Profile::parse("testdev", text, &[sleeps]).unwrap();
    for (silent, armed) in [(false, true), (true, false)] {
        let mut devices = profile.device_set(&registry).unwrap();
        let mut device = devices.first_mut();
        device.resume_and_get(ZERO).unwrap();
        if silent {
            let fault = Fault::new("now", "not-ready for-ever");
            device.add_fault(ZERO, fault.unwrap()).unwrap();
        }
        assert!(device.suspend_now(ZERO));
        assert_eq!(device.state.core.armed, armed, "silent: {silent}");
    }
}
