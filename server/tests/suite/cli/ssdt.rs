//! `dormouse ssdt`, judged by ACPI's own compiler where it is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

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
                Method(_ON,0,Serialized){ISON=OneLETT=0x4ELETT=0x0A}
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
