//! No number of VFIO, of errno or of PCI is defined twice in the crates that make the server.
//!
//! The definitions are the modules `vfio` and `errno` of the protocol crate and `pci` of the device
//! models. A constant elsewhere that has the name and the value of one of theirs, that is named like
//! an errno, or whose comment names a constant of a kernel header, is a second definition.

use std::fs;
use std::path::{Path, PathBuf};

use pci_device_models::pci::{ConventionalId, ExtendedId};
use vfio_user_protocol::Errno;
use vfio_user_protocol::vfio::{
    BusMasterOperation, DeviceFlags, DeviceState, DmaUnmapFlags, Feature, IrqIndex, IrqInfoFlags,
    IrqSetFlags, Operation, PowerManagementFlags, RegionFlags, RegionIndex,
};

/// The places that define constants, and those with registers of their own: device models.
const ELSEWHERE: [&str; 5] = [
    "protocol/src/vfio",
    "protocol/src/errno",
    "device-models/src/pci",
    "device-models/src/model",
    "device-models/src/bench",
];

/// A constant with a number for a value.
#[derive(Debug, PartialEq, Eq)]
struct Constant {
    name: String,
    value: u64,
    /// The comment in front of it.
    comment: String,
    line: usize,
}

/// A decimal or hexadecimal number, or one shifted.
fn number(text: &str) -> Option<u64> {
    if let Some((left, right)) = text.split_once("<<") {
        let shift = u32::try_from(number(right.trim())?).ok()?;
        return number(left.trim())?.checked_shl(shift);
    }
    let plain: String = text.chars().filter(|sign| *sign != '_').collect();
    let types = ["u8", "u16", "u32", "u64", "usize", "i32"];
    let ending = types.into_iter().find(|ending| plain.ends_with(ending));
    let plain = plain.strip_suffix(ending.unwrap_or_default())?;
    match plain.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => plain.parse().ok(),
    }
}

fn constants(source: &str) -> Vec<Constant> {
    let mut found = Vec::new();
    let mut comment = String::new();
    for (line, text) in (1..).zip(source.lines().map(str::trim)) {
        if text.starts_with("//") {
            comment.push_str(text);
            continue;
        }
        let comment = std::mem::take(&mut comment);
        let declared = text.split_once("const ").and_then(|(visibility, rest)| {
            let declares = visibility.is_empty() || visibility.starts_with("pub");
            let (head, value) = rest.split_once('=').filter(|_| declares)?;
            let name = head.split(':').next()?.trim();
            Some((name, number(value.trim().trim_end_matches(';'))?))
        });
        if let Some((name, value)) = declared {
            let name = name.to_owned();
            found.push(Constant {
                name,
                value,
                comment,
                line,
            });
        }
    }
    found
}

/// `LowPowerEntry` in capitals: `LOW_POWER_ENTRY`.
fn capitals(name: &str) -> String {
    let mut capitals = String::new();
    for (at, sign) in name.char_indices() {
        if at > 0 && sign.is_uppercase() {
            capitals.push('_');
        }
        capitals.extend(sign.to_uppercase());
    }
    capitals
}

/// The names and values of the vocabulary.
fn vocabulary() -> Vec<(String, u64)> {
    let mut all = Vec::new();
    macro_rules! enums {
        ($($all:expr),*) => {$(
            all.extend($all.iter().map(|one| (capitals(&format!("{one:?}")), u64::from(one.number()))));
        )*};
    }
    macro_rules! flags {
        ($($flags:ty),*) => {$(
            let flags = <$flags>::all().iter_names();
            all.extend(flags.map(|(name, flag)| (name.to_owned(), u64::from(flag.bits()))));
        )*};
    }
    enums!(
        BusMasterOperation::ALL,
        DeviceState::ALL,
        Feature::ALL,
        IrqIndex::ALL,
        RegionIndex::ALL,
        ConventionalId::NAMED,
        ExtendedId::NAMED
    );
    flags!(
        DeviceFlags,
        DmaUnmapFlags,
        IrqInfoFlags,
        IrqSetFlags,
        Operation,
        PowerManagementFlags,
        RegionFlags
    );
    // Rights to memory, which more than regions have.
    all.retain(|(name, _)| !matches!(name.as_str(), "READ" | "WRITE"));
    let pci = fs::read_to_string(root().join("device-models/src/pci.rs")).unwrap();
    let pci = constants(&pci).into_iter();
    all.extend(pci.map(|constant| (constant.name, constant.value)));
    all
}

/// The numbers and names in a source file that belong to the vocabulary.
fn second_definitions(source: &str, vocabulary: &[(String, u64)]) -> Vec<String> {
    const HEADERS: [&str; 3] = ["VFIO_", "PCI_CAP_ID_", "PCI_EXT_CAP_ID_"];
    let twice = constants(source).into_iter().filter(|constant| {
        let known = vocabulary
            .iter()
            .any(|(name, value)| (name, value) == (&constant.name, &constant.value));
        let of_header = HEADERS.iter().any(|name| constant.comment.contains(name));
        known || of_header || constant.name.parse::<Errno>().is_ok()
    });
    let asks = [".name() == \"", "Id::of(0", "Id::of(1"];
    let lines = (1..).zip(source.lines());
    let asked = lines.filter(|(_, text)| asks.iter().any(|ask| text.contains(ask)));
    twice
        .map(|constant| {
            format!(
                "{}: {} = {:#x}",
                constant.line, constant.name, constant.value
            )
        })
        .chain(asked.map(|(line, text)| format!("{line}: {}", text.trim())))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy();
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_is_defined_twice() {
    let (root, vocabulary) = (root(), vocabulary());
    let mut files = Vec::new();
    for crate_of in ["protocol/src", "device-models/src", "server/src"] {
        sources(&root.join(crate_of), &mut files);
    }
    let mut twice = Vec::new();
    let mut read = 0;
    for file in files {
        let path = file
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if ELSEWHERE
            .iter()
            .any(|elsewhere| path.starts_with(elsewhere))
        {
            continue;
        }
        read += 1;
        let source = fs::read_to_string(&file).unwrap();
        // Tests spell numbers out.
        let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let found = second_definitions(source, &vocabulary).into_iter();
        twice.extend(found.map(|found| format!("{path}:{found}")));
    }
    assert!(read > 150, "only {read} files");
    assert!(twice.is_empty(), "defined twice:\n{}", twice.join("\n"));
}

#[test]
fn a_second_definition_is_found() {
    let vocabulary = vocabulary();
    for source in [
        "const EIO: i32 = 5;",
        "pub(super) const BUS_MASTER: u16 = 10;",
        "const COMMAND: u64 = 0x04;",
        "const MSIX: u8 = 0x11;",
        "        const GET = 1 << 16;",
        "/// `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY`.\nconst ENTRY: u16 = 3;",
        "if placed.capability.get().name() == \"msi\" {",
        "find(function, ConventionalId::of(0x05))",
    ] {
        let found = second_definitions(source, &vocabulary);
        assert_eq!(found.len(), 1, "{source}: {found:?}");
    }
    for source in [
        "const COMMAND: u64 = pci::header::COMMAND as u64;",
        "const SLICE: usize = 256 * 1024;",
        "/// Bytes of a message.\nconst MOST: u32 = 0x10_0000;",
    ] {
        let found = second_definitions(source, &vocabulary);
        assert_eq!(found, Vec::<String>::new());
    }
}
