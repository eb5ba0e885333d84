use proptest::prelude::*;

use super::*;
use crate::register::Lanes;

fn maskable(vectors: u16) -> Msi {
    Msi::new(&MsiConfig {
        vectors,
        per_vector_mask: true,
        ..MsiConfig::default()
    })
    .unwrap()
}

/// Writes `value` as 16 bits at byte `offset` of the capability.
fn write16(msi: &mut Msi, offset: usize, value: u16) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    let first = offset % 4;
    let write = DwordWrite::new(u32::from(value) << (8 * first), Lanes::new(first, 2));
    msi.write(offset / 4, write, &mut effects);
    effects
}

fn write32(msi: &mut Msi, offset: usize, value: u32) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    msi.write(offset / 4, DwordWrite::full(value), &mut effects);
    effects
}

const ENABLE: u16 = 1;

#[test]
fn sizes_and_register_places_follow_the_form() {
    for (address_64, per_vector_mask, bytes) in
        [(false, false, 12), (false, true, 20), (true, false, 16), (true, true, 24)]
    {
        let msi = Msi::new(&MsiConfig {
            vectors: 4,
            address_64,
            per_vector_mask,
            ..MsiConfig::default()
        })
        .unwrap();
        assert_eq!(4 * msi.registers().len(), bytes, "S5: {address_64} {per_vector_mask}");
    }
    let mut msi = maskable(4);
    write32(&mut msi, 0x0c, 0xabcd);
    write32(&mut msi, 0x10, u32::MAX);
    write32(&mut msi, 0x14, u32::MAX);
    assert_eq!(msi.read(0x0c / 4), 0xabcd);
    assert_eq!(msi.read(0x10 / 4), 0xf, "mask bits of the vectors that exist");
    assert_eq!(msi.read(0x14 / 4), 0, "pending bits are read-only");
}

#[test]
fn only_powers_of_two_up_to_32_are_vectors() {
    for vectors in [0, 3, 12, 64] {
        let config = MsiConfig {
            vectors,
            ..MsiConfig::default()
        };
        assert_eq!(Msi::new(&config).unwrap_err().key(), "vectors");
    }
}

#[test]
fn s1_more_vectors_than_there_are_cannot_be_allocated() {
    let mut msi = maskable(4);
    write16(&mut msi, CONTROL, 5 << 4 | ENABLE);
    assert_eq!(msi.control().multiple_message_enable(), 2);
    assert_eq!(msi.raise(6, true), Some(2), "vectors beyond share those there are");
}

#[test]
fn s2_s3_a_masked_vector_is_pending_until_unmasked_or_withdrawn() {
    let mut msi = maskable(4);
    write16(&mut msi, CONTROL, 2 << 4 | ENABLE);
    write32(&mut msi, 0x10, 1 << 1);
    assert_eq!(msi.raise(1, true), None);
    assert_eq!(msi.read(0x14 / 4), 1 << 1);
    assert_eq!(msi.next_pending(true), None);
    assert_eq!(write32(&mut msi, 0x10, 0), [ConfigEffect::Messages]);
    assert_eq!(msi.next_pending(true), Some(1));
    assert_eq!((msi.next_pending(true), msi.read(0x14 / 4)), (None, 0));

    write32(&mut msi, 0x10, 1 << 1);
    msi.raise(1, true);
    msi.withdraw(1);
    write32(&mut msi, 0x10, 0);
    assert_eq!((msi.next_pending(true), msi.read(0x14 / 4)), (None, 0));
}

#[test]
fn s4_address_bits_1_and_0_read_zero() {
    let mut msi = maskable(1);
    write32(&mut msi, 0x04, 3);
    assert_eq!(msi.read(1), 0);
}

#[test]
fn nothing_goes_out_while_disabled_or_without_bus_mastering() {
    let mut msi = maskable(1);
    assert_eq!((msi.raise(0, true), msi.read(0x14 / 4)), (None, 0));
    write16(&mut msi, CONTROL, ENABLE);
    assert_eq!((msi.raise(0, false), msi.read(0x14 / 4)), (None, 1));
    assert_eq!(msi.next_pending(false), None);
    assert_eq!(msi.next_pending(true), Some(0));
}

proptest! {
    #[test]
    fn every_raise_is_sent_once_or_pending(vectors in 0_u16..6, masks: u32, raised in prop::collection::vec(any::<u16>(), 0..40)) {
        let mut msi = maskable(1 << vectors);
        write16(&mut msi, CONTROL, vectors << 4 | ENABLE);
        write32(&mut msi, 0x10, masks);
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
        prop_assert_eq!(msi.pending(), expected);
        write32(&mut msi, 0x10, 0);
        let mut delivered = 0_u32;
        while let Some(vector) = msi.next_pending(true) {
            prop_assert_eq!(delivered >> vector & 1, 0);
            delivered |= 1 << vector;
        }
        prop_assert_eq!(delivered, expected);
    }
}
