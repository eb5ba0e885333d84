use super::*;
use crate::capability::testing::{assert_read_only, dwords, read, write};
use crate::register::ResetKind;

fn l1ss(text: &str) -> Result<L1PmSubstates, L1ssConfigError> {
    L1PmSubstates::new(&toml::from_str(text).expect("a table of the tests"))
}

#[test]
fn registers_at_reset() {
    let mx150 = l1ss("common-mode-restore-us = 255").unwrap();
    assert_eq!(dwords(&mx150), [0, 0x0028_ff1f, 0, 0x0000_0028]);
    let l1_1_only = "\"pci-pm-l1.2\" = false\n\"aspm-l1.2\" = false";
    assert_eq!(dwords(&l1ss(l1_1_only).unwrap()), [0, 0x0028_001a, 0, 0]);
    let slow = l1ss("power-on-scale-us = 100\npower-on-value = 31").unwrap();
    assert_eq!(read(&slow, 4), 0x00fa_001f);
}

#[test]
fn controls_exist_where_the_substate_does() {
    for (text, control_1, control_2) in [
        ("", 0xe3ff_000f, 0x0000_00fb),
        ("\"aspm-l1.2\" = false", 0x0000_000b, 0x0000_00fb),
        (
            "\"pci-pm-l1.2\" = false\n\"aspm-l1.2\" = false",
            0x0000_000a,
            0,
        ),
    ] {
        let mut l1ss = l1ss(text).unwrap();
        write(&mut l1ss, 0, &[0xff; 16]);
        assert_eq!(read(&l1ss, 8), control_1, "{text:?}");
        assert_eq!(read(&l1ss, 12), control_2, "{text:?}");
    }
    let none = r#"
        "pci-pm-l1.1" = false
        "pci-pm-l1.2" = false
        "aspm-l1.1" = false
        "aspm-l1.2" = false
    "#;
    assert_read_only(&mut l1ss(none).unwrap());
}

#[test]
fn a_function_level_reset_keeps_the_controls() {
    for (kind, control_2) in [
        (ResetKind::Hot, 0x28),
        (ResetKind::Flr, 0xfb),
        (ResetKind::SoftD3hot, 0xfb),
    ] {
        let mut l1ss = l1ss("").unwrap();
        write(&mut l1ss, 8, &[0xff; 8]);
        l1ss.reset(kind);
        assert_eq!(read(&l1ss, 12), control_2, "{kind:?}");
        assert_eq!(read(&l1ss, 8) != 0, control_2 == 0xfb, "{kind:?}");
    }
}

#[test]
fn inspection_tells_supported_from_enabled() {
    let mut l1ss = l1ss("\"aspm-l1.2\" = false").unwrap();
    write(&mut l1ss, 8, &[0x0f]);
    let inspected = l1ss.inspect();
    assert_eq!(
        inspected["aspm_l1_2"],
        json!({ "supported": false, "enabled": false })
    );
    assert_eq!(
        inspected["pci_pm_l1_2"],
        json!({ "supported": true, "enabled": true })
    );
}

#[test]
fn times_without_encoding_are_refused() {
    for (text, key) in [
        ("power-on-scale-us = 3", "power-on-scale-us"),
        ("power-on-value = 32", "power-on-value"),
    ] {
        assert_eq!(l1ss(text).expect_err(text).key(), key);
    }
}
