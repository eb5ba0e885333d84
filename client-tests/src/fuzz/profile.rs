//! Profiles: text as it is, or a built-in profile with entries changed.

use pci_device_models::model::Registry;
use pci_device_models::profile::{Profile, ProfileError};

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
    let changes = usize::from(base >> 4);
    let (text, set) = match base & 0xf {
        0 => (String::new(), Vec::new()),
        1..=7 => (SMALLEST.to_owned(), Vec::new()),
        which => {
            let name = names[usize::from(which) % names.len()];
            let text = Profile::builtin(name).unwrap_or_default();
            (text.to_owned(), overrides(&mut input, changes))
        }
    };
    let text = text + &String::from_utf8_lossy(input.rest());
    match Profile::parse("fuzzed", &text, &set) {
        Ok(profile) => describes(&profile, &text, &set),
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

/// Checks that an accepted profile creates the device that it describes, the same each time.
fn describes(profile: &Profile, text: &str, set: &[(String, String)]) {
    let again = Profile::parse("fuzzed", text, set).expect("it was taken before");
    assert_eq!(profile.config_space(), again.config_space());
    let described = profile.config_space();
    assert!(matches!(described.len(), 256 | 4096), "config space");
    match profile.function(&Registry::builtin()) {
        Ok(function) => {
            let mut made = vec![0; described.len()];
            function.config().read(0, &mut made);
            assert!(described == made, "not the config space that was described");
            assert!(profile.device_set(&Registry::builtin()).is_ok());
        }
        Err(error) => {
            assert_eq!(error.key, "model", "{error}");
            refused(&error, text, set);
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
