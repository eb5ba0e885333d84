use super::*;

const ZERO: Time = Time::ZERO;

fn asleep() -> RuntimePm {
    let mut rpm = RuntimePm::new(SuspendDelay::default());
    rpm.enter(ZERO, RuntimeStatus::Suspending);
    rpm.enter(ZERO, RuntimeStatus::Suspended);
    rpm
}

#[test]
fn a_guard_gives_its_reference_back() {
    let mut rpm = RuntimePm::new(SuspendDelay::default());
    let first = rpm.get();
    let second = rpm.get();
    assert_eq!(rpm.usage(), 2);
    drop(first);
    assert!(!rpm.may_suspend());
    drop(second);
    assert_eq!(rpm.usage(), 0);
    assert!(rpm.may_suspend());
}

#[test]
fn a_use_before_the_suspend_has_run_cancels_it() {
    let delay = Duration::from_millis(5);
    let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
    let mut rpm = RuntimePm::new(SuspendDelay::After(delay));
    assert!(!rpm.idle(at(0)));
    assert_eq!(rpm.suspend_at(), Some(at(5)));
    drop(rpm.get());
    assert!(!rpm.idle(at(4)));
    assert_eq!(rpm.suspend_at(), Some(at(9)));
    assert!(rpm.idle(at(9)));
}

#[test]
fn manual_never_suspends_by_itself() {
    let mut rpm = RuntimePm::new(SuspendDelay::Manual);
    assert!(!rpm.idle(Time::from_nanos(u64::MAX)));
    assert_eq!(rpm.suspend_at(), None);
}

#[test]
fn control_on_holds_one_reference_however_often_it_is_written() {
    let mut rpm = RuntimePm::new(SuspendDelay::default());
    rpm.set_control(PowerControl::On);
    rpm.set_control(PowerControl::On);
    assert_eq!((rpm.usage(), rpm.control()), (1, PowerControl::On));
    rpm.set_control(PowerControl::Auto);
    assert_eq!((rpm.usage(), rpm.control()), (0, PowerControl::Auto));
}

#[test]
fn the_core_remembers_every_error_but_two() {
    for (errno, first, second) in [
        (Errno::EBUSY, 16, None),
        (Errno::EAGAIN, 11, None),
        // A callback must not say that runtime power management is off.
        (Errno::EACCES, 11, None),
        (Errno::ETIMEDOUT, 110, Some(22)),
        (Errno::EIO, 5, Some(22)),
        (Errno::ENODEV, 19, Some(22)),
        (Errno::EINVAL, 22, Some(22)),
    ] {
        let mut rpm = asleep();
        let latched = false;
        let error = rpm.callback_fails(Failure { errno, latched });
        assert_eq!(error.errno().0, first, "{errno}");
        let error = rpm.check_resume().err().map(|error| error.errno().0);
        assert_eq!(error, second, "{errno}");
        assert_eq!(rpm.is_latched(), second.is_some(), "{errno}");
    }
}

#[test]
fn a_latched_failure_is_remembered_until_it_is_forgotten() {
    let mut rpm = asleep();
    let (errno, latched) = (Errno::EBUSY, true);
    let error = rpm.callback_fails(Failure { errno, latched });
    assert_eq!(error.errno(), Errno::EBUSY);
    assert_eq!(rpm.check_resume().unwrap_err().errno(), Errno::EINVAL);
    assert!(rpm.is_latched());
    rpm.forget_error();
    assert!(rpm.check_resume().is_ok());
}

#[test]
fn the_table_of_edges_is_complete() {
    use RuntimeStatus::{Active, Resuming, Suspended, Suspending};
    let all = [Active, Suspending, Suspended, Resuming];
    let edges: Vec<_> = all
        .into_iter()
        .flat_map(|from| all.into_iter().map(move |to| (from, to)))
        .filter(|(from, to)| from.may_become(*to))
        .collect();
    assert_eq!(
        edges,
        [
            (Active, Suspending),
            (Suspending, Suspended),
            (Suspended, Resuming),
            (Resuming, Active),
            (Resuming, Suspended),
        ]
    );
}

#[test]
fn time_is_accounted_to_the_status_it_was_spent_in() {
    let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
    let mut rpm = RuntimePm::new(SuspendDelay::default());
    rpm.enter(at(10), RuntimeStatus::Suspending);
    rpm.enter(at(10), RuntimeStatus::Suspended);
    rpm.enter(at(40), RuntimeStatus::Resuming);
    rpm.enter(at(40), RuntimeStatus::Active);
    let (active, suspended) = rpm.times(at(45));
    assert_eq!(active.as_millis(), 15);
    assert_eq!(suspended.as_millis(), 30);
}
