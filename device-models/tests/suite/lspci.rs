//! The config space of every built-in profile as lspci sees it.
//!
//! The tests keep the part of lspci's text on which its versions 3.9 to 3.15 agree. Where lspci is not
//! installed nothing is tested here, and the test says so.

use std::io::Write;
use std::process::{Command, Stdio};

use pci_device_models::fault::Fault;
use pci_device_models::model::Registry;
use pci_device_models::profile::{Profile, hex_dump};
use pci_device_models::slot::FunctionNumber;
use pci_device_models::time::Time;

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

/// Returns the text of `lspci -nvvv` for a dump, or `None` where there is no lspci.
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
    // Its stderr is about the host it runs on.
    assert!(output.status.success(), "lspci: {}", output.status);
    Some(String::from_utf8(output.stdout).expect("lspci writes text"))
}

/// Lines that all versions write: how they begin, and where what only some of them write begins.
const STABLE: [(&str, &[&str]); 16] = [
    ("00:00.0", &[" (prog-if"]),
    ("Subsystem:", &[]),
    ("Control: I/O", &[]),
    ("Status: Cap", &[]),
    ("Status: D", &[]),
    (
        "Capabilities:",
        &[", MSI ", ", IntMsgNum ", " <?>", " Information: "],
    ),
    ("Flags:", &[]),
    ("Address:", &[]),
    ("Masking:", &[]),
    ("Vector table:", &[]),
    ("PBA:", &[]),
    ("LnkCap:", &[", ASPM"]),
    ("ExtTag", &[" SlotPowerLimit", " TEE-IO"]),
    ("Max ", &[]),
    ("L1SubCap:", &[]),
    ("BAR ", &[]),
];

/// Returns the part of the text that all versions of lspci agree on.
fn stable(decoded: &str) -> String {
    let kept = decoded.lines().filter_map(|line| {
        let text = line.trim_start();
        let (_, ends) = STABLE.iter().find(|(start, _)| text.starts_with(start))?;
        let end = ends.iter().filter_map(|end| text.find(end)).min();
        let text = text[..end.unwrap_or(text.len())]
            .trim_end()
            .replace('\t', " ")
            .replace("Extended Capability ID 0x2a", "Physical Layer 32.0 GT/s");
        let indent = line.chars().take_while(|c| *c == '\t').count();
        Some(format!("{}{text}\n", "  ".repeat(indent)))
    });
    kept.collect()
}

#[test]
fn lspci_decodes_every_profile() {
    for name in Profile::builtins() {
        let Some(decoded) = lspci(&hex_dump(
            FunctionNumber::ZERO,
            name,
            profile(name).config_space(),
        )) else {
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

#[test]
fn lspci_names_the_errors_that_faults_name() {
    let set = [
        ("capabilities.aer.uncorrectable", "0x07fff030"),
        ("capabilities.aer.correctable", "0x0000f1c1"),
    ];
    let set = set.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let text = Profile::builtin("testdev").expect("a built-in profile");
    let profile = Profile::parse("testdev", text, &set).expect("a profile");
    for (error, shown) in [
        ("receiver-error", "RxErr"),
        ("bad-tlp", "BadTLP"),
        ("bad-dllp", "BadDLLP"),
        ("replay-rollover", "Rollover"),
        ("replay-timeout", "Timeout"),
        ("corrected-internal", "CorrIntErr"),
        ("header-log-overflow", "HeaderOF"),
        ("data-link-protocol", "DLP"),
        ("surprise-down", "SDES"),
        ("poisoned-tlp", "TLP"),
        ("flow-control", "FCP"),
        ("completion-timeout", "CmpltTO"),
        ("completer-abort", "CmpltAbrt"),
        ("unexpected-completion", "UnxCmplt"),
        ("receiver-overflow", "RxOF"),
        ("malformed-tlp", "MalfTLP"),
        ("ecrc", "ECRC"),
        ("unsupported-request", "UnsupReq"),
        ("acs-violation", "ACSViol"),
        ("internal", "UncorrIntErr"),
        ("mc-blocked-tlp", "BlockedTLP"),
        ("atomicop-egress-blocked", "AtomicOpBlocked"),
        ("tlp-prefix-blocked", "TLPBlockedErr"),
        ("poisoned-egress-blocked", "PoisonTLPBlocked"),
    ] {
        let mut function = profile.function(&Registry::builtin()).expect("a function");
        // Advisory errors are to be logged as well.
        let aer = function.config().capabilities().find_map(|placed| {
            let is_aer = placed.capability.get().name() == "advanced-error-reporting";
            is_aer.then_some(u64::from(placed.offset))
        });
        let mask = aer.expect("the profile has AER") + 0x14;
        function.config_write(Time::ZERO, mask, &[0; 4]);
        let fault = Fault::new("now", &format!("aer {error}")).expect("a fault");
        function.add_fault(Time::ZERO, fault).expect("it fits");
        let mut config = vec![0; 4096];
        function.peek_config(0, &mut config);
        let Some(decoded) = lspci(&hex_dump(FunctionNumber::ZERO, error, &config)) else {
            eprintln!("!!! lspci is not installed: the names of errors were NOT tested");
            return;
        };
        let status = decoded
            .lines()
            .filter(|line| line.contains("UESta:") || line.contains("CESta:"));
        let words: Vec<&str> = status.flat_map(str::split_whitespace).collect();
        let bits = |sign: char| {
            let mut bits = words.iter().filter_map(|word| word.strip_suffix(sign));
            bits.any(|name| name == shown)
        };
        // Older versions do not name every bit.
        assert!(bits('+') || !bits('-'), "{error}: {words:?}");
    }
}
