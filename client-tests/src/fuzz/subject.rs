//! The functions that are put to the test: every built-in profile, in both views, with both forms
//! of low power.

use pci_device_models::host::{DeviceRef, DeviceSet, View};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use pci_device_models::time::Time;
use serde_json::{Value, json};

use super::input::Input;

/// A function as it is configured.
#[derive(Debug)]
pub struct Subject {
    /// Its profile.
    pub profile: Profile,
}

thread_local! {
    static ALL: Vec<Subject> = all();
    static MODELS: Registry = Registry::builtin();
}

impl Subject {
    /// Lets `input` choose one, and does something with it.
    pub fn choose<R>(input: &mut Input<'_>, with: impl FnOnce(&Self) -> R) -> R {
        let choice = usize::from(input.u8());
        ALL.with(|all| with(&all[choice % all.len()]))
    }

    /// As [`Self::choose`], with the number of the chosen one.
    pub fn number(input: &mut Input<'_>) -> usize {
        usize::from(input.u8()) % ALL.with(Vec::len)
    }

    /// Does something with the one of a number.
    pub fn numbered<R>(number: usize, with: impl FnOnce(&Self) -> R) -> R {
        ALL.with(|all| with(&all[number]))
    }

    /// A device of it that nobody has used.
    #[must_use]
    pub fn devices(&self) -> DeviceSet {
        let devices = MODELS.with(|models| self.profile.device_set(models));
        devices.expect("built-in profiles make devices")
    }

    /// Whether clients see what vfio-pci shows them.
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

/// What can be seen of a device without saving it: what it tells of itself, its config space as it
/// is, and when it has something to do.
pub type Seen = (Value, Vec<u8>, Option<Time>);

/// Looks at a device, which takes much less time than saving it.
#[must_use]
pub fn seen(device: DeviceRef<'_>, now: Time) -> Seen {
    let config = device.function().config();
    let mut space = vec![0; config.size().into()];
    config.read(0, &mut space);
    (json!(device.status(now)), space, device.next_deadline())
}

/// References to a device that are held, as sysfs tells.
///
/// # Panics
/// The status does not tell.
#[must_use]
pub fn usage(status: &Value) -> u64 {
    status["runtime_usage"].as_u64().expect("a count")
}

/// The first place below `at` where two trees differ, with what is there.
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
