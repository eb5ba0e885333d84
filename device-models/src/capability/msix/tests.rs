use super::*;
use crate::capability::testing::{read, write};

fn msix(text: &str) -> Result<Msix, MsixConfigError> {
    Msix::new(&toml::from_str(text).expect("a table of the tests"))
}

const CONTROL_HIGH: u64 = CONTROL as u64 + 1;
const ENABLE: u8 = 0x80;
const FUNCTION_MASK: u8 = 0x40;

/// Eight vectors, enabled, all unmasked.
fn enabled() -> Msix {
    let mut msix = msix("vectors = 8").unwrap();
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    for vector in 0..8 {
        msix.set_vector_masked(vector, false);
    }
    msix
}

fn pba(msix: &Msix) -> u32 {
    msix.table_read(MsixRegister::Pba(0))
}

#[test]
fn registers_point_to_table_and_pba() {
    for (text, expected) in [
        ("vectors = 8", [0x0007_0000, 0x0000_0004, 0x0000_0804]),
        // PM174X.
        (
            "vectors = 129\ntable-bar = 0\ntable-offset = 0x4000\npba-offset = 0x3000",
            [0x0080_0000, 0x0000_4000, 0x0000_3000],
        ),
        (
            "vectors = 2048\ntable-bar = 2\npba-bar = 3\npba-offset = 0",
            [0x07ff_0000, 0x0000_0002, 0x0000_0003],
        ),
    ] {
        let mut msix = msix(text).unwrap();
        write(&mut msix, 4, &[0xff; 8]);
        for (index, expected) in expected.into_iter().enumerate() {
            assert_eq!(read(&msix, 4 * index), expected, "{text}, DWORD {index}");
        }
    }
}

#[test]
fn of_message_control_only_enable_and_function_mask_are_writable() {
    let mut msix = msix("vectors = 8").unwrap();
    assert_eq!(write(&mut msix, 0, &[0xff; 4]), [ConfigEffect::Messages]);
    assert_eq!(read(&msix, 0), 0xc007_0000);
    assert_eq!(write(&mut msix, 0, &[0xff; 4]), [], "nothing changes");
    assert_eq!(write(&mut msix, 0, &[0x00; 4]), [ConfigEffect::Messages]);
    assert_eq!(read(&msix, 0), 0x0007_0000);
}

#[test]
fn entries_start_masked_and_every_reset_masks_them_again() {
    for kind in ResetKind::ALL {
        let mut msix = enabled();
        msix.table_write(MsixRegister::Table(1), DwordWrite::full(0xfee0_0000));
        write(&mut msix, CONTROL_HIGH, &[ENABLE | FUNCTION_MASK]);
        msix.raise(3, true);
        msix.reset(kind);
        assert!(!msix.enabled(), "{kind:?}");
        for vector in 0..8_usize {
            let entry =
                [0, 1, 2, 3].map(|at| msix.table_read(MsixRegister::Table(4 * vector + at)));
            assert_eq!(entry, [0, 0, 0, 1], "vector {vector} after {kind:?}");
        }
        assert_eq!(pba(&msix), 0, "{kind:?}");
    }
}

#[test]
fn a_table_entry_stores_address_data_and_one_mask_bit() {
    let mut msix = msix("vectors = 2").unwrap();
    for (at, value, stored, mask_changed) in [
        (4, 0xffff_ffff, 0xffff_fffc, false),
        (5, 0x1234_5678, 0x1234_5678, false),
        (6, 0x8765_4321, 0x8765_4321, false),
        (7, 0xffff_fffe, 0x0000_0000, true),
        (7, 0xffff_ffff, 0x0000_0001, true),
        (7, 0x0000_0001, 0x0000_0001, false),
    ] {
        let register = MsixRegister::Table(at);
        assert_eq!(
            msix.table_write(register, DwordWrite::full(value)),
            mask_changed
        );
        assert_eq!(msix.table_read(register), stored, "DWORD {at} ← {value:#x}");
    }
    let beyond = MsixRegister::Table(8);
    assert!(!msix.table_write(beyond, DwordWrite::full(1)));
    assert_eq!(msix.table_read(beyond), 0);
}

#[test]
fn single_bytes_of_an_entry_can_be_written() {
    let mut msix = msix("vectors = 1").unwrap();
    let data = MsixRegister::Table(2);
    msix.table_write(data, DwordWrite::full(0x1122_3344));
    msix.table_write(
        data,
        DwordWrite::new(0xaaaa_aaaa, crate::register::Lanes::new(2, 1)),
    );
    assert_eq!(msix.table_read(data), 0x11aa_3344);
}

#[test]
fn the_function_mask_leaves_the_entries_alone() {
    let mut msix = enabled();
    write(&mut msix, CONTROL_HIGH, &[ENABLE | FUNCTION_MASK]);
    assert_eq!(msix.raise(5, true), None);
    assert_eq!(pba(&msix), 1 << 5);
    assert!(!msix.vector_masked(5));
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    assert_eq!(msix.next_pending(true), Some(5));
    assert_eq!(pba(&msix), 0);
    assert_eq!(msix.next_pending(true), None, "a message is sent once");
}

#[test]
fn a_masked_vector_waits_and_the_others_do_not() {
    let mut msix = enabled();
    msix.set_vector_masked(2, true);
    assert_eq!(msix.raise(2, true), None);
    assert_eq!(msix.raise(3, true), Some(3));
    assert_eq!(msix.next_pending(true), None);
    msix.withdraw(2);
    msix.set_vector_masked(2, false);
    assert_eq!(msix.next_pending(true), None, "its cause is gone");
}

#[test]
fn nothing_leaves_while_disabled_or_without_bus_mastering() {
    let mut msix = enabled();
    assert_eq!(msix.raise(8, true), None, "there is no vector 8");
    assert_eq!(msix.raise(0, false), None);
    assert_eq!(pba(&msix), 1);
    assert_eq!(msix.next_pending(false), None);
    write(&mut msix, CONTROL_HIGH, &[0]);
    assert_eq!(msix.next_pending(true), None);
    assert_eq!(msix.raise(1, true), None);
}

#[test]
fn the_pba_is_read_only_and_has_a_bit_for_every_vector() {
    let mut msix = msix("vectors = 130").unwrap();
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    msix.raise(129, true);
    for dword in 0..6 {
        let register = MsixRegister::Pba(dword);
        assert!(!msix.table_write(register, DwordWrite::full(u32::MAX)));
        assert_eq!(msix.table_read(register), if dword == 4 { 2 } else { 0 });
    }
    msix.set_vector_masked(129, false);
    assert_eq!(msix.next_pending(true), Some(129));
}

#[test]
fn pending_vectors_beyond_the_first_word_are_found() {
    let mut msix = msix("vectors = 129").unwrap();
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    for vector in [128, 64, 63] {
        assert_eq!(msix.raise(vector, true), None);
    }
    msix.set_vector_masked(128, false);
    assert_eq!(msix.next_pending(true), Some(128));
    msix.withdraw(63);
    msix.set_vector_masked(63, false);
    msix.set_vector_masked(64, false);
    assert_eq!(msix.next_pending(true), Some(64));
    assert_eq!(msix.next_pending(true), None);
}

#[test]
fn the_window_covers_table_and_pba_to_the_byte() {
    let msix = msix("vectors = 3\ntable-bar = 1\ntable-offset = 0x40\npba-bar = 2").unwrap();
    for (bar, offset, register) in [
        (1, 0x3c, None),
        (1, 0x40, Some(MsixRegister::Table(0))),
        (1, 0x6c, Some(MsixRegister::Table(11))),
        (1, 0x70, None),
        (0, 0x40, None),
        (2, 0x7fc, None),
        (2, 0x800, Some(MsixRegister::Pba(0))),
        (2, 0x804, Some(MsixRegister::Pba(1))),
        (2, 0x808, None),
    ] {
        assert_eq!(msix.window(bar, offset), register, "BAR {bar}, {offset:#x}");
    }
    assert!(msix.uses_bar(1) && msix.uses_bar(2) && !msix.uses_bar(0));
}

#[test]
fn tables_that_break_a_rule_are_refused_by_key() {
    for (text, key) in [
        ("vectors = 0", "vectors"),
        ("vectors = 2049", "vectors"),
        ("table-bar = 6", "table-bar"),
        ("pba-bar = 7", "pba-bar"),
        ("table-offset = 4", "table-offset"),
        ("pba-offset = 0x804", "pba-offset"),
        ("vectors = 2\npba-offset = 0x18", "pba-offset"),
    ] {
        assert_eq!(msix(text).expect_err(text).key(), key, "{text}");
    }
    assert!(
        msix("vectors = 2\npba-offset = 0x20").is_ok(),
        "right behind the table"
    );
}

#[test]
fn until_the_table_is_written_open_vectors_go() {
    let mut msix = msix("vectors = 8").unwrap();
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    assert_eq!(msix.raise(3, true), None, "nobody has opened it");
    msix.set_open(3, true);
    assert_eq!(msix.next_pending(true), Some(3));
    msix.reset(ResetKind::Flr);
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    assert!(msix.vector_masked(3), "as the table shows");
    assert_eq!(msix.raise(3, true), Some(3), "the client keeps it open");

    msix.table_write(MsixRegister::Table(0), DwordWrite::full(0xfee0_0000));
    assert_eq!(msix.raise(3, true), None, "the table decides");
    msix.set_open(3, true);
    assert_eq!(msix.next_pending(true), None, "whatever is opened");
    msix.table_write(MsixRegister::Table(15), DwordWrite::full(0));
    assert_eq!(msix.next_pending(true), Some(3));
    msix.reset(ResetKind::Hot);
    write(&mut msix, CONTROL_HIGH, &[ENABLE]);
    assert_eq!(msix.raise(3, true), None, "masked after a reset");

    msix.release();
    msix.set_open(3, true);
    assert_eq!(msix.next_pending(true), Some(3), "the next client");
}
