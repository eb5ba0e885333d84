use super::*;
use crate::capability::testing::{read, write};
use crate::register::ResetKind;

fn pcie(text: &str, aux_power: bool) -> Result<PciExpress, PcieConfigError> {
    PciExpress::new(
        &toml::from_str(text).expect("a table of the tests"),
        aux_power,
    )
}

fn control(pcie: &PciExpress) -> u16 {
    pcie.device_control().into()
}

fn write_control(pcie: &mut PciExpress, value: u16) -> Vec<ConfigEffect> {
    write(pcie, DEVICE_CONTROL as u64, &value.to_le_bytes())
}

#[test]
fn registers_of_a_plain_endpoint_at_reset() {
    let text = "link-speed = 3\nlink-width = 4\nmax-payload = 256\nltr = true";
    let pcie = pcie(text, false).unwrap();
    for (offset, expected) in [
        (0x00, 0x0002_0000),
        (0x04, 0x1000_8001),
        (0x08, 0x0000_2810),
        (0x0c, 0x0040_0043),
        (0x10, 0x1043_0000),
        (0x14, 0),
        (0x18, 0),
        (0x1c, 0),
        (0x20, 0),
        (0x24, 0x0000_0810),
        (0x28, 0),
        (0x2c, 0x0000_000e),
        (0x30, 0x0000_0003),
        (0x34, 0),
        (0x38, 0),
    ] {
        assert_eq!(read(&pcie, offset), expected, "{offset:#x}");
    }
    assert_eq!(pcie.registers().len(), 15);
}

#[test]
fn registers_given_as_such_show_as_given() {
    let mx150 = pcie(
        "
        type = 'endpoint'
        device-capabilities = 0x07e88de1
        device-control = 0x2930
        link-capabilities = 0x00454c43
        link-control = 0x0140
        link-status = 0x1043
        device-capabilities-2 = 0x00040813
        device-control-2 = 0x0400
        link-capabilities-2 = 0x0000000e
        link-control-2 = 0x0003
        link-status-2 = 0x001e
        ",
        false,
    )
    .unwrap();
    for (offset, expected) in [
        (0x04, 0x07e8_8de1),
        (0x08, 0x0000_2930),
        (0x0c, 0x0045_4c43),
        (0x10, 0x1043_0140),
        (0x24, 0x0004_0813),
        (0x28, 0x0000_0400),
        (0x2c, 0x0000_000e),
        (0x30, 0x001e_0003),
    ] {
        assert_eq!(read(&mx150, offset), expected, "{offset:#x}");
    }
    assert!(!mx150.has_flr());
}

#[test]
fn types_without_a_link_have_no_link_registers() {
    for (name, bits, link) in [
        ("endpoint", 0x0002, true),
        ("legacy-endpoint", 0x0012, true),
        ("root-complex-integrated-endpoint", 0x0092, false),
    ] {
        let pcie = pcie(&format!("type = '{name}'"), false).unwrap();
        assert_eq!(read(&pcie, 0) >> 16, bits, "{name}");
        for offset in [0x0c, 0x10, 0x2c, 0x30] {
            assert_eq!(read(&pcie, offset) != 0, link, "{name}, {offset:#x}");
        }
    }
}

#[test]
fn aux_power_shows_and_lets_software_draw_it() {
    for (aux_power, status, written) in [(false, 0x00, 0x78ff), (true, 0x10, 0x7cff)] {
        let mut pcie = pcie("", aux_power).unwrap();
        assert_eq!(read(&pcie, DEVICE_CONTROL) >> 16, status);
        write_control(&mut pcie, 0x7fff);
        assert_eq!(control(&pcie), written, "aux power {aux_power}");
    }
}

#[test]
fn extended_tags_can_be_enabled_where_they_exist() {
    for (text, reset, cleared) in [
        ("", 0x2810, 0x0000),
        ("extended-tag = true", 0x2910, 0x0000),
    ] {
        let mut pcie = pcie(text, false).unwrap();
        assert_eq!(control(&pcie), reset, "{text:?}");
        write_control(&mut pcie, 0);
        assert_eq!(control(&pcie), cleared, "{text:?}");
        write_control(&mut pcie, 0x0100);
        assert_eq!(control(&pcie), reset & 0x0100, "{text:?}");
    }
}

#[test]
fn initiate_flr_reads_zero_and_works_where_the_capability_is() {
    let mut with = pcie("flr = true", false).unwrap();
    assert_eq!(
        write_control(&mut with, 0xa810),
        [ConfigEffect::FunctionLevelReset]
    );
    assert_eq!(control(&with), 0x2810);
    assert_eq!(
        write(&mut with, DEVICE_CONTROL as u64 + 1, &[0x80]),
        [ConfigEffect::FunctionLevelReset],
        "as a single byte"
    );
    assert_eq!(
        write(&mut with, 0, &[0xff; 8]),
        [],
        "bit 15 of other registers"
    );
    assert_eq!(write(&mut with, DEVICE_STATUS as u64, &[0xff; 2]), []);
    let mut without = pcie("flr = false", false).unwrap();
    assert_eq!(write_control(&mut without, 0xa810), []);
    assert_eq!(control(&without), 0x2810);
}

#[test]
fn status_logs_what_an_unsupported_request_was() {
    for (severity, logged) in [
        (ErrorSeverity::Fatal, 0xc),
        (ErrorSeverity::Correctable, 0x9),
        (ErrorSeverity::NonFatal, 0xa),
    ] {
        let mut pcie = pcie("", false).unwrap();
        pcie.record_error(severity, true);
        assert_eq!(read(&pcie, DEVICE_CONTROL) >> 16, logged);
        write(&mut pcie, DEVICE_STATUS as u64, &[0x08]);
        assert_eq!(
            read(&pcie, DEVICE_CONTROL) >> 16,
            logged & !0x8,
            "RW1C bit by bit"
        );
        write(&mut pcie, DEVICE_STATUS as u64, &[0xff, 0xff]);
        assert_eq!(read(&pcie, DEVICE_CONTROL) >> 16, 0);
    }
}

#[test]
fn transactions_pending_follows_the_function_and_not_software() {
    let mut pcie = pcie("", false).unwrap();
    pcie.set_transactions_pending(true);
    write(&mut pcie, DEVICE_STATUS as u64, &[0xff, 0xff]);
    assert_eq!(read(&pcie, DEVICE_CONTROL) >> 16, 0x20);
    pcie.reset(ResetKind::Flr);
    assert_eq!(read(&pcie, DEVICE_CONTROL) >> 16, 0);
}

/// Values written before the reset, and those found after it, of registers at these offsets.
#[test]
fn each_reset_keeps_what_the_specification_lists() {
    use ResetKind::{Flr, Fundamental, Hot, PowerOn, SoftD3hot};
    let text = "extended-tag = true\nltr = true\nlink-speed = 4";
    for (kind, aux_power, device, link, device_2, link_2) in [
        (PowerOn, true, 0x2910, 0x0000, 0, 0x0004),
        (Fundamental, true, 0x2d10, 0x0000, 0, 0x0004),
        (Fundamental, false, 0x2910, 0x0000, 0, 0x0004),
        (Hot, true, 0x2d10, 0x0000, 0, 0x0002),
        (Hot, false, 0x2910, 0x0000, 0, 0x0002),
        (Flr, true, 0x2d30, 0x02cb, 0, 0x0022),
        (SoftD3hot, true, 0x2d30, 0x02cb, 0, 0x0022),
    ] {
        let mut pcie = pcie(text, aux_power).unwrap();
        write_control(&mut pcie, 0x543f);
        write(&mut pcie, LINK_CONTROL as u64, &[0xcb, 0x02]);
        write(&mut pcie, DEVICE_CONTROL_2 as u64, &[0x10, 0x04]);
        write(&mut pcie, 0x30, &[0x22, 0x00]);
        pcie.reset(kind);
        let name = format!("{kind:?}, aux power {aux_power}");
        assert_eq!(control(&pcie), device, "Device Control, {name}");
        assert_eq!(read(&pcie, 0x10) & 0xffff, link, "Link Control, {name}");
        assert_eq!(read(&pcie, 0x28), device_2, "Device Control 2, {name}");
        assert_eq!(read(&pcie, 0x30), link_2, "Link Control 2, {name}");
    }
}

#[test]
fn the_slot_power_limit_lasts_until_the_link_goes_down() {
    for (kind, kept) in [
        (ResetKind::Fundamental, false),
        (ResetKind::Hot, false),
        (ResetKind::Flr, true),
        (ResetKind::SoftD3hot, true),
    ] {
        let mut pcie = pcie("", false).unwrap();
        pcie.set_slot_power_limit(75, 0);
        assert_eq!(pcie.inspect()["slot_power_limit"]["value"], 75);
        pcie.reset(kind);
        let value = pcie.device_capabilities().captured_slot_power_limit_value();
        assert_eq!(value, if kept { 75 } else { 0 }, "{kind:?}");
    }
}

#[test]
fn links_and_payloads_that_do_not_exist_are_refused_by_key() {
    for (text, key) in [
        ("link-speed = 0", "link-speed"),
        ("link-speed = 7", "link-speed"),
        ("link-width = 3", "link-width"),
        ("max-payload = 64", "max-payload"),
        ("max-payload = 384", "max-payload"),
        ("max-payload = 8192", "max-payload"),
    ] {
        assert_eq!(pcie(text, false).expect_err(text).key(), key, "{text}");
    }
}

#[test]
fn version_1_ends_after_the_registers_of_the_link() {
    for (kind, dwords) in [
        ("endpoint", 5),
        ("legacy-endpoint", 5),
        ("root-complex-integrated-endpoint", 3),
    ] {
        let text = format!("version = 1\ntype = '{kind}'\ninterrupt-message = 9");
        let pcie = pcie(&text, false).expect(kind);
        assert_eq!(pcie.registers().len(), dwords, "{kind}");
        let capabilities: u16 = pcie.registers().get(2);
        assert_eq!(capabilities & 0xfe0f, 9 << 9 | 1, "{kind}");
    }
}

#[test]
fn registers_say_what_keys_do_not() {
    let flr = pcie("device-capabilities = 0x8001", false).expect("it is right");
    assert!(!flr.has_flr());
    for (text, key) in [
        ("flr = true\ndevice-capabilities = 0x8001", "flr"),
        ("flr = false\ndevice-capabilities = 0x10008001", "flr"),
        (
            "max-payload = 512\ndevice-capabilities = 0x10008001",
            "max-payload",
        ),
        (
            "extended-tag = true\ndevice-capabilities = 0x10008001",
            "extended-tag",
        ),
        ("ltr = true\ndevice-capabilities-2 = 0", "ltr"),
        ("version = 3", "version"),
        ("interrupt-message = 32", "interrupt-message"),
    ] {
        assert_eq!(pcie(text, false).expect_err(text).key(), key, "{text}");
    }
}
