use super::*;

#[test]
fn what_has_a_number_is_read_back_and_the_next_number_is_unknown() {
    macro_rules! check {
        ($($name:ident: $count:literal),*) => {$(
            for one in $name::ALL {
                assert_eq!($name::from_number(one.number()), Some(one));
            }
            assert_eq!($name::ALL.len(), $count);
            assert_eq!($name::from_number($count), None);
        )*};
    }
    check!(RegionIndex: 9, IrqIndex: 6, Feature: 11, DeviceState: 8, BusMasterOperation: 2);
    assert_eq!(RegionIndex::COUNT as usize, RegionIndex::ALL.len());
    assert_eq!(IrqIndex::V4_COUNT as usize, IrqIndex::ALL.len());
}

#[test]
fn regions_of_base_address_registers_know_which() {
    let bars: Vec<u8> = RegionIndex::ALL
        .into_iter()
        .filter_map(RegionIndex::bar)
        .collect();
    assert_eq!(bars, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn data_and_action_of_irqs_are_all_bits_and_share_none() {
    assert_eq!(IrqSetFlags::DATA | IrqSetFlags::ACTION, IrqSetFlags::all());
    assert!((IrqSetFlags::DATA & IrqSetFlags::ACTION).is_empty());
}
