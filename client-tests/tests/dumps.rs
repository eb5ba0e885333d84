//! Register dumps of real functions, from the tests of pciutils: `client-tests/dumps/fetch` fetches them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use pci_device_models::dump::{self, DumpedFunction};
use pci_device_models::model::Registry;
use pci_device_models::profile::Profile;
use serde::Deserialize;

/// A refused function in `client-tests/dumps/refused.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    /// File and address.
    function: String,
    /// Part of the message.
    says: String,
    /// The rule of a specification that the function breaks.
    rule: String,
}

/// A function in the same file that a profile shows differently.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Different {
    /// File and address.
    function: String,
    /// Offsets of the DWORDs.
    at: Vec<usize>,
    /// The reason.
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    refused: Vec<Refused>,
    different: Vec<Different>,
}

fn folder() -> PathBuf {
    let cache = || {
        let home = || PathBuf::from(env::var_os("HOME").unwrap_or("/root".into())).join(".cache");
        let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
        cache.join("dormouse-dumps")
    };
    env::var_os("DORMOUSE_DUMPS").map_or_else(cache, PathBuf::from)
}

/// The version of pciutils of which the list of exceptions has all functions.
const LISTED: &str = "3.13.0";

fn version() -> String {
    let version = fs::read_to_string(folder().join("version"));
    version.unwrap_or_default().trim().to_owned()
}

/// Returns the functions with a type 0 header, by file and address.
fn functions() -> BTreeMap<String, DumpedFunction> {
    let folder = folder();
    let files = fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; client-tests/dumps/fetch fetches the dumps",
            folder.display()
        )
    });
    let mut functions = BTreeMap::new();
    for file in files {
        let path = file.expect("an entry of the folder").path();
        let bytes = fs::read(&path).expect("a file of the folder");
        let text = String::from_utf8_lossy(&bytes);
        let name = path.file_name().expect("it has one").to_string_lossy();
        let found = dump::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for function in found.into_iter().filter(DumpedFunction::has_type_0_header) {
            functions.insert(format!("{name} {}", function.address()), function);
        }
    }
    functions
}

/// Registers of which the value in a dump is a state, not a property: capability id and list, offset, and
/// the bits.
const STATE: &[(u16, bool, usize, u32)] = &[
    // Device Status: transactions pending.
    (0x10, false, 0x08, 0x0020_0000),
    // Link Status: training and bandwidth.
    (0x10, false, 0x10, 0xc800_0000),
    // AER: First Error Pointer, TLP Prefix Log Present, header log, root registers, prefix log.
    (0x01, true, 0x18, 0x0000_081f),
    (0x01, true, 0x1c, u32::MAX),
    (0x01, true, 0x20, u32::MAX),
    (0x01, true, 0x24, u32::MAX),
    (0x01, true, 0x28, u32::MAX),
    (0x01, true, 0x38, u32::MAX),
    (0x01, true, 0x3c, u32::MAX),
    (0x01, true, 0x40, u32::MAX),
    (0x01, true, 0x44, u32::MAX),
];

/// Returns the differences between a profile and a dump in the read-only bits of the structures that the
/// profile's lists lead to. DWORDs in `except` and links to places in `without` may differ.
fn differences(profile: &Profile, dump: &[u8], except: &[usize], without: &[u32]) -> Vec<String> {
    let function = profile
        .function(&Registry::builtin())
        .expect("a model that is built in");
    let mut differences = Vec::new();
    for placed in function
        .config()
        .capabilities()
        .filter(|placed| placed.linked)
    {
        let capability = placed.capability.get();
        let (number, extended) = match serde_json::to_value(capability.id()).expect("an id") {
            serde_json::Value::Object(of) => match (of.get("conventional"), of.get("extended")) {
                (Some(id), _) => (id.as_u64(), false),
                (_, Some(id)) => (id["id"].as_u64(), true),
                _ => continue,
            },
            _ => continue,
        };
        for (index, dword) in capability.registers().iter().enumerate() {
            let at = usize::from(placed.offset) + 4 * index;
            let Some(bytes) = dump.get(at..at + 4) else {
                continue;
            };
            if except.contains(&at) {
                continue;
            }
            let there = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            let state = STATE.iter().filter(|(id, list, offset, _)| {
                number == Some(u64::from(*id)) && *list == extended && *offset == 4 * index
            });
            let mut ignored = dword.rw() | dword.rw1c();
            ignored |= state.fold(0, |bits, (.., mask)| bits | mask);
            if index == 0 {
                // The low two bits of a link are reserved.
                let (link, reserved) = if extended {
                    (20, 0x30_0000)
                } else {
                    (8, 0x300)
                };
                ignored |= reserved;
                if without.contains(&(there >> link & 0xffc)) {
                    ignored |= if extended { 0xfff0_0000 } else { 0xff00 };
                }
            }
            let here = capability.read(index);
            if (here ^ there) & !ignored != 0 {
                differences.push(format!(
                    "{} at {at:#x}: {here:08x} instead of {there:08x}, read-only {:08x}",
                    capability.name(),
                    !ignored
                ));
            }
        }
    }
    differences
}

#[test]
fn every_refused_function_breaks_a_listed_rule() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("dumps/refused.toml");
    let list = fs::read_to_string(list).expect("the list of refused functions");
    let Exceptions { refused, different } =
        toml::from_str(&list).expect("the list of refused functions");
    let functions = functions();
    assert!(functions.len() >= 100, "{} functions", functions.len());
    let mut wrong = Vec::new();
    let mut warned = 0;
    for (name, function) in &functions {
        let text = function.profile("dump");
        let listed = refused.iter().find(|refused| refused.function == *name);
        match (Profile::parse(name, &text, &[]), listed) {
            (Ok(profile), None) => {
                warned += usize::from(!profile.warnings().is_empty());
                let known = different.iter().filter(|known| known.function == *name);
                let except: Vec<usize> = known.flat_map(|known| known.at.clone()).collect();
                for difference in differences(&profile, function.bytes(), &except, &[]) {
                    wrong.push(format!("{name}: {difference}"));
                }
            }
            (Ok(_), Some(_)) => wrong.push(format!("{name} is listed and not refused")),
            (Err(error), Some(listed)) => {
                assert!(!listed.rule.is_empty(), "{name}");
                if !error.to_string().contains(&listed.says) {
                    wrong.push(format!("{name}: {error}, not {:?}", listed.says));
                }
            }
            (Err(error), None) => wrong.push(format!("{name} is refused: {error}")),
        }
    }
    println!(
        "{} functions, {} refused, {warned} with warnings",
        functions.len(),
        refused.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for Different {
        function, reason, ..
    } in &different
    {
        assert!(!reason.is_empty(), "{function}");
        assert!(
            functions.contains_key(function) || version() != LISTED,
            "{function}"
        );
    }
    assert!(warned > 0, "some silicon does what specifications forbid");
}

#[test]
fn built_in_profiles_equal_their_dumps_in_read_only_bits() {
    let functions = functions();
    let mut wrong = Vec::new();
    for (profile, dump, except, without) in [
        ("gpu-3d", "cap-exp-lnkcap2 02:00.0", &[][..], &[][..]),
        ("gpu-audio", "tree-asus-p6t6 06:00.1", &[], &[]),
        // ARI names function 1, the other port, and SR-IOV virtual functions. The profile has neither.
        ("nic", "cap-pcie-2 09:00.0", &[0x154], &[0x160]),
        // In older versions of pciutils it is another card: port number and serial number.
        ("nic", "cap-pcie-2 01:00.0", &[0xac, 0x144, 0x154], &[0x160]),
        ("nvme", "cap-phy32 03:00.0", &[], &[0x1f8]),
    ] {
        let Some(function) = functions.get(dump) else {
            println!("{dump} is not in this version of pciutils");
            continue;
        };
        let text = Profile::builtin(profile).expect("it is built in");
        let made = Profile::parse(profile, text, &[]).expect("it is valid");
        for difference in differences(&made, function.bytes(), except, without) {
            wrong.push(format!("{profile}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
