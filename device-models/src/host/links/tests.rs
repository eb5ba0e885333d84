use super::*;
use crate::host::{
    DeviceSet, FaultSpan, HostOptions, ResumeFault, RuntimePmStatus, SetOptions, SetOptionsError,
    View,
};
use crate::model::Registry;
use crate::profile::Profile;
use crate::slot::Slot;
use vfio_user_protocol::Errno;

const NOW: Time = Time::ZERO;

fn number(number: u8) -> FunctionNumber {
    FunctionNumber::try_from(number).unwrap()
}

fn links(pairs: &[(u8, u8)]) -> SetOptions {
    let link = |&(consumer, supplier)| DeviceLink::new(number(consumer), number(supplier));
    SetOptions {
        links: pairs.iter().map(link).collect(),
        ..SetOptions::default()
    }
}

/// Functions that sleep while nobody needs them, with links from consumers to suppliers.
fn linked(functions: u8, pairs: &[(u8, u8)]) -> Result<DeviceSet, SetOptionsError> {
    let text = Profile::builtin("gpu-audio").unwrap();
    let profile = Profile::parse("gpu-audio", text, &[]).unwrap();
    let function = || profile.function(&Registry::builtin()).unwrap();
    let options = HostOptions {
        view: View::VfioPci,
        disable_idle_d3: false,
        ..HostOptions::default()
    };
    let others = || (1..functions).map(number);
    let slot = others().fold(Slot::new(function(), true), |slot, number| {
        slot.with_function(number, function())
    });
    let set = DeviceSet::new(slot, options, "0");
    let set = others().fold(set, |set, number| set.with_driver(number, options, "n"));
    set.with_options(links(pairs))
}

fn awake(devices: &DeviceSet) -> Vec<(bool, u32)> {
    let numbers = devices.numbers();
    let status = numbers.map(|number| devices.device(number).unwrap().status(NOW));
    status
        .map(|status| {
            let active = status.runtime_status == RuntimePmStatus::Active;
            (active, status.runtime_usage)
        })
        .collect()
}

#[test]
fn an_awake_consumer_keeps_its_suppliers_awake_through_others() {
    let mut devices = linked(4, &[(1, 0), (2, 1), (2, 3)]).unwrap();
    assert_eq!(awake(&devices), [(false, 0); 4], "none is in use");
    let mut last = devices.device_mut(number(2)).unwrap();
    last.client_came(NOW).unwrap();
    assert_eq!(
        awake(&devices),
        [(true, 1), (true, 1), (true, 1), (true, 1)]
    );
    let saved = devices.save(NOW);

    let mut first = devices.first_mut();
    first.client_came(NOW).unwrap();
    devices.device_mut(number(2)).unwrap().client_gone(NOW);
    assert_eq!(
        awake(&devices),
        [(true, 1), (false, 0), (false, 0), (false, 0)],
        "a client still has the first supplier open"
    );
    devices.first_mut().client_gone(NOW);
    assert_eq!(awake(&devices), [(false, 0); 4]);

    // A restored set holds the same references.
    devices.restore(NOW, &saved).unwrap();
    assert_eq!(awake(&devices), [(true, 1); 4]);
    let mut last = devices.device_mut(number(2)).unwrap();
    last.client_came(NOW).unwrap();
    last.client_gone(NOW);
    assert_eq!(awake(&devices), [(false, 0); 4]);
}

#[test]
fn a_state_in_which_a_supplier_sleeps_is_refused() {
    let mut devices = linked(2, &[(1, 0)]).unwrap();
    devices
        .device_mut(number(1))
        .unwrap()
        .client_came(NOW)
        .unwrap();
    let mut saved = devices.save(NOW);
    devices.device_mut(number(1)).unwrap().client_gone(NOW);
    let before = devices.save(NOW);
    let asleep = "/devices/0/host/runtime_pm/suspended";
    *saved.pointer_mut(asleep).unwrap() = true.into();
    let error = devices.restore(NOW, &saved).unwrap_err();
    assert!(error.to_string().contains("function 1 is awake"), "{error}");
    assert_eq!(devices.save(NOW), before);
    assert_eq!(awake(&devices), [(false, 0); 2]);
}

#[test]
fn a_consumer_remembers_the_error_of_its_supplier() {
    let fault = |errno| ResumeFault {
        errno,
        span: FaultSpan::Times(1),
    };
    for (errno, seen, latched) in [
        (Errno::ETIMEDOUT, Errno::ETIMEDOUT, true),
        (Errno::EBUSY, Errno::EBUSY, false),
        (Errno::EAGAIN, Errno::EAGAIN, false),
        (Errno::EACCES, Errno::EAGAIN, false),
    ] {
        // The second supplier fails, so the first is released again.
        let mut devices = linked(3, &[(2, 0), (2, 1)]).unwrap();
        let mut supplier = devices.device_mut(number(1)).unwrap();
        supplier.set_resume_fault(Some(fault(errno))).unwrap();
        let mut consumer = devices.device_mut(number(2)).unwrap();
        let error = consumer.client_came(NOW).unwrap_err();
        assert_eq!(error.errno(), seen, "{errno}");
        assert_eq!(awake(&devices), [(false, 0); 3], "{errno}");

        // The supplier works again. What the consumer remembers ends when its status is set anew.
        let mut supplier = devices.device_mut(number(1)).unwrap();
        supplier.set_resume_fault(None).unwrap();
        let mut consumer = devices.device_mut(number(2)).unwrap();
        let status = consumer.status(NOW).runtime_status;
        assert_eq!(status == RuntimePmStatus::Error, latched, "{errno}");
        let again = consumer.client_came(NOW).map_err(|error| error.errno());
        assert_eq!(again, if latched { Err(Errno::EINVAL) } else { Ok(()) });
        consumer.set_resume_fault(None).unwrap();
        assert!(consumer.client_came(NOW).is_ok());
        assert_eq!(awake(&devices), [(true, 1); 3]);
    }
}

#[test]
fn a_supplier_that_its_user_keeps_awake_does_not_keep_the_consumer_awake() {
    let mut devices = linked(2, &[(1, 0)]).unwrap();
    devices
        .first_mut()
        .set_control(NOW, crate::host::PowerControl::On);
    assert_eq!(awake(&devices), [(true, 1), (false, 0)]);
}

#[test]
fn links_that_do_not_fit_are_refused() {
    for (pairs, error) in [
        (
            &[(1, 2)][..],
            SetOptionsError::NoSuchFunction { number: number(2) },
        ),
        (&[(0, 0)], SetOptionsError::Circle { number: number(0) }),
        (
            &[(0, 1), (1, 0)],
            SetOptionsError::Circle { number: number(0) },
        ),
        (
            &[(1, 0), (1, 0)],
            SetOptionsError::Twice {
                consumer: number(1),
                supplier: number(0),
            },
        ),
    ] {
        assert_eq!(linked(2, pairs).unwrap_err(), error);
    }
}
