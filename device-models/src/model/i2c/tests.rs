use proptest::prelude::*;

use super::*;

/// Sends a message and reads `read` bytes after another START. Returns `None` if no target
/// acknowledged.
fn transfer(bus: &mut Bus, address: u8, sent: &[u8], read: usize) -> Option<Vec<u8>> {
    let mut done = true;
    if !sent.is_empty() {
        done = bus.start(address) && sent.iter().all(|byte| bus.write(*byte));
    }
    if done && read > 0 {
        done = bus.start(address);
    }
    let received = (0..read).map(|_| bus.read()).collect();
    bus.stop();
    done.then_some(received)
}

#[test]
fn the_memory_keeps_what_is_written_and_wraps_in_its_page() {
    let mut bus = Bus::default();
    for (sent, address, expected) in [
        (&[][..], 0x00, [0xff; 4]),
        (&[0x00, 1, 2, 3, 4], 0x00, [1, 2, 3, 4]),
        (&[0x06, 5, 6, 7], 0x04, [0xff, 0xff, 5, 6]),
        (&[], 0x00, [7, 2, 3, 4]),
        (&[0xff, 8], 0xfe, [0xff, 8, 7, 2]),
        (&[0x10, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0x10, [9, 2, 3, 4]),
    ] {
        if !sent.is_empty() {
            assert!(transfer(&mut bus, EEPROM, sent, 0).is_some());
        }
        let found = transfer(&mut bus, EEPROM, &[address], 4);
        assert_eq!(found.as_deref(), Some(&expected[..]), "{sent:?}");
    }
}

#[test]
fn the_memory_reads_on_where_it_was() {
    let mut bus = Bus::default();
    assert!(transfer(&mut bus, EEPROM, &[0x20, 1, 2], 0).is_some());
    assert_eq!(transfer(&mut bus, EEPROM, &[0x20], 1), Some(vec![1]));
    assert_eq!(transfer(&mut bus, EEPROM, &[], 2), Some(vec![2, 0xff]));
}

#[test]
fn the_thermometer_has_four_registers() {
    for (pointer, written, before, after) in [
        (0, [0xff, 0xff], [0x19, 0x00], [0x19, 0x00]),
        (1, [0xff, 0x01], [0x00, 0x00], [0x01, 0x01]),
        (2, [0xff, 0xff], [0x4b, 0x00], [0xff, 0x80]),
        (3, [0x7f, 0x7f], [0x50, 0x00], [0x7f, 0x00]),
        (7, [0x00, 0x80], [0x50, 0x00], [0x00, 0x80]),
    ] {
        let mut bus = Bus::default();
        let read = |bus: &mut Bus| transfer(bus, THERMOMETER, &[pointer], 2);
        assert_eq!(read(&mut bus), Some(before.to_vec()), "{pointer}");
        let [high, low] = written;
        assert!(transfer(&mut bus, THERMOMETER, &[pointer, high, low], 0).is_some());
        assert_eq!(read(&mut bus), Some(after.to_vec()), "{pointer}");
    }
}

#[test]
fn nobody_acknowledges_an_address_that_nobody_has() {
    let mut bus = Bus::default();
    for address in 0..=u8::MAX {
        let somebody = matches!(address, EEPROM | THERMOMETER);
        assert_eq!(bus.start(address), somebody, "{address:#x}");
        assert_eq!(bus.write(1), somebody, "{address:#x}");
        bus.stop();
        assert!(!bus.write(1), "after STOP");
        assert_eq!(bus.read(), 0xff, "after STOP");
    }
    assert_eq!(bus.take_bytes(), 4 * 256);
    assert_eq!(bus.take_bytes(), 0);
}

proptest! {
    /// Checks that the cells are a memory: a read returns the last byte that was written at an
    /// address.
    #[test]
    fn the_memory_is_a_memory(writes in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 1..8)), 1..20)) {
        let (mut bus, mut expected) = (Bus::default(), [0xff_u8; 256]);
        for (address, data) in &writes {
            let mut sent = vec![*address];
            sent.extend(data);
            prop_assert!(transfer(&mut bus, EEPROM, &sent, 0).is_some());
                for (offset, byte) in data.iter().enumerate() {
                expected[usize::from(address / 8 * 8) + (usize::from(address % 8) + offset) % 8] = *byte;
            }
        }
        prop_assert_eq!(transfer(&mut bus, EEPROM, &[0], 256), Some(expected.to_vec()));
    }
}
