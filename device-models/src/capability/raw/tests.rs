use super::*;
use crate::capability::testing::{assert_read_only, dwords, write};
use crate::register::ResetKind;

fn raw(text: &str) -> Result<Raw, RawConfigError> {
    Raw::new(&toml::from_str(text).expect("a table of the tests"))
}

#[test]
fn bytes_follow_the_list_header() {
    let bytes = "bytes = [0x01, 0x02, 0x03, 0x04, 0x05]";
    let conventional = raw(bytes).unwrap();
    assert_eq!(dwords(&conventional), [0x0201_0000, 0x0005_0403]);
    let mut extended = raw(&format!("extended = true\n{bytes}")).unwrap();
    assert_eq!(dwords(&extended), [0, 0x0403_0201, 0x0000_0005]);
    assert_read_only(&mut extended);
    assert_eq!(dwords(&raw("").unwrap()), [0], "a bare header");
}

#[test]
fn without_a_header_bytes_begin_at_the_offset() {
    for extended in [false, true] {
        let text =
            format!("header = false\nextended = {extended}\nbytes = [0x01, 0x02]\nrw = [0xf0]");
        let mut raw = raw(&text).unwrap();
        assert_eq!(raw.id(), CapabilityId::DeviceSpecific { extended });
        write(&mut raw, 0, &[0xff, 0xff]);
        assert_eq!(dwords(&raw), [0x0000_02f1]);
    }
}

#[test]
fn masks_say_what_software_may_do_and_what_a_reset_keeps() {
    let text = "
        bytes =       [0x00, 0xff, 0x0f, 0x00, 0xf0, 0x00]
        rw =          [0xff, 0x00, 0xf0, 0x00, 0xff]
        rw1c =        [0x00, 0x0f, 0x0f]
        sticky =      [0x0f]
        kept-by-flr = [0xf0]
    ";
    for (kind, expected) in [
        (ResetKind::PowerOn, [0xff00_0000, 0x00f0_000f]),
        (ResetKind::Fundamental, [0xff00_0000, 0x00f0_000f]),
        (ResetKind::Hot, [0xff0a_0000, 0x00f0_000f]),
        (ResetKind::Flr, [0xff5a_0000, 0x00f0_000f]),
        (ResetKind::SoftD3hot, [0xff5a_0000, 0x00f0_000f]),
    ] {
        let mut raw = raw(text).unwrap();
        write(
            &mut raw,
            0,
            &[0xff, 0xff, 0x5a, 0x0f, 0xaf, 0xff, 0x5a, 0xff],
        );
        assert_eq!(dwords(&raw), [0xf05a_0000, 0x005a_00a0]);
        raw.reset(kind);
        assert_eq!(dwords(&raw), expected, "{kind:?}");
    }
}

#[test]
fn the_id_is_that_of_its_list() {
    let extended = raw("extended = true\nid = 0x0b\nversion = 2").unwrap();
    assert_eq!(
        extended.id(),
        CapabilityId::Extended {
            id: ExtendedId::VendorSpecific,
            version: 2
        }
    );
    let conventional = raw("id = 0x03").unwrap();
    assert_eq!(
        conventional.id(),
        CapabilityId::Conventional(ConventionalId::of(0x03))
    );
}

#[test]
fn inspection_gives_the_profile_s_name() {
    let raw = raw("name = 'vpd'\nid = 3\nbytes = [1]").unwrap();
    assert_eq!(raw.inspect()["name"], "vpd");
    assert_eq!(raw.inspect()["dwords"], json!(["00010000"]));
}

#[test]
fn tables_that_do_not_fit_are_refused_by_key() {
    for (text, key) in [
        ("id = 0x100", "id"),
        ("extended = true\nversion = 16", "version"),
        ("bytes = [1]\nrw = [1, 2]", "rw"),
        ("rw1c = [1]", "rw1c"),
        ("sticky = [1]", "sticky"),
        ("kept-by-flr = [1]", "kept-by-flr"),
        ("bytes = [0, 0]\nrw = [0, 3]\nrw1c = [0, 1]", "rw1c"),
    ] {
        assert_eq!(raw(text).expect_err(text).key(), key, "{text}");
    }
    let config = RawConfig::default();
    assert!(
        config.linked,
        "lists lead to a structure unless a profile says no"
    );
}
