//! The power of a slot against an independent model: who holds the power resource, who keeps whom
//! awake, and what the port above does. The model is a handful of rules over the whole history; it
//! shares no code with the host layer.

use std::time::Duration;

use pci_device_models::host::{
    AttachedFd, DeviceLink, DeviceMut, DeviceSet, PowerControl, RuntimePmStatus, SetOptions,
};
use pci_device_models::model::Registry;
use pci_device_models::power::PowerState;
use pci_device_models::profile::Card;
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;
use proptest::prelude::*;
use vfio_user_protocol::messages::device_feature;
use vfio_user_protocol::vfio::RegionIndex;

const FUNCTIONS: usize = 3;
const CONFIG: u32 = RegionIndex::Config.number();
/// Cases and steps of each: more than 100 000 steps.
const CASES: u32 = 410;
const STEPS: usize = 250;

/// The platform of a case.
#[derive(Clone, Copy, Debug)]
struct Platform {
    /// The functions reach D3cold by the port, not by their common resource.
    by_port: bool,
    /// A function that the platform brings to D3hot only.
    hot: Option<usize>,
    port_delay: u64,
    resume_dependents: bool,
    /// Function 1 needs function 0.
    linked: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Open(usize),
    Close(usize),
    Engage(usize),
    Leave(usize),
    Access(usize),
    HostAccess(usize),
    Control(usize, bool),
    D3coldAllowed(usize, bool),
    PortControl(bool),
    PortD3coldAllowed(bool),
    HotReset(usize),
    Wait(u64),
}

fn platform() -> impl Strategy<Value = Platform> {
    (
        any::<bool>(),
        proptest::option::weighted(0.2, 0..FUNCTIONS),
        prop_oneof![Just(0), Just(100)],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(by_port, hot, port_delay, resume_dependents, linked)| Platform {
                by_port,
                hot,
                port_delay,
                resume_dependents,
                linked,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let function = || 0..FUNCTIONS;
    prop_oneof![
        2 => function().prop_map(Step::Open),
        1 => function().prop_map(Step::Close),
        4 => function().prop_map(Step::Engage),
        2 => function().prop_map(Step::Leave),
        2 => function().prop_map(Step::Access),
        1 => function().prop_map(Step::HostAccess),
        1 => (function(), any::<bool>()).prop_map(|(at, on)| Step::Control(at, on)),
        1 => (function(), any::<bool>()).prop_map(|(at, on)| Step::D3coldAllowed(at, on)),
        1 => any::<bool>().prop_map(Step::PortControl),
        1 => any::<bool>().prop_map(Step::PortD3coldAllowed),
        1 => function().prop_map(Step::HotReset),
        3 => (1_u64..150).prop_map(Step::Wait),
    ]
}

/// A function in the model.
#[derive(Clone, Copy, Debug)]
struct Member {
    open: bool,
    engaged: bool,
    control_on: bool,
    allowed: bool,
}

/// The model.
#[derive(Debug)]
struct Model {
    platform: Platform,
    members: [Member; FUNCTIONS],
    port_on: bool,
    port_allowed: bool,
    port: PowerState,
    /// Milliseconds at which the port woke last.
    port_woke: u64,
}

impl Model {
    fn is_awake(&self, at: usize) -> bool {
        let wants = |at: usize| {
            let member = self.members[at];
            member.open && !member.engaged || member.control_on
        };
        wants(at) || at == 0 && self.platform.linked && wants(1)
    }

    /// Somebody below the port, or the port itself, was needed for a moment.
    fn touch(&mut self, now: u64) {
        if self.port != PowerState::D0 {
            self.port = PowerState::D0;
            self.port_woke = now;
        }
    }

    fn apply(&mut self, step: Step, now: u64) {
        let asleep = |model: &Self, at: usize| !model.is_awake(at);
        match step {
            Step::Open(at) if !self.members[at].open => {
                self.touch(now);
                self.members[at].open = true;
            }
            Step::Close(at) if self.members[at].open => {
                self.touch(now);
                self.members[at].open = false;
                self.members[at].engaged = false;
            }
            Step::Engage(at) if self.members[at].open && !self.members[at].engaged => {
                self.members[at].engaged = true;
            }
            Step::Leave(at) if self.members[at].open => {
                self.touch(now);
                self.members[at].engaged = false;
            }
            Step::Access(at) if self.members[at].open => self.touch(now),
            Step::HostAccess(_) | Step::HotReset(_) => self.touch(now),
            Step::Control(at, on) => {
                self.members[at].control_on = on;
                if on {
                    self.touch(now);
                }
            }
            Step::D3coldAllowed(at, allowed) => {
                if asleep(self, at) {
                    self.touch(now);
                }
                self.members[at].allowed = allowed;
            }
            Step::PortControl(on) => {
                self.port_on = on;
                if on {
                    self.touch(now);
                }
            }
            Step::PortD3coldAllowed(allowed) => {
                self.port_allowed = allowed;
                self.touch(now);
            }
            _ => {}
        }
        self.let_port_sleep(now);
    }

    fn let_port_sleep(&mut self, now: u64) {
        let awake = (0..FUNCTIONS).any(|at| self.is_awake(at));
        if awake {
            self.touch(now);
        }
        let bridge_d3 = self.members.iter().all(|member| member.allowed);
        let over = now >= self.port_woke + self.platform.port_delay;
        let has_states = self.platform.by_port && self.by_port_at_all();
        if has_states && !awake && bridge_d3 && !self.port_on && over && self.port == PowerState::D0
        {
            let cold = self.port_allowed && self.platform.hot.is_none();
            self.port = if cold {
                PowerState::D3cold
            } else {
                PowerState::D3hot
            };
        }
    }

    /// A port goes to sleep if it takes at least one function to D3cold.
    fn by_port_at_all(&self) -> bool {
        (0..FUNCTIONS).any(|at| self.platform.hot != Some(at))
    }

    fn holds(&self, at: usize) -> bool {
        let releases =
            !self.platform.by_port && self.platform.hot != Some(at) && self.members[at].allowed;
        self.is_awake(at) || !releases
    }
}

/// The slot under test.
struct Bench(DeviceSet);

fn number(at: usize) -> FunctionNumber {
    FunctionNumber::try_from(at as u8).unwrap()
}

fn millis(now: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(now))
}

impl Bench {
    fn new(platform: Platform) -> Self {
        let functions: String = (0..FUNCTIONS)
            .map(|at| {
                let via = if platform.by_port { "port" } else { "device" };
                let deepest = if platform.hot == Some(at) { "d3hot" } else { "d3cold" };
                format!(
                    "[[function]]\nprofile = \"testdev\"\nhost.view = \"vfio-pci\"\nplatform.deepest-state = \"{deepest}\"\nplatform.d3cold-via = \"{via}\"\n"
                )
            })
            .collect();
        let text = format!(
            "name = \"three\"\n[slot]\nresume-dependents = {}\nport.suspend-delay-ms = {}\n{}{functions}",
            platform.resume_dependents,
            platform.port_delay,
            if platform.linked {
                "[[slot.link]]\nconsumer = 1\nsupplier = 0\n"
            } else {
                ""
            },
        );
        let registry = Registry::builtin();
        let card = Card::parse("three", &text, &[], &|name| registry.base(name)).unwrap();
        Self(card.device_set(&registry).unwrap())
    }

    fn device(&mut self, at: usize) -> DeviceMut<'_> {
        self.0.device_mut(number(at)).unwrap()
    }

    fn apply(&mut self, step: Step, model: &Model, now: Time) {
        let open = |at: usize| model.members[at].open;
        match step {
            Step::Open(at) if !open(at) => self.device(at).client_came(now).unwrap(),
            Step::Close(at) if open(at) => self.device(at).client_gone(now),
            Step::Engage(at) if open(at) && !model.members[at].engaged => self.feature(at, 3, now),
            Step::Leave(at) if open(at) => self.feature(at, 5, now),
            Step::Access(at) if open(at) => {
                let mut vendor = [0; 2];
                let mut device = self.device(at);
                device.region_read(now, CONFIG, 0, &mut vendor).unwrap();
                assert_eq!(u16::from_le_bytes(vendor), 0x1234);
            }
            Step::HostAccess(at) => {
                let answer = self.device(at).host_access(now);
                assert_eq!(answer["vendor_id"], 0x1234);
            }
            Step::Control(at, on) => {
                let control = if on {
                    PowerControl::On
                } else {
                    PowerControl::Auto
                };
                self.device(at).set_control(now, control);
            }
            Step::D3coldAllowed(at, allowed) => self.device(at).set_d3cold_allowed(now, allowed),
            Step::PortControl(on) => {
                let control = if on {
                    PowerControl::On
                } else {
                    PowerControl::Auto
                };
                self.device(0).set_port_control(now, control);
            }
            Step::PortD3coldAllowed(allowed) => {
                self.device(0).set_port_d3cold_allowed(now, allowed);
            }
            Step::HotReset(at) => self.device(at).hot_reset(now).unwrap(),
            _ => {}
        }
        self.settle(now);
    }

    fn feature(&mut self, at: usize, index: u16, now: Time) {
        let request = device_feature::Request::set(index, &[]);
        let mut device = self.device(at);
        device.feature(now, &request, AttachedFd::None).unwrap();
    }

    /// Performs what is due, as a server does between requests.
    fn settle(&mut self, now: Time) {
        for at in 0..FUNCTIONS {
            self.device(at).idle(now);
        }
        for _ in 0..20 {
            if self.0.next_deadline().is_none_or(|due| due > now) {
                for at in 0..FUNCTIONS {
                    while self.device(at).next_output().is_some() {}
                }
                return;
            }
            self.0.advance(now);
        }
        panic!("the slot does not come to rest");
    }

    fn check(&mut self, model: &Model, now: Time) {
        let rail = self.0.slot().rail_on();
        let mut held = false;
        for at in 0..FUNCTIONS {
            let device = self.device(at);
            let status = device.status(now);
            let awake = status.runtime_status == RuntimePmStatus::Active;
            assert_eq!(awake, model.is_awake(at), "function {at} is awake");
            assert_eq!(status.holds_power, model.holds(at), "function {at} holds");
            assert_eq!(status.port.power_state, model.port, "the port");
            if status.runtime_usage > 0 || awake {
                assert!(rail, "power has gone from function {at}, which is in use");
                assert_eq!(status.power_state, PowerState::D0, "function {at}");
            }
            held |= status.holds_power;
            let powered = status.power_state != PowerState::D3cold;
            assert_eq!(powered, rail, "function {at} has power like the slot");
        }
        let powered = held && model.port != PowerState::D3cold;
        assert_eq!(
            rail, powered,
            "the slot has power exactly if somebody holds it"
        );
    }
}

fn run(platform: Platform, steps: Vec<Step>) {
    let mut bench = Bench::new(platform);
    let mut model = Model {
        platform,
        members: [Member {
            open: false,
            engaged: false,
            control_on: false,
            allowed: true,
        }; FUNCTIONS],
        port_on: false,
        port_allowed: true,
        port: PowerState::D0,
        port_woke: 0,
    };
    let mut now = 0;
    bench.settle(millis(now));
    model.let_port_sleep(now);
    bench.check(&model, millis(now));
    for step in steps {
        if let Step::Wait(span) = step {
            // Everything that is due on the way happens at its time.
            let end = now + span;
            while let Some(due) = bench.0.next_deadline().filter(|due| *due <= millis(end)) {
                now = now.max(due.as_nanos() / 1_000_000);
                bench.settle(millis(now));
                model.let_port_sleep(now);
            }
            now = end;
        }
        bench.apply(step, &model, millis(now));
        model.apply(step, now);
        bench.check(&model, millis(now));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn power_follows_the_holders_the_links_and_the_port(
        platform in platform(),
        steps in proptest::collection::vec(step(), STEPS),
    ) {
        run(platform, steps);
    }
}

#[test]
fn a_circle_of_links_is_refused() {
    let mut options = SetOptions::default();
    let (first, second) = (number(0), number(1));
    options.links.push(DeviceLink::new(first, second));
    options.links.push(DeviceLink::new(second, first));
    let registry = Registry::builtin();
    let text = "name = \"pair\"\n[[function]]\nprofile = \"testdev\"\n[[function]]\nprofile = \"testdev\"\n";
    let card = Card::parse("pair", text, &[], &|name| registry.base(name)).unwrap();
    let devices = card.device_set(&registry).unwrap();
    assert!(devices.with_options(options).is_err());
}
