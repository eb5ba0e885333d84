//! Commands that answer and end.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::program::{code, dormouse, run, stderr, stdout};

#[test]
fn exit_codes_tell_kinds_of_failure_apart() {
    for (expected, arguments) in [
        (0, &["--help"][..]),
        (0, &["--version"]),
        (0, &["profiles"]),
        (2, &["--bogus"]),
        (2, &["serve", "--socket-path", "a", "--fd", "3"]),
        (2, &["serve", "--socket-mode", "rw"]),
        (2, &["serve", "--function", "colour=red"]),
        (2, &["serve", "--socket-path", "a", "--ctl-path", "a"]),
        (2, &["ctl", "rail", "up"]),
        (2, &["ctl", "fail-resume", "EWOULD"]),
        (2, &["ctl", "fail-resume", "EIO", "--once", "--latch"]),
        (2, &["serve", "--socket-path", "a", "--rail-path", "a"]),
        (2, &["ssdt", "--path", "S00", "-o", "-"]),
        (2, &["ssdt", "--path", "\\_SB.PCI0"]),
        (1, &["ssdt", "--path", "\\_SB.PCI0", "-o", "no/such/folder"]),
        (3, &["serve", "--socket-path", "a", "--profile", "no-such"]),
        (
            3,
            &[
                "serve",
                "--socket-path",
                "a",
                "--set",
                "identity.colour=red",
            ],
        ),
        (3, &["profiles", "show", "no-such"]),
        (3, &["check", "no-such.toml"]),
        (3, &["config-space", "no-such"]),
        (4, &["serve", "--socket-path", "no/such/folder"]),
        (4, &["serve", "--fd", "77"]),
        (4, &["ctl", "--ctl-path", "nobody", "status"]),
    ] {
        let output = run(arguments);
        assert_eq!(
            code(&output),
            expected,
            "{arguments:?}: {}",
            stderr(&output)
        );
        if expected != 0 {
            assert!(output.stdout.is_empty(), "{arguments:?}");
            assert!(!output.stderr.is_empty(), "{arguments:?}");
        }
    }
}

#[test]
fn exit_codes_are_documented() {
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let help = stdout(&run(arguments));
        for code in 0..=4 {
            assert!(
                help.contains(&format!("\n  {code}  ")),
                "{arguments:?}: {code}"
            );
        }
    }
}

#[test]
fn capabilities_are_json_whatever_else_is_asked() {
    for arguments in [
        &["--print-capabilities"][..],
        &["serve", "--fd", "x", "--print-capabilities", "--bogus"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 0);
        let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(manifest["type"], "pci");
        assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
        for (list, entry) in [
            ("features", "fd"),
            ("features", "rail-path"),
            ("features", "ssdt"),
            ("verbs", "fail-resume"),
            ("verbs", "status"),
            ("profiles", "testdev"),
        ] {
            let entries = manifest[list].as_array().unwrap();
            assert!(entries.contains(&json!(entry)), "{list}");
        }
    }
}

#[test]
fn every_profile_in_the_list_can_be_shown_and_is_valid() {
    let list = stdout(&run(&["profiles"]));
    let names: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains(&"testdev"));
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let shown = run(&["profiles", "show", name]);
        fs::write(folder.path().join("copy.toml"), &shown.stdout).unwrap();
        let output = dormouse(folder.path())
            .args(["check", "copy.toml"])
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
    }
}

#[test]
fn a_profile_without_an_end_is_refused() {
    let output = run(&["check", "/dev/zero"]);
    assert_eq!(code(&output), 3);
    let error = stderr(&output);
    assert!(error.contains("more than 4 MiB"), "{error}");
}

#[test]
fn a_broken_profile_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&run(&["profiles", "show", "testdev"])) + "\n[colour]\nred = 1\n";
    fs::write(folder.path().join("broken.toml"), text).unwrap();
    let output = dormouse(folder.path())
        .args(["check", "broken.toml"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 3);
    let told = stderr(&output);
    assert!(
        told.contains("broken.toml:") && told.contains("colour"),
        "{told}"
    );
}

#[test]
fn config_space_shows_what_was_set() {
    let output = run(&[
        "config-space",
        "testdev",
        "--set",
        "identity.device-id=0xbeef",
    ]);
    let text = stdout(&output);
    let mut lines = text.lines();
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("00:00.0 "))
    );
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("00: 34 12 ef be "))
    );
    assert_eq!(
        lines.filter(|line| line.contains(": ")).count() + 1,
        4096 / 16
    );
}

#[test]
fn lspci_decodes_the_config_space() {
    let spawned = Command::new("lspci")
        .args(["-F", "/dev/stdin", "-vvv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut lspci) = spawned else {
        eprintln!("lspci is not installed: skipped");
        return;
    };
    let dump = run(&["config-space", "testdev"]).stdout;
    lspci.stdin.take().unwrap().write_all(&dump).unwrap();
    let decoded = stdout(&lspci.wait_with_output().unwrap());
    for part in [
        "1234:d3c0",
        "Power Management version 3",
        "PME(D0+,D1-,D2-,D3hot+,D3cold+)",
        "FLReset+",
        "MSI-X: Enable- Count=16",
        "Advanced Error Reporting",
    ] {
        assert!(decoded.contains(part), "{part} in:\n{decoded}");
    }
    assert!(!decoded.contains("<chain broken>") && !decoded.contains("<chain looped>"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = dormouse(folder.path())
        .args(["config-space", "testdev"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
}
