use super::*;

const HEAD: &str = "size = 8\ntype = \"u8\"\n";

#[test]
fn a_table_becomes_offsets_types_and_a_page() {
    let table = format!(
        "{HEAD}\
         [registers]\n\
         STS = {{ at = 1, type = \"Status\", reset = 2, rw1c = 0x7f }}\n\
         PTR = {{ at = 4, type = \"u32\", rw = \"all\" }}\n\
         [u8.Status]\n\
         busy = 7\n\
         level = \"6:2\"\n"
    );
    let rust = rust("registers", &table).unwrap();
    for part in [
        "pub mod registers {",
        "pub const STS: u64 = 0x01;",
        "pub const PTR: u64 = 0x04;",
        "pub struct Status(u8);",
        "pub const BUSY: Self = Self(1 << 7);",
        "pub const fn busy(self) -> bool",
        "pub const fn level(self) -> u8",
        "pub fn sts(&self) -> Status",
        "pub fn raise_sts(&mut self, bits: Status)",
        "pub fn set_ptr(&mut self, value: u32)",
        "&[(0x200, 0x0, 0x7f00), (0x0, 0xffffffff, 0x0), ]",
    ] {
        assert!(rust.contains(part), "{part} in:\n{rust}");
    }
    assert!(!rust.contains("raise_ptr"), "its bits have no names");
    assert!(!rust.contains('$'), "{rust}");
}

#[test]
fn what_cannot_be_is_told_with_its_name() {
    for (entries, expected) in [
        ("A = { at = 0, type = \"u9\" }", "A: there is no such type"),
        ("A = { at = 8 }", "A: it is beyond the page"),
        ("A = { at = 4, type = \"u64\" }", "A: it is beyond the page"),
        (
            "A = { at = 2, type = \"u32\" }",
            "A: a register stands at a multiple of its size, or of four",
        ),
        (
            "A = { at = 0, rw = 0x100 }",
            "A: a bit is beyond the register's type",
        ),
        (
            "A = { at = 0, rw = 3, rw1c = 1 }",
            "A: a bit is either rw or rw1c",
        ),
        (
            "A = { at = 0, type = \"u16\" }\nB = { at = 1 }",
            "B: another register is there",
        ),
        (
            "[u8.T]\na = 8",
            "a: bits are BIT or \"HIGH:LOW\", within the type",
        ),
        (
            "[u8.T]\na = \"0:3\"",
            "a: bits are BIT or \"HIGH:LOW\", within the type",
        ),
        (
            "[u8.T]\na = \"3:0\"\nb = 3",
            "b: another name has these bits",
        ),
    ] {
        let error = rust("registers", &format!("{HEAD}[registers]\n{entries}\n"));
        assert_eq!(error.unwrap_err().to_string(), expected, "{entries}");
    }
    for size in ["6", "0x20000"] {
        let error = rust("r", &format!("size = {size}\ntype = \"u8\"\n[registers]\n"));
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "size: a page is DWORDs, at most 64 KiB", "{size}");
    }
    let error = rust(
        "r",
        &format!("{HEAD}[registers]\nA = {{ at = 0, ro = 1 }}\n"),
    );
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("unknown field `ro`")
    );
}

/// The type that the table of `testdev` makes of its control register.
#[test]
fn bits_are_where_they_are_said_to_be() {
    use crate::model::testdev::registers::DmaControl;
    let control = DmaControl::new().with_vector(0xff).with_stop(true);
    assert_eq!(control.into_bits(), 0x8000_ff00);
    assert_eq!(control.with_vector(0x12).vector(), 0x12);
    assert_eq!(control.with_stop(false).into_bits(), 0x0000_ff00);
    assert!(control.has(DmaControl::STOP | DmaControl::GO));
    assert!(!control.has(DmaControl::GO | DmaControl::INTERRUPT));
    assert_eq!(control & !DmaControl::STOP, DmaControl::from_bits(0xff00));
}
