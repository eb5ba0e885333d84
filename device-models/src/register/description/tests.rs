use serde::Deserialize;

use super::*;
use crate::register::{DwordWrite, ResetKind, register_bits, registers};

registers! {
    /// The registers that [`TOML`] describes as well.
    struct Registers[0x10] {
        STS @ 0x01: Status { reset: 0x02, rw1c: [BUSY, LEVEL], sticky: [BUSY] },
        WORD @ 0x02: u16 { reset: 0x1234, rw: 0xff, kept_by_flr: 0x0f, aux_backed: 0x80 },
        PTR @ 0x04: u64 { rw: all },
        PLAIN @ 0x0c: u32,
    }
}

register_bits! {
    /// Status.
    #[bitfield(u8)]
    struct Status {
        #[bits(2)]
        __: u8,
        #[bits(5)]
        level: u8,
        busy: bool,
    }
}

const TOML: &str = r#"
[[register]]
offset = 0x01
name = "STS"
width = 8
reset = 0x02
rw1c = 0xfc
sticky = 0x80
fields = { busy = 7, level = "6:2" }

[[register]]
offset = 0x02
name = "WORD"
width = 16
reset = 0x1234
rw = 0xff
kept-by-flr = 0x0f
aux-backed = 0x80

[[register]]
offset = 0x04
name = "PTR"
width = 64
rw = "all"

[[register]]
offset = 0x0c
name = "PLAIN"
"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    register: Vec<RegisterDescription>,
}

fn read(toml: &str) -> Vec<RegisterDescription> {
    toml::from_str::<Document>(toml).unwrap().register
}

#[test]
fn toml_and_the_macro_describe_the_same() {
    let bank = BankDescription::new("Registers", 0x10, read(TOML)).unwrap();
    assert_eq!(&bank, Registers::DESCRIPTION);
}

#[test]
fn a_bank_behaves_as_it_is_described() {
    let mut bank = Registers::default();
    assert_eq!(bank.values(), [0x1234_0200, 0, 0, 0]);
    assert_eq!((STS, WORD, PTR, PLAIN), (0x01, 0x02, 0x04, 0x0c));
    bank.set_ptr(0x0123_4567_89ab_cdef);
    assert_eq!(bank.read_at(PTR), 0x89ab_cdef);
    assert_eq!(bank.ptr(), 0x0123_4567_89ab_cdef);
    bank.raise_sts(Status::BUSY);
    bank.set_plain(7);
    bank.write_at(0, DwordWrite::full(0x00ff_0000));
    bank.write_at(PLAIN, DwordWrite::full(0xffff_ffff));
    assert_eq!((bank.word(), bank.plain()), (0x12ff, 7));
    bank.reset(ResetKind::Flr);
    assert_eq!((bank.sts().into_bits(), bank.word()), (0x82, 0x12bf));
    bank.reset(ResetKind::Fundamental);
    assert_eq!((bank.sts().into_bits(), bank.word()), (0x02, 0x12b4));
    bank.raise_sts(Status::LEVEL);
    bank.write_byte_at(STS, 0x0c);
    assert_eq!(bank.sts().level(), 0x1c);
    bank.clear_sts(Status::LEVEL);
    assert!(!bank.sts().has(Status::LEVEL));
}

#[test]
fn a_bank_is_saved_as_its_values() {
    let mut bank = Registers::default();
    bank.set_plain(1);
    let saved = serde_json::to_value(&bank).unwrap();
    assert_eq!(saved, serde_json::json!([0x1234_0200, 0, 0, 1]));
    let back = Registers::deserialize(&saved).unwrap();
    assert_eq!(back.values(), bank.values());
    let error = Registers::deserialize(&serde_json::json!([1])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "registers: there are 1 registers instead of 4"
    );
    let saved = serde_json::to_value(Status::BUSY).unwrap();
    assert_eq!(saved, serde_json::json!(0x80));
    assert_eq!(Status::deserialize(&saved).unwrap(), Status::BUSY);
}

#[test]
fn offsets_and_bits_find_their_names() {
    let bank = Registers::DESCRIPTION;
    let name = |offset| bank.register_at(offset).map(RegisterDescription::name);
    assert_eq!(
        [0, 1, 3, 4, 0x0b, 0x10].map(name),
        [
            None,
            Some("STS"),
            Some("WORD"),
            Some("PTR"),
            Some("PTR"),
            None
        ]
    );
    let status = bank.register_at(STS).unwrap();
    let [level, busy] = status.fields() else {
        panic!("{status:?}");
    };
    assert_eq!((level.name(), level.low(), level.width()), ("level", 2, 5));
    assert_eq!((busy.name(), busy.low(), busy.width()), ("busy", 7, 1));
    assert_eq!([level, busy].map(|field| field.value(0xcc)), [0x13, 1]);
    assert_eq!(status.access(7), Access::WriteOneToClear);
    assert_eq!(status.access(1), Access::ReadOnly);
    assert_eq!(bank.registers()[1].access(0), Access::ReadWrite);
}

/// The compiler says the same as the error of a description made at run time.
#[test]
fn a_mistake_is_told_with_its_name_and_remedy() {
    let overlap = "the registers overlap; move one of them";
    for (entries, at, problem) in [
        ("A: width = 9", "A", Problem::Width),
        ("A: width = 0", "A", Problem::Width),
        ("A: offset = 8", "A", Problem::BeyondBank),
        ("A: offset = 4\nwidth = 64", "A", Problem::BeyondBank),
        ("A: offset = 0x7ffffffffffffffc", "A", Problem::BeyondBank),
        ("A: offset = 2", "A", Problem::Alignment),
        ("A: width = 8\nrw = 0x100", "A", Problem::BeyondWidth),
        ("A: width = 8\nsticky = 0x100", "A", Problem::BeyondWidth),
        ("A: width = 8\nreset = 0x100", "A", Problem::BeyondWidth),
        ("A: rw = 3\nrw1c = 1", "A", Problem::TwoKinds),
        (
            "A: width = 16|B: offset = 1\nwidth = 8",
            "A and B",
            Problem::Overlap,
        ),
        ("A: offset = 4|B: width = 64", "A and B", Problem::Overlap),
        (
            "A: width = 8|A: offset = 1\nwidth = 8",
            "A",
            Problem::SameName,
        ),
        ("A: width = 8\nfields.a = 8", "A.a", Problem::Field),
        ("A: width = 8\nfields.a = \"8:7\"", "A.a", Problem::Field),
        (
            "A: fields = { a = \"3:0\", b = 3 }",
            "A.b",
            Problem::FieldOverlap,
        ),
    ] {
        let mut toml = String::new();
        for entry in entries.split('|') {
            let (name, keys) = entry.split_once(": ").unwrap();
            let offset = if keys.contains("offset") {
                ""
            } else {
                "offset = 0\n"
            };
            toml += &format!("[[register]]\nname = \"{name}\"\n{offset}{keys}\n");
        }
        let error = BankDescription::new("Bank", 8, read(&toml)).unwrap_err();
        assert_eq!((error.at(), error.problem()), (at, problem), "{entries}");
        assert_eq!(error.to_string(), format!("{at}: {problem}"));
        if problem == Problem::Overlap {
            assert_eq!(error.to_string(), format!("A and B: {overlap}"));
        }
    }
    for size in [6, 0x2_0000] {
        let error = BankDescription::new("Bank", size, Vec::new()).unwrap_err();
        assert_eq!((error.at(), error.problem()), ("Bank", Problem::Size));
    }
}

#[test]
fn the_compiler_tells_a_mistake_as_the_error_does() {
    const REGISTERS: &[RegisterDescription] = &[
        RegisterDescription::new("A", 0, 32, Attributes::new(), &[]),
        RegisterDescription::new("B", 2, 16, Attributes::new(), &[]),
    ];
    let bank = BankDescription::unchecked("Bank", 8, REGISTERS);
    let panic = std::panic::catch_unwind(|| bank.require_valid()).unwrap_err();
    let error = BankDescription::new("Bank", 8, REGISTERS.to_vec()).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>(), Some(&error.to_string()));
}

#[test]
fn toml_that_is_no_register_is_refused() {
    for (keys, expected) in [
        ("", "missing field `name`"),
        ("name = \"A\"", "missing field `offset`"),
        ("name = \"A\"\noffset = 0\nw1c = 1", "unknown field `w1c`"),
        (
            "name = \"A\"\noffset = 0\nrw = \"some\"",
            "a mask is a number or \"all\"",
        ),
        (
            "name = \"A\"\noffset = 0\nfields.a = \"0:3\"",
            "the place of a field is a bit or \"HIGH:LOW\"",
        ),
    ] {
        let error = toml::from_str::<Document>(&format!("[[register]]\n{keys}\n")).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

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
