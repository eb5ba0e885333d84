//! The functions under test: every built-in profile and card, in both views, with both forms of low power,
//! and the platform controller.

use pci_device_models::host::{DeviceRef, DeviceSet, View};
use pci_device_models::model::Registry;
use pci_device_models::model::controller::Controller;
use pci_device_models::profile::{Card, Profile};
use pci_device_models::time::Time;
use serde_json::{Value, json};

use super::input::Input;

/// A configured function.
#[derive(Debug)]
pub struct Subject {
    /// Profile of the function.
    pub profile: Profile,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A single function, or several of which the first one is under test.
    Card(Box<Card>),
    /// A platform controller.
    Controller,
}

thread_local! {
    static ALL: Vec<Subject> = all();
    static MODELS: Registry = Registry::builtin();
}

impl Subject {
    /// Lets `input` choose a subject, and runs a closure on it.
    pub fn choose<R>(input: &mut Input<'_>, with: impl FnOnce(&Self) -> R) -> R {
        let choice = usize::from(input.u8());
        ALL.with(|all| with(&all[choice % all.len()]))
    }

    /// Lets `input` choose a subject, and returns its number.
    pub fn number(input: &mut Input<'_>) -> usize {
        usize::from(input.u8()) % ALL.with(Vec::len)
    }

    /// Runs a closure on the subject of a number.
    pub fn numbered<R>(number: usize, with: impl FnOnce(&Self) -> R) -> R {
        ALL.with(|all| with(&all[number]))
    }

    /// Creates an unused device.
    #[must_use]
    pub fn devices(&self) -> DeviceSet {
        let devices = match &self.kind {
            Kind::Card(card) => MODELS.with(|models| card.device_set(models)),
            Kind::Controller => Controller::device_set(&[1, 2]),
        };
        devices.expect("built-in profiles make devices")
    }

    /// Returns whether clients have the vfio-pci view.
    #[must_use]
    pub fn is_virtual(device: DeviceRef<'_>) -> bool {
        device.options().view == View::VfioPci
    }
}

fn all() -> Vec<Subject> {
    let models = Registry::builtin();
    let bases = |name: &str| models.base(name);
    let mut all = Vec::new();
    for name in Profile::builtins().chain(CARDS) {
        for view in ["hardware", "vfio-pci"] {
            for dialect in ["mainline", "v4"] {
                let set = [
                    ("host.view", view),
                    ("host.pm-dialect", dialect),
                    ("host.max-clients", "2"),
                    ("host.disable-idle-d3", "false"),
                ];
                let text = models.profile(name).expect("it is built in");
                let functions = text.matches("[[function]]").count();
                let of_functions = (0..functions).map(|number| format!("function.{number}."));
                let prefixes: Vec<_> = match functions {
                    0 => vec![String::new()],
                    _ => of_functions.collect(),
                };
                let each = |prefix: &String| {
                    set.map(|(key, value)| (format!("{prefix}{key}"), value.to_owned()))
                };
                let set: Vec<_> = prefixes.iter().flat_map(each).collect();
                let card = Card::parse(name, text, &set, &bases).expect("it is a profile");
                let (_, first) = card.functions().next().expect("there is a function 0");
                all.push(Subject {
                    profile: first.clone(),
                    kind: Kind::Card(Box::new(card)),
                });
            }
        }
    }
    all.push(Subject {
        profile: controller(),
        kind: Kind::Controller,
    });
    all
}

/// A function with the registers of a platform controller.
const CONTROLLER: &str = r#"name = "controller"
model = "controller"
identity = { vendor-id = 0x1234, device-id = 0xd3c1, class = 0x088000, interrupt-pin = "A" }
bar = [{ index = 0, kind = "memory32", size = 0x1000 }]
"#;

/// Returns the profile of a platform controller.
pub(super) fn controller() -> Profile {
    Profile::parse("controller", CONTROLLER, &[]).expect("it is a profile")
}

/// The built-in cards.
const CARDS: [&str; 2] = ["gpu-card", "gpu-card-usb"];

/// The visible state of a device without saving it: its reports, its config space, and the time of
/// its next work.
pub type Seen = (Value, Vec<u8>, Option<Time>);

/// Returns the visible state of a device, which takes much less time than saving it.
#[must_use]
pub fn seen(device: DeviceRef<'_>, now: Time) -> Seen {
    let config = device.function().config();
    let mut space = vec![0; config.size().into()];
    config.read(0, &mut space);
    (json!(device.status(now)), space, device.next_deadline())
}

/// Returns the usage count of a device, as sysfs reports it.
///
/// # Panics
/// The status has no usage count.
#[must_use]
pub fn usage(status: &Value) -> u64 {
    status["runtime_usage"].as_u64().expect("a count")
}

/// Returns the first place below `at` where two trees differ, with both values.
#[must_use]
pub fn differ(at: &str, a: &Value, b: &Value) -> Option<String> {
    if a == b {
        return None;
    }
    if let (Some(a), Some(b)) = (a.as_object(), b.as_object())
        && a.keys().eq(b.keys())
    {
        let mut members = a.iter().zip(b.values());
        return members.find_map(|((key, a), b)| differ(&format!("{at}.{key}"), a, b));
    }
    Some(format!("{at}: {a} and {b}"))
}
