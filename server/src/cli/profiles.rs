//! Finds, lists and validates profiles.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, Profile};

use super::args::{ProfilesCommand, Setting};
use super::failure::Failure;

/// Returns the card, or the card of a single function, of a `NAME|FILE` argument with the overrides of
/// `set`. An argument with a slash or the ending `.toml` is a file; any other one is a built-in profile or,
/// failing that, a file.
pub fn find(name_or_file: &str, set: &[Setting], registry: &Registry) -> Result<Card, Failure> {
    let text = text(name_or_file, Path::new(""), registry)?;
    parse(name_or_file, &text, set, registry)
}

/// Parses a profile's text. The files of functions are in its folder.
fn parse(origin: &str, text: &str, set: &[Setting], registry: &Registry) -> Result<Card, Failure> {
    let folder = Path::new(origin).parent().unwrap_or(Path::new(""));
    let base =
        |name: &str| self::text(name, folder, registry).map_err(|failure| failure.to_string());
    Ok(Card::parse(origin, text, set, &base)?)
}

/// Returns the text of a built-in profile or of a file in `folder`.
fn text(name_or_file: &str, folder: &Path, registry: &Registry) -> Result<String, Failure> {
    let looks_like_a_file = name_or_file.contains('/') || name_or_file.ends_with(".toml");
    let file = folder.join(name_or_file);
    match registry.profile(name_or_file) {
        Some(text) if !looks_like_a_file => Ok(text.to_owned()),
        _ if looks_like_a_file || file.exists() => read(&file),
        _ => Err(no_such(name_or_file, registry)),
    }
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
    let card = parse(&file.to_string_lossy(), &read(file)?, &[], registry)?;
    card.device_set(registry)?;
    for (_, profile) in card.functions() {
        for warning in profile.warnings() {
            eprintln!("warning: {warning}");
        }
    }
    Ok(())
}

fn list(registry: &Registry) -> Result<String, Failure> {
    let names: Vec<&str> = registry.profiles().collect();
    let width = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for name in names {
        let card = find(name, &[], registry)?;
        // Writing to a String cannot fail.
        let _ = write!(text, "{name:width$}  {}", card.description());
        if let Some(driver) = card.single().and_then(Profile::linux_driver) {
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
