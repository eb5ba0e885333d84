//! `dormouse ssdt`, judged by ACPI's own compiler where it is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use dormouse::models::model::controller::slot_key;

use super::program::{code, dormouse, run, stderr, stdout};

const PATH: &str = r"\_SB.PCI0.S08.S00";

/// Runs `iasl` in `folder`; `None` if it is not installed.
fn iasl(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("iasl")
        .args(arguments)
        .current_dir(folder)
        .output();
    let Ok(output) = output else {
        eprintln!("iasl is not installed: skipped");
        return None;
    };
    let told = stdout(&output) + &stderr(&output);
    assert!(output.status.success(), "iasl {arguments:?}: {told}");
    Some(told)
}

/// ASL without layout and comments, in which releases of the compiler differ.
fn squeezed(asl: &str) -> String {
    let (_, code) = asl.split_once("DefinitionBlock").unwrap();
    let mut text = String::new();
    for line in code.lines() {
        let code = line.split("//").next().unwrap();
        text.push_str(code.split("/*").next().unwrap());
        text.push_str(code.split_once("*/").map_or("", |(_, after)| after));
    }
    text.retain(|c| !c.is_whitespace());
    text
}

fn write_table(folder: &Path, arguments: &[&str]) {
    let output = dormouse(folder)
        .args(["ssdt", "-o", "slot.aml"])
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_disassembler_reads_what_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), &["--path", PATH]);
    if iasl(folder.path(), &["-d", "slot.aml"]).is_none() {
        return;
    }
    let asl = fs::read_to_string(folder.path().join("slot.dsl")).unwrap();
    let expected = r#"("","SSDT",2,"DORMSE","SLOTPWR",0x00000001){
        External(_SB_.PCI0.S08_.S00_,DeviceObj)
        Scope(\_SB.PCI0.S08.S00){
            OperationRegion(\_SB.PCI0.S08.R00,SystemIO,0x0403,One)
            Field(\_SB.PCI0.S08.R00,ByteAcc,NoLock,Preserve){LETT,8}
            Name(ISON,One)
            PowerResource(SLOT,0x04,0x0000){
                Method(_STA,0,NotSerialized){Return(ISON)}
                Method(_ON,0,Serialized){ISON=OneLETT=0x4ELETT=0x0ASleep(0x78)}
                Method(_OFF,0,Serialized){ISON=ZeroLETT=0x46LETT=0x0A}
            }
            Name(_PR0,Package(0x01){SLOT})
            Name(_PR3,Package(0x01){SLOT})
            Name(_S0W,0x04)
        }
    }"#;
    let expected: String = expected.chars().filter(|c| !c.is_whitespace()).collect();
    assert_eq!(squeezed(&asl), expected);
}

#[test]
fn what_is_disassembled_compiles_to_the_same_table() {
    for arguments in [
        &["--path", PATH][..],
        &["--path", r"\_SB.PCI0", "--port", "0x80"],
        &["--path", PATH, "--on-delay", "0"],
        &[
            "--controller",
            r"\_SB.PCI0.S28",
            "--slot",
            r"gpu=\_SB.PCI0.S08",
        ],
        &[
            "--controller",
            r"\_SB.PCI0.S28",
            "--slot",
            r"gpu=\_SB.PCI0.S08:0,1",
            "--slot",
            r"disk=\_SB.PCI0.S10",
            "--on-delay",
            "500",
        ],
        &["--path", r"\_SB.PC01.S10.S00.SF8", "--port", "1027"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_table(folder.path(), arguments);
        if iasl(folder.path(), &["-d", "slot.aml"]).is_none() {
            return;
        }
        let Some(told) = iasl(folder.path(), &["-p", "again", "slot.dsl"]) else {
            return;
        };
        assert!(told.contains(" 0 Errors, 0 Warnings"), "{told}");
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let (made, again) = (read("slot.aml"), read("again.aml"));
        // The compiler puts its own name and version into the header.
        assert_eq!(made[10..28], again[10..28], "{arguments:?}");
        assert_eq!(made[36..], again[36..], "{arguments:?}");
    }
}

#[test]
fn the_table_goes_to_a_file_or_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path(), &["--path", PATH]);
    let output = run(&["ssdt", "--path", PATH, "--output", "-"]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    assert_eq!(
        output.stdout,
        fs::read(folder.path().join("slot.aml")).unwrap()
    );
    assert_eq!(&output.stdout[..4], b"SSDT");
    let sum = output
        .stdout
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    assert_eq!(sum, 0);
}

#[test]
fn a_table_for_a_controller_reads_as_it_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--controller",
        r"\_SB.PCI0.S28",
        "--slot",
        r"gpu=\_SB.PCI0.S08",
    ];
    write_table(folder.path(), &arguments);
    if iasl(folder.path(), &["-d", "slot.aml"]).is_none() {
        return;
    }
    let asl = squeezed(&fs::read_to_string(folder.path().join("slot.dsl")).unwrap());
    let key = format!("{:#010X}", slot_key("gpu")).replace("0X", "0x");
    for expected in [
        r#"Device(\_SB.PCI0.R28){Name(_HID,"ACPI0013")"#.to_owned(),
        "Interrupt(ResourceConsumer,Level,ActiveHigh,Shared,,,){0x00000015,}".to_owned(),
        format!(r"If((Local0=={key})){{If((Local1&One)){{Notify(\_SB.PCI0.S08.S00,0x02)}}}}"),
        format!(r"Method(_STA,0,NotSerialized){{Return(\_SB.PCI0.S28.DREG({key},Zero,Zero))}}"),
        format!(r"Method(_ON,0,Serialized){{\_SB.PCI0.S28.DREG({key},One,One)Sleep(0x78)}}"),
        format!(r"Method(_OFF,0,Serialized){{\_SB.PCI0.S28.DREG({key},One,Zero)}}"),
        r"Name(_PR3,Package(0x01){\_SB.PCI0.S08.DPWR})Name(_S0W,0x04)".to_owned(),
        "Name(_PRW,Package(0x02){0x10,Zero})".to_owned(),
    ] {
        assert!(asl.contains(&expected), "{expected}\n{asl}");
    }
}

#[test]
fn a_table_that_cannot_work_is_refused() {
    for (arguments, expected) in [
        (&["--controller", r"\_SB.S28"][..], "--slot"),
        (&["--slot", r"a=\_SB.S08"], "--controller"),
        (
            &["--controller", r"\_SB.FOO", "--slot", r"a=\_SB.S08"],
            "--gsi",
        ),
        (
            &["--controller", r"\_SB.SC0", "--slot", r"a=\_SB.S08"],
            "--gsi",
        ),
        (
            &["--controller", r"\_SB.S28", "--slot", r"\_SB.S08"],
            "NAME=PATH",
        ),
        (
            &["--controller", r"\_SB.S28", "--slot", r"a=\_SB.S08:8"],
            "0 to 7",
        ),
        (
            &[
                "--controller",
                r"\_SB.S28",
                "--slot",
                r"a=\_SB.S08",
                "--slot",
                r"a=\_SB.S10",
            ],
            "another name",
        ),
        (
            &[
                "--controller",
                r"\_SB.S28",
                "--slot",
                r"a=\_SB.S08",
                "--slot",
                r"b=\_SB.S08",
            ],
            "one slot",
        ),
        (&["--path", PATH, "--on-delay", "10001"], "10000"),
    ] {
        let output = run(&[&["ssdt", "-o", "-"], arguments].concat());
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            stderr(&output).contains(expected),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}
