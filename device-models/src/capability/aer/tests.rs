use super::*;
use crate::capability::testing::{dwords, read, write};
use crate::register::ResetKind;

fn aer(text: &str) -> AdvancedErrorReporting {
    let config = toml::from_str(text).expect("a table of the tests");
    AdvancedErrorReporting::new(&config).expect("a capability of the tests")
}

#[test]
fn registers_at_reset() {
    for (device, text, mask, severity, correctable_mask) in [
        ("PM174X", "", 0x0040_0000, 0x0046_2030, 0x0000_e000),
        (
            "RTL8168",
            "uncorrectable-mask = 0\nuncorrectable-severity = 0x62030\ncorrectable-mask = 0x2000",
            0,
            0x0006_2030,
            0x0000_2000,
        ),
    ] {
        let aer = aer(text);
        let expected = [0, 0, mask, severity, 0, correctable_mask, 0];
        assert_eq!(dwords(&aer)[..7], expected, "{device}");
        assert!(
            dwords(&aer)[7..].iter().all(|dword| *dword == 0),
            "{device}"
        );
    }
}

#[test]
fn the_prefix_log_is_the_second_version_s() {
    for (version, len) in [(1, 11), (2, 18)] {
        let aer = aer(&format!("version = {version}"));
        assert_eq!(aer.registers().len(), len);
        let id = ExtendedId::AdvancedErrorReporting;
        assert_eq!(aer.id(), CapabilityId::Extended { id, version });
    }
    for version in [0, 3] {
        let config = AerConfig {
            version,
            ..AerConfig::default()
        };
        let error = AdvancedErrorReporting::new(&config).expect_err("no such version");
        assert_eq!(error.key(), "version");
    }
}

#[test]
fn software_sees_the_errors_that_exist() {
    let mut aer = aer("uncorrectable = 0x00100010\ncorrectable = 0x00002001");
    for byte in [0xff, 0x00] {
        write(&mut aer, 4, &[byte; 68]);
        let ones = if byte == 0xff { u32::MAX } else { 0 };
        assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0, "RW1C never sets");
        assert_eq!(read(&aer, UNCORRECTABLE_MASK), ones & 0x0050_0010);
        assert_eq!(read(&aer, CORRECTABLE_STATUS), 0);
        assert_eq!(read(&aer, CORRECTABLE_MASK), ones & 0x0000_e001);
        assert!(
            dwords(&aer)[6..].iter().all(|dword| *dword == 0),
            "control and logs"
        );
    }
}

#[test]
fn ecrc_can_be_enabled_where_it_exists() {
    let mut aer = aer("ecrc = true");
    assert_eq!(read(&aer, CONTROL), 0x00a0);
    write(&mut aer, CONTROL as u64, &[0xff; 4]);
    assert_eq!(read(&aer, CONTROL), 0x01e0);
}

#[test]
fn an_unsupported_request_is_logged_by_its_severity() {
    let mut aer = aer("");
    aer.record_unsupported_request(false);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_0000);
    assert_eq!(read(&aer, CORRECTABLE_STATUS), 0);
    assert_eq!(read(&aer, CONTROL) & 0x1f, 20);
    write(&mut aer, UNCORRECTABLE_STATUS as u64, &[0x00; 4]);
    assert_eq!(
        read(&aer, UNCORRECTABLE_STATUS),
        0x0010_0000,
        "zeros clear nothing"
    );
    write(
        &mut aer,
        UNCORRECTABLE_STATUS as u64,
        &[0x00, 0x00, 0x10, 0x00],
    );
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0);
    assert!(!aer.unsupported_request_is_fatal());
    write(
        &mut aer,
        UNCORRECTABLE_SEVERITY as u64,
        &[0x00, 0x00, 0x10, 0x00],
    );
    assert!(aer.unsupported_request_is_fatal());
}

#[test]
fn an_advisory_one_is_correctable_and_more_only_if_not_masked() {
    let mut aer = aer("");
    aer.record_unsupported_request(true);
    assert_eq!(read(&aer, CORRECTABLE_STATUS), 0x2000);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0);
    write(&mut aer, CORRECTABLE_MASK as u64, &[0; 4]);
    aer.record_unsupported_request(true);
    assert_eq!(read(&aer, UNCORRECTABLE_STATUS), 0x0010_0000);
    assert_eq!(read(&aer, CONTROL) & 0x1f, 20);
}

#[test]
fn only_a_fundamental_reset_forgets() {
    for (kind, kept) in [
        (ResetKind::PowerOn, false),
        (ResetKind::Fundamental, false),
        (ResetKind::Hot, true),
        (ResetKind::Flr, true),
        (ResetKind::SoftD3hot, true),
    ] {
        let mut aer = aer("");
        let at_reset = dwords(&aer);
        aer.record_unsupported_request(false);
        write(&mut aer, UNCORRECTABLE_MASK as u64, &[0xff; 8]);
        write(&mut aer, CORRECTABLE_MASK as u64, &[0; 4]);
        let before = dwords(&aer);
        aer.reset(kind);
        assert_eq!(
            dwords(&aer),
            if kept { before } else { at_reset },
            "{kind:?}"
        );
    }
}

#[test]
fn a_second_version_need_not_have_the_prefix_log() {
    let aer = aer("tlp-prefix-log = false\nmultiple-header-recording = true\nheader-log-size = 4");
    assert_eq!(aer.registers().len(), 11);
    assert_eq!(read(&aer, CONTROL), 0x8200);
    let config = AerConfig {
        header_log_size: 32,
        ..AerConfig::default()
    };
    let error = AdvancedErrorReporting::new(&config).expect_err("five bits");
    assert_eq!(error.key(), "header-log-size");
}
