//! The config space of every built-in profile as lspci sees it.
//!
//! What is kept of lspci's text is what its versions 3.9 to 3.14 agree on. Where lspci is not
//! installed nothing is tested here, and the test says so.

use std::io::Write;
use std::process::{Command, Stdio};

use pci_device_models::profile::{Profile, hex_dump};

/// Structures that some version of lspci names without decoding them.
const NAMED_ONLY: [&str; 7] = [
    "Power Budgeting",
    "Vendor Specific Information",
    "Physical Layer 16.0 GT/s",
    "Physical Layer 32.0 GT/s",
    "Extended Capability ID 0x2a",
    "Lane Margining at the Receiver",
    "Data Link Feature",
];

fn profile(name: &str) -> Profile {
    let text = Profile::builtin(name).expect("a built-in profile");
    Profile::parse(name, text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

/// What `lspci -nvvv` makes of a dump, or nothing where there is no lspci.
fn lspci(dump: &str) -> Option<String> {
    let mut child = Command::new("lspci")
        .args(["-n", "-vvv", "-F", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(dump.as_bytes())
        .expect("lspci reads the dump");
    drop(stdin);
    let output = child.wait_with_output().expect("lspci ends");
    // What it writes to stderr is about the host it runs on.
    assert!(output.status.success(), "lspci: {}", output.status);
    Some(String::from_utf8(output.stdout).expect("lspci writes text"))
}

/// The lines that do not depend on lspci's version, and of others the part that does not.
fn stable(decoded: &str) -> String {
    let kept = decoded.lines().filter_map(|line| {
        let text = line.trim_start();
        let until = |end: &str| text.split(end).next().unwrap_or(text).to_owned();
        let text = if text.starts_with("Capabilities:") {
            until(", MSI ")
                .split(", IntMsgNum ")
                .next()
                .unwrap_or_default()
                .trim_end_matches(" <?>")
                .replace("Extended Capability ID 0x2a", "Physical Layer 32.0 GT/s")
        } else if text.starts_with("00:00.0") {
            until(" (prog-if")
        } else if text.starts_with("LnkCap:") {
            until(", ASPM").replace('\t', " ")
        } else if text.starts_with("ExtTag") {
            until(" SlotPowerLimit")
        } else if [
            "Control: I/O",
            "Status: Cap",
            "Status: D",
            "Interrupt:",
            "Subsystem:",
            "Flags:",
            "Address:",
            "Masking:",
            "Vector table:",
            "PBA:",
            "Max snoop",
            "Max no snoop",
            "L1SubCap:",
            "BAR ",
        ]
        .iter()
        .any(|start| text.starts_with(start))
        {
            text.replace('\t', " ")
        } else {
            return None;
        };
        let indent = line.chars().take_while(|c| *c == '\t').count();
        Some(format!("{}{}\n", "  ".repeat(indent), text.trim_end()))
    });
    kept.collect()
}

#[test]
fn lspci_decodes_every_profile() {
    for name in Profile::builtins() {
        let Some(decoded) = lspci(&hex_dump(name, profile(name).config_space())) else {
            eprintln!("!!! lspci is not installed: decoding the profiles was NOT tested");
            eprintln!("!!! it comes with pciutils");
            return;
        };
        for line in decoded.lines().filter(|line| line.contains("<?>")) {
            let known = NAMED_ONLY.iter().any(|named| line.contains(named));
            assert!(known, "{name}: lspci does not understand: {}", line.trim());
        }
        insta::assert_snapshot!(name, stable(&decoded));
    }
}
