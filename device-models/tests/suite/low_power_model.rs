//! Random lives of a device against a reference that is not its implementation, and the invariants
//! of low power after every step.
//!
//! `DORMOUSE_STEPS=N` makes the run N times as long.

mod model;
mod step;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use model::{ARMED, Answer, Model, Place, Signal};
use pci_device_models::host::{DeviceSet, FeatureReply, HostError, Output, PmDialect, View};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRunner};
use serde_json::Value;
use step::{Knobs, Step};
use vfio_user_protocol::messages::device_info::DeviceFlags;
use vfio_user_protocol::messages::set_irqs::{Action, Data, Request};
use vfio_user_protocol::vfio::{IrqIndex, RegionIndex};

const CONFIG: u32 = RegionIndex::Config.number();
const COMMAND: u64 = 0x04;
const PMCSR: u64 = 0x44;
const DEVICE_CONTROL: u64 = 0x58;
const FLR: u16 = 0x8000;

/// The device with a clock, served as a server does.
struct Bench {
    devices: DeviceSet,
    now: Time,
    signals: Vec<Signal>,
    /// Signals of the wake-up eventfd in all.
    woken: u64,
    /// A wake was made to fail: who then wanted the device awake holds on to it.
    faulty: bool,
}

fn errno(error: HostError) -> i32 {
    error.errno().0
}

impl Bench {
    fn new(devices: DeviceSet) -> Self {
        Self {
            devices,
            now: Time::ZERO,
            signals: Vec::new(),
            woken: 0,
            faulty: false,
        }
    }

    fn status(&self) -> Value {
        serde_json::json!(self.devices.first().status(self.now))
    }

    fn config(&mut self, offset: u64) -> Answer {
        let mut data = [0; 2];
        self.devices
            .first_mut()
            .region_read(self.now, CONFIG, offset, &mut data)
            .map(|_| u64::from(u16::from_le_bytes(data)))
            .map_err(errno)
    }

    fn set_config(&mut self, offset: u64, word: u16) -> Answer {
        self.devices
            .first_mut()
            .region_write(self.now, CONFIG, offset, &word.to_le_bytes())
            .map(|_| 0)
            .map_err(errno)
    }

    fn irqs(
        &mut self,
        index: IrqIndex,
        action: Action,
        count: u32,
        (data, eventfds): (Data<'_>, usize),
    ) -> Answer {
        let request = Request {
            index: index.number(),
            action,
            start: 0,
            count,
            data,
        };
        let answer = self
            .devices
            .first_mut()
            .set_irqs(self.now, &request, eventfds);
        answer.map(|()| 0).map_err(errno)
    }

    fn apply(&mut self, step: Step) -> Answer {
        let (mut device, now) = (self.devices.first_mut(), self.now);
        let done = |result: Result<(), HostError>| result.map(|()| 0).map_err(errno);
        let bind = |bind| (Data::Eventfd, usize::from(bind));
        let answer = match step {
            Step::Open => done(device.client_came(now)),
            Step::Close => {
                device.client_gone(now);
                Ok(0)
            }
            // In the hardware view PME_Status may be the chip's, of which the model knows nothing,
            // and PME_En is in one dialect.
            Step::ReadPmcsr => match (device.options().view, device.options().pm_dialect) {
                (View::VfioPci, _) => self.config(PMCSR),
                (View::Hardware, PmDialect::V4) => self.config(PMCSR).map(|word| word & 0x7fff),
                (View::Hardware, PmDialect::Mainline) => {
                    self.config(PMCSR).map(|word| word & 0x7eff)
                }
            },
            Step::WritePmcsr(state, enable, clear) => {
                let word = u16::from(state) | u16::from(enable) << 8 | u16::from(clear) << 15;
                self.set_config(PMCSR, word)
            }
            Step::ReadCommand => self.config(COMMAND),
            Step::WriteCommand(memory, disable) => {
                self.set_config(COMMAND, u16::from(memory) << 1 | u16::from(disable) << 10)
            }
            Step::ConfigFlr => self.set_config(DEVICE_CONTROL, FLR),
            Step::ReadOutside => device
                .region_read(now, CONFIG, 0xffe, &mut [0; 4])
                .map(|count| count as u64)
                .map_err(errno),
            Step::ReadNothing => device
                .region_read(now, 0, 0, &mut [])
                .map(|count| count as u64)
                .map_err(errno),
            Step::ReadNoRegion => device
                .region_read(now, 9, 0, &mut [0; 4])
                .map(|count| count as u64)
                .map_err(errno),
            Step::ReadBar => {
                let mut data = [0; 4];
                let read = device.region_read(now, 0, 0, &mut data);
                read.map(|_| u64::from(u32::from_le_bytes(data)))
                    .map_err(errno)
            }
            Step::WriteBar(value) => {
                let written = device.region_write(now, 0, 0, &value.to_le_bytes());
                written.map(|_| 0).map_err(errno)
            }
            Step::Info => device
                .info(now)
                .map(|info| u64::from(info.flags.contains(DeviceFlags::RESET)))
                .map_err(errno),
            Step::RegionInfo => device
                .region_info(now, CONFIG)
                .map(|info| info.size)
                .map_err(errno),
            Step::IrqInfo(index) => device
                .irq_info(now, index)
                .map(|info| u64::from(info.count))
                .map_err(errno),
            Step::Reset => done(device.reset(now)),
            Step::Feature(feature) => {
                match feature.ask(|request, fd| device.feature(now, request, fd)) {
                    Ok(FeatureReply::Done) => Ok(0),
                    Ok(FeatureReply::Armed) => Ok(ARMED),
                    Ok(FeatureReply::PowerManagement(data)) => Ok(data.flags.bits().into()),
                    Err(error) => Err(errno(error)),
                }
            }
            Step::BindIntx => self.irqs(IrqIndex::Intx, Action::Trigger, 1, bind(true)),
            Step::DisableIntx => self.irqs(IrqIndex::Intx, Action::Trigger, 0, (Data::None, 0)),
            Step::MaskIntx => self.irqs(IrqIndex::Intx, Action::Mask, 1, (Data::None, 0)),
            Step::UnmaskIntx => self.irqs(IrqIndex::Intx, Action::Unmask, 1, (Data::Bool(&[1]), 0)),
            Step::BindPme(bound) => self.irqs(IrqIndex::Pme, Action::Trigger, 1, bind(bound)),
            Step::Resample => {
                device.intx_resample(now);
                Ok(0)
            }
            Step::HostAccess => Ok(u64::from(device.host_access(now)["vendor_id"] == 0xffff)),
            Step::Control(control) => {
                device.set_control(now, control);
                Ok(0)
            }
            Step::D3coldAllowed(allowed) => {
                device.set_d3cold_allowed(now, allowed);
                Ok(0)
            }
            Step::SuspendNow => Ok(u64::from(device.suspend_now(now))),
            Step::SuspendDelay(delay) => {
                device.set_suspend_delay(now, delay);
                Ok(0)
            }
            Step::ResumeFault(fault) => {
                self.faulty |= fault.is_some();
                device.set_resume_fault(fault).unwrap();
                Ok(0)
            }
            Step::ResetBusy(busy) => {
                device.set_reset_busy(busy).unwrap();
                Ok(0)
            }
            Step::DeadAfterCold(dead) => {
                device.set_dead_after_cold(now, dead).unwrap();
                Ok(0)
            }
            Step::Pme => {
                device.pme(now);
                Ok(0)
            }
            Step::Intx(asserted) => {
                device.set_intx(now, asserted);
                Ok(0)
            }
            Step::Wait(ms) => {
                self.wait(Duration::from_millis(ms));
                Ok(0)
            }
        };
        self.devices.first_mut().idle(self.now);
        self.wait(Duration::ZERO);
        answer
    }

    /// Lets time pass, and does what falls due on the way.
    fn wait(&mut self, span: Duration) {
        let until = self.now.after(span);
        let mut turns = 0;
        while let Some(due) = self
            .devices
            .first_mut()
            .next_deadline()
            .filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            self.devices.first_mut().advance(self.now);
            turns += 1;
            assert!(turns < 1000, "something is due for ever");
        }
        self.now = until;
        while let Some(output) = self.devices.first_mut().next_output() {
            self.signals.extend(match output {
                Output::Wakeup { signal: true } => Some(Signal::Wake),
                Output::Wakeup { signal: false } => Some(Signal::Dropped),
                Output::Trigger {
                    index: IrqIndex::Intx,
                    ..
                } => Some(Signal::Intx),
                Output::Trigger {
                    index: IrqIndex::Pme,
                    ..
                } => Some(Signal::Pme),
                _ => None,
            });
        }
    }
}

fn place(state: &Value) -> Place {
    match state.as_str() {
        Some("D0") => Place::D0,
        Some("D2") => Place::D2,
        Some("D3hot") => Place::Hot,
        Some("D3cold") => Place::Cold,
        other => panic!("{other:?} is no power state of this function"),
    }
}

/// Compares what can be seen of both.
fn compare(bench: &Bench, status: &Value, model: &Model) -> Result<(), TestCaseError> {
    let is = |key: &str| status[key] == Value::Bool(true);
    prop_assert_eq!(&bench.signals, &model.signals, "signals");
    prop_assert_eq!(&status["runtime_usage"], model.usage(), "usage");
    prop_assert_eq!(is("engaged"), model.engaged, "engaged");
    prop_assert_eq!(is("armed"), model.armed, "armed");
    prop_assert_eq!(place(&status["power_state"]), model.place(), "power state");
    prop_assert_eq!(
        place(&status["recorded_power_state"]),
        model.believed,
        "recorded power state"
    );
    prop_assert_eq!(
        (is("pme_en"), is("pme_status")),
        model.virtual_pme(),
        "virtual PME"
    );
    prop_assert_eq!(bench.now.as_nanos(), model.now);
    let suspends = status["runtime_status"] == "suspended";
    let latched = status["runtime_status"] == "error";
    prop_assert!(latched || suspends == model.is_asleep(), "runtime status");
    if model.uses_intx() {
        let masked = status["irqs"]["intx_masked"] == Value::Bool(true);
        prop_assert_eq!(masked, model.intx_masked(), "INTx mask");
    }
    Ok(())
}

/// The rules that hold whatever happened, asked of the device alone.
fn invariants(bench: &Bench, status: &Value, knobs: &Knobs) -> Result<(), TestCaseError> {
    let is = |key: &str| status[key] == Value::Bool(true);
    let asleep = status["runtime_status"] == "suspended";
    let open = status["opens"] != 0;
    let usage = status["runtime_usage"].as_u64().expect("a count");
    if open {
        let others = u64::from(status["control"] == "on") + u64::from(is("woken"));
        let own = 1 - u64::from(is("engaged"));
        prop_assert_eq!(usage, own + u64::from(knobs.extra_open_gets) + others);
    } else {
        prop_assert!(!is("engaged"));
    }
    prop_assert!(!is("armed") || is("engaged"), "armed without being engaged");
    prop_assert!(!asleep || usage == 0 || bench.faulty, "asleep in use");
    let intx = &status["irqs"];
    prop_assert!(
        !asleep || intx["bound"]["intx"] == 0 || intx["intx_masked"] == Value::Bool(true),
        "INTx can fire while the function sleeps"
    );
    if knobs.dialect == PmDialect::Mainline {
        prop_assert_eq!(&status["wakeups"], bench.woken, "wake-ups");
    }
    Ok(())
}

/// A successful request of a client ends the low power that was to end with a wake.
fn ends_low_power(step: Step) -> bool {
    use step::Feature::{Set3, Set3Flags, Set4};
    matches!(
        step,
        Step::ReadPmcsr
            | Step::WritePmcsr(..)
            | Step::ReadCommand
            | Step::WriteCommand(..)
            | Step::ConfigFlr
            | Step::ReadBar
            | Step::WriteBar(_)
            | Step::Info
            | Step::RegionInfo
            | Step::IrqInfo(_)
            | Step::Reset
            | Step::BindIntx
            | Step::DisableIntx
            | Step::MaskIntx
            | Step::UnmaskIntx
    ) || matches!(step, Step::Feature(feature) if !matches!(feature, Set3 | Set3Flags(_) | Set4))
}

/// Lives one life, and says how many steps made sense in it.
fn live(devices: DeviceSet, knobs: Knobs, steps: &[Step]) -> Result<u64, TestCaseError> {
    let mut taken = 0;
    let mut bench = Bench::new(devices);
    let mut model = Model::new(knobs);
    compare(&bench, &bench.status(), &model)?;
    for (at, step) in steps.iter().enumerate() {
        let armed_asleep = model.armed && model.is_asleep();
        model.signals.clear();
        bench.signals.clear();
        let Some(expected) = model.apply(*step) else {
            continue;
        };
        taken += 1;
        let answer = bench.apply(*step);
        let told = bench
            .signals
            .iter()
            .filter(|signal| **signal == Signal::Wake);
        bench.woken += told.count() as u64;
        let context = |error: TestCaseError| match error {
            TestCaseError::Fail(reason) => {
                TestCaseError::fail(format!("step {at}, {step:?}: {reason}\n{model:#?}"))
            }
            reject => reject,
        };
        let outcome = || {
            prop_assert_eq!(answer, expected, "answer");
            let status = bench.status();
            compare(&bench, &status, &model)?;
            invariants(&bench, &status, &knobs)?;
            if armed_asleep && answer.is_ok() && ends_low_power(*step) {
                prop_assert_eq!(&bench.signals.first(), &Some(&Signal::Wake));
                prop_assert!(!model.engaged, "still engaged");
            }
            Ok(())
        };
        outcome().map_err(context)?;
    }
    Ok(taken)
}

/// Makes devices, reading each profile once.
#[derive(Default)]
struct Shop(HashMap<String, Profile>);

impl Shop {
    fn device_set(&mut self, knobs: &Knobs) -> DeviceSet {
        let text = knobs.profile();
        let profile = self
            .0
            .entry(text)
            .or_insert_with_key(|text| Profile::parse("test", text, &[]).expect("a profile"));
        profile.device_set(&Registry::builtin()).expect("a device")
    }
}

fn factor() -> u32 {
    let given = std::env::var("DORMOUSE_STEPS").ok();
    given.map_or(1, |given| {
        given.parse().expect("DORMOUSE_STEPS is a number")
    })
}

#[test]
fn a_device_lives_as_the_reference_says() {
    const CASES: u32 = 600;
    const LENGTH: usize = 200;
    let config = Config {
        cases: CASES * factor(),
        // Half the time would go into the default one.
        rng_algorithm: RngAlgorithm::XorShift,
        max_shrink_iters: 4_000,
        failure_persistence: None,
        ..Config::default()
    };
    let (shop, taken) = (RefCell::new(Shop::default()), Cell::new(0));
    let lives = (step::knobs(), step::steps(LENGTH));
    TestRunner::new(config)
        .run(&lives, |(knobs, steps)| {
            let devices = shop.borrow_mut().device_set(&knobs);
            taken.set(taken.get() + live(devices, knobs, &steps)?);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    println!("{} steps", taken.get());
    assert!(taken.get() >= 100_000 * u64::from(factor()));
}
