use proptest::prelude::*;

use super::*;
use crate::capability::testing::{dwords, read, write};
use crate::register::ResetKind;

fn msi(text: &str) -> Result<Msi, MsiConfigError> {
    Msi::new(&toml::from_str(text).expect("a table of the tests"))
}

/// Four vectors, 64-bit address, mask and pending bits.
const MASKABLE: &str = "vectors = 4\nper-vector-mask = true";

const CONTROL_BYTE: u64 = CONTROL as u64;
const MASK_BITS: u64 = 0x10;
const PENDING_BITS: usize = 0x14;

fn enabled() -> Msi {
    let mut msi = msi(MASKABLE).unwrap();
    write(&mut msi, CONTROL_BYTE, &[0x21]);
    msi
}

#[test]
fn every_layout_has_its_registers_where_the_specification_puts_them() {
    for (text, control, writable) in [
        (
            "address-64 = false",
            0x0000,
            vec![0x0071, 0xffff_fffc, 0x0000_ffff],
        ),
        (
            "address-64 = false\nper-vector-mask = true",
            0x0100,
            vec![0x0071, 0xffff_fffc, 0x0000_ffff, 0x0000_0001, 0],
        ),
        (
            "",
            0x0080,
            vec![0x0071, 0xffff_fffc, 0xffff_ffff, 0x0000_ffff],
        ),
        (
            "vectors = 32\nper-vector-mask = true",
            0x018a,
            vec![
                0x0071,
                0xffff_fffc,
                0xffff_ffff,
                0x0000_ffff,
                0xffff_ffff,
                0,
            ],
        ),
    ] {
        let msi = msi(text).unwrap();
        assert_eq!(read(&msi, 0), control << 16, "{text:?}");
        let rw: Vec<u32> = msi.registers().iter().map(Dword::rw).collect();
        let mut expected = writable;
        expected[0] <<= 16;
        assert_eq!(rw, expected, "{text:?}");
        assert!(
            dwords(&msi)[1..].iter().all(|dword| *dword == 0),
            "{text:?}"
        );
    }
}

#[test]
fn software_cannot_allocate_more_vectors_than_there_are() {
    for (vectors, enable, allocated) in [
        (1, 0, 1),
        (1, 5, 1),
        (4, 1, 2),
        (4, 2, 4),
        (4, 5, 4),
        (32, 5, 32),
        (32, 7, 32),
    ] {
        let mut msi = msi(&format!("vectors = {vectors}")).unwrap();
        write(&mut msi, CONTROL_BYTE, &[enable << 4]);
        assert_eq!(
            msi.allocated(),
            allocated,
            "{vectors} vectors, {enable} enabled"
        );
        assert_eq!(msi.vectors(), vectors);
    }
}

#[test]
fn a_masked_vector_waits_until_it_is_unmasked() {
    let mut msi = enabled();
    assert_eq!(msi.raise(1, true), Some(1));
    assert_eq!(
        write(&mut msi, MASK_BITS, &[0x02]),
        [ConfigEffect::Messages]
    );
    assert_eq!(msi.raise(1, true), None);
    assert_eq!(read(&msi, PENDING_BITS), 0x02);
    assert_eq!(msi.next_pending(true), None);
    assert_eq!(
        write(&mut msi, MASK_BITS, &[0x00]),
        [ConfigEffect::Messages]
    );
    assert_eq!(msi.next_pending(false), None, "no bus mastering");
    assert_eq!(msi.next_pending(true), Some(1));
    assert_eq!(read(&msi, PENDING_BITS), 0);
    assert_eq!(msi.next_pending(true), None, "a message is sent once");
}

#[test]
fn a_withdrawn_cause_is_not_pending() {
    let mut msi = enabled();
    write(&mut msi, MASK_BITS, &[0x0f]);
    msi.raise(1, true);
    msi.raise(3, true);
    msi.withdraw(1);
    assert_eq!(read(&msi, PENDING_BITS), 0x08);
    write(&mut msi, MASK_BITS, &[0x00]);
    assert_eq!(msi.next_pending(true), Some(3));
}

#[test]
fn vectors_beyond_the_allocated_share_those() {
    let mut msi = msi(MASKABLE).unwrap();
    write(&mut msi, CONTROL_BYTE, &[0x11]);
    for (raised, sent) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
        assert_eq!(msi.raise(raised, true), Some(sent));
    }
}

#[test]
fn nothing_leaves_while_disabled_or_without_bus_mastering() {
    let mut disabled = msi(MASKABLE).unwrap();
    assert_eq!(disabled.raise(0, true), None);
    assert_eq!(read(&disabled, PENDING_BITS), 0);
    let mut msi = enabled();
    assert_eq!(msi.raise(0, false), None);
    assert_eq!(
        msi.next_pending(true),
        Some(0),
        "it goes when bus mastering is back"
    );
}

#[test]
fn only_control_and_mask_have_effects() {
    let mut msi = enabled();
    assert_eq!(write(&mut msi, 4, &[0xff; 12]), []);
    assert_eq!(
        write(&mut msi, CONTROL_BYTE, &[0x21]),
        [],
        "nothing changes"
    );
    assert_eq!(write(&mut msi, PENDING_BITS as u64, &[0xff; 4]), []);
    assert_eq!(read(&msi, PENDING_BITS), 0);
    assert_eq!(
        write(&mut msi, CONTROL_BYTE, &[0x20]),
        [ConfigEffect::Messages]
    );
}

#[test]
fn every_reset_clears_it() {
    for kind in ResetKind::ALL {
        let mut msi = enabled();
        let before = dwords(&self::msi(MASKABLE).unwrap());
        write(&mut msi, 4, &[0xff; 16]);
        msi.raise(2, true);
        msi.reset(kind);
        assert_eq!(dwords(&msi), before, "{kind:?}");
    }
}

#[test]
fn vectors_come_in_powers_of_two() {
    for vectors in [0, 3, 64] {
        let error = msi(&format!("vectors = {vectors}")).expect_err("no such number");
        assert_eq!(error.key(), "vectors");
    }
}

proptest! {
    #[test]
    fn every_raise_is_sent_once_or_pending(
        vectors in 0_u8..6,
        masks: u32,
        raised in prop::collection::vec(any::<u16>(), 0..40),
    ) {
        let text = format!("vectors = {}\nper-vector-mask = true", 1 << vectors);
        let mut msi = msi(&text).unwrap();
        write(&mut msi, CONTROL_BYTE, &[vectors << 4 | 1]);
        write(&mut msi, MASK_BITS, &masks.to_le_bytes());
        let mut expected = 0_u32;
        for vector in raised {
            let allocated = vector % msi.allocated();
            match msi.raise(vector, true) {
                Some(sent) => {
                    prop_assert_eq!(sent, allocated);
                    prop_assert_eq!(masks >> sent & 1, 0);
                }
                None => expected |= 1 << allocated,
            }
        }
        prop_assert_eq!(read(&msi, PENDING_BITS), expected);
        write(&mut msi, MASK_BITS, &[0; 4]);
        let mut delivered = 0_u32;
        while let Some(vector) = msi.next_pending(true) {
            prop_assert_eq!(delivered >> vector & 1, 0);
            delivered |= 1 << vector;
        }
        prop_assert_eq!(delivered, expected);
    }
}
