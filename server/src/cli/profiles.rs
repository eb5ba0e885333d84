//! Finds, lists and validates profiles.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;

use super::args::{ProfilesCommand, Setting};
use super::failure::Failure;

/// Returns the profile of a `NAME|FILE` argument with the overrides of `set`. An argument with a slash
/// or the ending `.toml` is a file; any other one is a built-in profile or, failing that, a file.
pub fn find(name_or_file: &str, set: &[Setting], registry: &Registry) -> Result<Profile, Failure> {
    let looks_like_a_file = name_or_file.contains('/') || name_or_file.ends_with(".toml");
    let text = match registry.profile(name_or_file) {
        Some(text) if !looks_like_a_file => text.to_owned(),
        _ if looks_like_a_file || Path::new(name_or_file).exists() => {
            read(Path::new(name_or_file))?
        }
        _ => return Err(no_such(name_or_file, registry)),
    };
    Ok(Profile::parse(name_or_file, &text, set)?)
}

pub fn run(command: Option<&ProfilesCommand>, registry: &Registry) -> Result<(), Failure> {
    match command {
        None => super::print(list(registry)?),
        Some(ProfilesCommand::Show { name }) => super::print(
            registry
                .profile(name)
                .ok_or_else(|| no_such(name, registry))?,
        ),
    }
}

pub fn check(file: &Path, registry: &Registry) -> Result<(), Failure> {
    let profile = Profile::parse(&file.to_string_lossy(), &read(file)?, &[])?;
    profile.device_set(registry)?;
    Ok(())
}

fn list(registry: &Registry) -> Result<String, Failure> {
    let names: Vec<&str> = registry.profiles().collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for name in names {
        let profile = find(name, &[], registry)?;
        // Writing to a String cannot fail.
        let _ = write!(text, "{name:width$}  {}", profile.description());
        if let Some(driver) = profile.linux_driver() {
            let _ = write!(text, " (Linux driver: {driver})");
        }
        text.push('\n');
    }
    Ok(text)
}

/// Maximum bytes of a profile. A device such as `/dev/zero` has no end.
const MAX_PROFILE: u64 = 4 << 20;

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(file)
        .and_then(|open| open.take(MAX_PROFILE + 1).read_to_string(&mut text))
        .and_then(|length| match length as u64 {
            0..=MAX_PROFILE => Ok(()),
            _ => Err(io::Error::other("it has more than 4 MiB")),
        });
    read.map(|()| text).map_err(|error| {
        Failure::Profile(format!(
            "{}: cannot read the profile: {error}",
            file.display()
        ))
    })
}

fn no_such(name: &str, registry: &Registry) -> Failure {
    let names: Vec<&str> = registry.profiles().collect();
    Failure::Profile(format!(
        "there is no profile '{name}': it is neither a file nor one of the built-in profiles ({})",
        names.join(", ")
    ))
}
