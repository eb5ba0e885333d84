//! Profiles: text as it is, or a built-in profile or card with entries changed.

use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, Profile, ProfileError};

use super::input::Input;

/// The smallest valid profile, to which texts are added.
const SMALLEST: &str =
    "name = \"f\"\n[identity]\nvendor-id = 0x1234\ndevice-id = 1\nclass = 0xff0000\n";

/// Reads the profile that the input describes.
///
/// # Panics
/// A rule is broken.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let base = input.u8();
    let names: Vec<&str> = Profile::builtins().collect();
    let registry = Registry::builtin();
    let bases = |name: &str| registry.base(name);
    let changes = usize::from(base >> 4);
    let (text, set) = match base & 0xf {
        0 => (String::new(), Vec::new()),
        1..=7 => (SMALLEST.to_owned(), Vec::new()),
        which => {
            let name = match which {
                14 => "gpu-card",
                15 => "gpu-card-usb",
                _ => names[usize::from(which) % names.len()],
            };
            let text = registry.profile(name).unwrap_or_default();
            (text.to_owned(), overrides(&mut input, changes))
        }
    };
    let text = text + &String::from_utf8_lossy(input.rest());
    match Card::parse("fuzzed", &text, &set, &bases) {
        Ok(card) => {
            let again = Card::parse("fuzzed", &text, &set, &bases).expect("it was taken before");
            let mut made = true;
            for ((number, profile), (_, again)) in card.functions().zip(again.functions()) {
                assert_eq!(profile.config_space(), again.config_space(), "{number}");
                made &= describes(profile, &text, &set);
            }
            assert_eq!(card.device_set(&registry).is_ok(), made);
        }
        Err(error) => refused(&error, &text, &set),
    }
}

/// Returns `count` overrides, each a `KEY=VALUE` to the end of a line.
fn overrides(input: &mut Input<'_>, count: usize) -> Vec<(String, String)> {
    let mut set = Vec::new();
    for _ in 0..count {
        let mut line = Vec::new();
        while !input.is_empty() {
            match input.u8() {
                b'\n' => break,
                byte => line.push(byte),
            }
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some((key, value)) = line.split_once('=') {
            set.push((key.to_owned(), value.to_owned()));
        }
    }
    set
}

/// Checks that an accepted profile creates the device that it describes, if there is such a model.
/// Returns whether there is one.
fn describes(profile: &Profile, text: &str, set: &[(String, String)]) -> bool {
    let described = profile.config_space();
    assert!(matches!(described.len(), 256 | 4096), "config space");
    match profile.function(&Registry::builtin()) {
        Ok(function) => {
            let mut made = vec![0; described.len()];
            function.config().read(0, &mut made);
            assert!(described == made, "not the config space that was described");
            true
        }
        Err(error) => {
            assert!(error.key.ends_with("model"), "{error}");
            refused(&error, text, set);
            false
        }
    }
}

/// Checks that a refusal has a reason, at an existing line.
fn refused(error: &ProfileError, text: &str, set: &[(String, String)]) {
    assert!(!error.message.is_empty());
    assert!(error.origin.starts_with("fuzzed"), "{}", error.origin);
    match error.line {
        Some(line) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
        }
        None => assert!(!set.is_empty(), "{error}"),
    }
}
