use super::*;
use crate::register::Lanes;

fn msix(vectors: u16) -> Msix {
    Msix::new(&MsixConfig {
        vectors,
        ..MsixConfig::default()
    })
    .unwrap()
}

fn control(msix: &mut Msix, value: u16) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    let write = DwordWrite::new(u32::from(value) << 16, Lanes::new(2, 2));
    msix.write(CONTROL_DWORD, write, &mut effects);
    effects
}

const ENABLE: u16 = 1 << 15;
const FUNCTION_MASK: u16 = 1 << 14;

fn entry(msix: &mut Msix, vector: usize, dword: usize, value: u32) -> bool {
    msix.table_write(
        MsixRegister::Table(4 * vector + dword),
        DwordWrite::full(value),
    )
}

#[test]
fn s6_every_vector_is_masked_after_reset() {
    let mut msix = msix(16);
    for vector in 0..16 {
        entry(&mut msix, vector, VECTOR_CONTROL, 0);
        entry(&mut msix, vector, 2, 0x55);
    }
    control(&mut msix, ENABLE);
    msix.reset(ResetKind::Flr);
    for vector in 0..16 {
        assert_eq!(msix.table_read(MsixRegister::Table(4 * vector + 3)), 1);
        assert_eq!(msix.table_read(MsixRegister::Table(4 * vector + 2)), 0);
    }
    assert!(!msix.enabled());
}

#[test]
fn s7_s8_function_mask_holds_messages_and_leaves_entry_masks_alone() {
    let mut msix = msix(8);
    entry(&mut msix, 3, VECTOR_CONTROL, 0);
    control(&mut msix, ENABLE | FUNCTION_MASK);
    assert_eq!(msix.raise(3, true), None);
    assert_eq!(msix.table_read(MsixRegister::Pba(0)), 1 << 3);
    assert!(!msix.vector_masked(3));
    assert_eq!(msix.next_pending(true), None);
    assert_eq!(control(&mut msix, ENABLE), [ConfigEffect::Messages]);
    assert_eq!(msix.next_pending(true), Some(3));
    assert_eq!(msix.next_pending(true), None);
    assert_eq!(msix.table_read(MsixRegister::Pba(0)), 0);
}

#[test]
fn s9_s11_disabled_sends_nothing_and_bus_mastering_off_holds() {
    let mut msix = msix(8);
    entry(&mut msix, 0, VECTOR_CONTROL, 0);
    assert_eq!(msix.raise(0, true), None);
    assert_eq!(msix.table_read(MsixRegister::Pba(0)), 0);
    control(&mut msix, ENABLE);
    assert_eq!(msix.raise(0, false), None);
    assert_eq!(msix.next_pending(false), None);
    assert_eq!(msix.next_pending(true), Some(0));
}

#[test]
fn s10_only_enable_and_function_mask_can_be_written() {
    let mut msix = msix(8);
    control(&mut msix, 0xffff);
    assert_eq!(msix.read(0) >> 16, 0xc007);
}

#[test]
fn s12_the_pba_ignores_writes() {
    let mut msix = msix(8);
    assert!(!msix.table_write(MsixRegister::Pba(0), DwordWrite::full(u32::MAX)));
    assert_eq!(msix.table_read(MsixRegister::Pba(0)), 0);
}

#[test]
fn reserved_bits_of_an_entry_read_zero() {
    let mut msix = msix(1);
    entry(&mut msix, 0, 0, u32::MAX);
    entry(&mut msix, 0, VECTOR_CONTROL, u32::MAX);
    assert_eq!(msix.table_read(MsixRegister::Table(0)), 0xffff_fffc);
    assert_eq!(msix.table_read(MsixRegister::Table(3)), 1);
}

#[test]
fn pending_vectors_beyond_the_first_word_are_found() {
    let mut msix = msix(129);
    control(&mut msix, ENABLE);
    for vector in [128, 64, 63] {
        assert_eq!(msix.raise(vector, true), None);
    }
    assert_eq!(msix.table_read(MsixRegister::Pba(1)), 1 << 31);
    assert_eq!(msix.table_read(MsixRegister::Pba(4)), 1);
    msix.set_vector_masked(128, false);
    assert_eq!(msix.next_pending(true), Some(128));
    msix.withdraw(63);
    msix.set_vector_masked(63, false);
    msix.set_vector_masked(64, false);
    assert_eq!(msix.next_pending(true), Some(64));
    assert_eq!(msix.next_pending(true), None);
}

#[test]
fn table_and_pba_are_found_where_the_registers_say() {
    let msix = Msix::new(&MsixConfig {
        vectors: 5,
        table_bar: 3,
        table_offset: 0x1000,
        pba_bar: Some(0),
        pba_offset: Some(0x2000),
        ..MsixConfig::default()
    })
    .unwrap();
    assert_eq!((msix.read(1), msix.read(2)), (0x1003, 0x2000));
    assert_eq!(msix.window(3, 0x1010), Some(MsixRegister::Table(4)));
    assert_eq!(msix.window(3, 0x1050), None);
    assert_eq!(msix.window(0, 0x2004), Some(MsixRegister::Pba(1)));
    assert_eq!(msix.window(0, 0x2008), None);
    assert!(msix.uses_bar(0) && msix.uses_bar(3) && !msix.uses_bar(4));
}

#[test]
fn mistakes_name_their_key() {
    let good = MsixConfig {
        vectors: 16,
        ..MsixConfig::default()
    };
    for (config, key) in [
        (MsixConfig { vectors: 0, ..good.clone() }, "vectors"),
        (MsixConfig { vectors: 2049, ..good.clone() }, "vectors"),
        (MsixConfig { table_bar: 6, ..good.clone() }, "table-bar"),
        (MsixConfig { pba_bar: Some(7), ..good.clone() }, "pba-bar"),
        (MsixConfig { table_offset: 4, ..good.clone() }, "table-offset"),
        (MsixConfig { pba_offset: Some(0x80), ..good }, "pba-offset"),
    ] {
        assert_eq!(Msix::new(&config).unwrap_err().key(), key);
    }
}
