//! The units for systemd.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use super::program::{code, run, stderr};

const UNITS: [&str; 3] = [
    "dormouse@.service",
    "dormouse@.socket",
    "dormouse-ctl@.socket",
];

fn unit(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The value of a key that a unit has once.
fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let mut values = unit.lines().filter_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found == key).then_some(value)
    });
    match (values.next(), values.next()) {
        (Some(value), None) => value,
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn the_server_takes_the_arguments_of_its_unit() {
    let service = unit(UNITS[0]);
    let line = value(&service, "ExecStart");
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("/usr/bin/dormouse"));
    // Asked for help, it does no more than to understand what stands before.
    let words: Vec<_> = words.chain(["--help"]).collect();
    let output = run(&words);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn the_units_belong_together() {
    let service = unit(UNITS[0]);
    let sockets = value(&service, "Sockets");
    for (name, descriptor) in [(UNITS[1], "device"), (UNITS[2], "ctl")] {
        assert!(sockets.contains(&name.replace('@', "@%i")), "{name}");
        let socket = unit(name);
        assert_eq!(value(&socket, "Service"), UNITS[0].replace('@', "@%i"));
        assert_eq!(value(&socket, "FileDescriptorName"), descriptor);
    }
}

/// By systemd's own judgement, where that is installed.
#[test]
fn systemd_finds_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for name in UNITS {
        let text = unit(name).replace("/usr/bin/dormouse", env!("CARGO_BIN_EXE_dormouse"));
        fs::write(folder.path().join(name), text).unwrap();
        files.push(folder.path().join(name.replace('@', "@testdev")));
    }
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .args(&files)
        .env("SYSTEMD_UNIT_PATH", format!("{}:", folder.path().display()))
        .output();
    let output = match verify {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("systemd-analyze is not installed");
            return;
        }
        output => output.unwrap(),
    };
    let told = stderr(&output);
    let about_these = |line: &&str| line.contains("dormouse");
    let faults: Vec<_> = told.lines().filter(about_these).collect();
    assert!(faults.is_empty(), "{faults:?}");
    assert!(output.status.success(), "{told}");
}
