//! The functions under test: every built-in profile, in both views, with both forms of low power.

use pci_device_models::host::{DeviceRef, DeviceSet, View};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use serde_json::{Value, json};

use super::input::Input;

/// A configured function.
#[derive(Debug)]
pub struct Subject {
    /// Profile of the function.
    pub profile: Profile,
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
        let devices = MODELS.with(|models| self.profile.device_set(models));
        devices.expect("built-in profiles make devices")
    }

    /// Returns whether clients have the vfio-pci view.
    #[must_use]
    pub fn is_virtual(device: DeviceRef<'_>) -> bool {
        device.options().view == View::VfioPci
    }
}

fn all() -> Vec<Subject> {
    let mut all = Vec::new();
    for name in Profile::builtins() {
        for view in ["hardware", "vfio-pci"] {
            for dialect in ["mainline", "v4"] {
                let set = [
                    ("host.view", view),
                    ("host.pm-dialect", dialect),
                    ("host.max-clients", "2"),
                    ("host.disable-idle-d3", "false"),
                ];
                let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
                let text = Profile::builtin(name).expect("it is built in");
                let profile = Profile::parse(name, text, &set).expect("it is a profile");
                all.push(Subject { profile });
            }
        }
    }
    all
}

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
