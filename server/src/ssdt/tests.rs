//! The table's bytes. What ACPI's own tools make of them is tested from outside.

use super::*;

#[test]
fn the_bytes_are_those_that_a_compiler_makes() {
    let path = r"\_SB.PCI0.S08.S00".parse().unwrap();
    let table = Letters::new(path, 0x403, ON_DELAY).table();
    let expected: &[&[u8]] = &[
        b"\xa0\x18\x00\x15\\\x2f\x04_SB_PCI0S08_S00_\x06\x00",
        b"\x10\x41\x0c\\\x2f\x04_SB_PCI0S08_S00_",
        b"\x5b\x80\\\x2f\x04_SB_PCI0S08_R00_\x01\x0b\x03\x04\x01",
        b"\x5b\x81\x1a\\\x2f\x04_SB_PCI0S08_R00_\x01LETT\x08",
        b"\x08ISON\x01",
        b"\x5b\x84\x4f\x04SLOT\x04\x00\x00",
        b"\x14\x0b_STA\x00\xa4ISON",
        b"\x14\x1e_ON_\x08\x70\x01ISON\x70\x0aNLETT\x70\x0a\x0aLETT\x5b\x22\x0a\x78",
        b"\x14\x1a_OFF\x08\x70\x00ISON\x70\x0aFLETT\x70\x0a\x0aLETT",
        b"\x08_PR0\x12\x06\x01SLOT",
        b"\x08_PR3\x12\x06\x01SLOT",
        b"\x08_S0W\x0a\x04",
    ];
    assert_eq!(table[HEADER..], expected.concat());
}

#[test]
fn the_header_says_what_it_is_and_adds_up() {
    for (path, port) in [
        (r"\_SB.PCI0.S08.S00", 0x403),
        (r"\_SB.PCI0", 0),
        (r"\A", u16::MAX),
    ] {
        let table = Letters::new(path.parse().unwrap(), port, ON_DELAY).table();
        assert_eq!(&table[..4], b"SSDT");
        assert_eq!(
            table[4..8],
            u32::try_from(table.len()).unwrap().to_le_bytes()
        );
        assert_eq!(&table[10..16], b"DORMSE");
        let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0, "{path}");
    }
}

#[test]
fn paths_are_written_from_the_root() {
    for (text, expected) in [
        ("", "does not begin with"),
        ("S00", "does not begin with"),
        ("\\", "a name has 1 to 4"),
        ("\\_SB.", "a name has 1 to 4"),
        ("\\_SB..S00", "a name has 1 to 4"),
        ("\\_SB.PCI00", "a name has 1 to 4"),
        ("\\_SB.pci0", "a name has 1 to 4"),
        ("\\_SB.0PCI", "a name has 1 to 4"),
        ("\\_SB.PÄI", "a name has 1 to 4"),
        ("\\_SB PCI0", "a name has 1 to 4"),
    ] {
        let error = text.parse::<DevicePath>().unwrap_err();
        assert!(
            error.contains(expected) && error.contains(r"\_SB.PCI0.S08.S00"),
            "{text}: {error}"
        );
    }
}
