use super::*;
use crate::register::{Lanes, ResetKind};

fn pcie(aux_power: bool) -> PciExpress {
    PciExpress::new(&PcieConfig::default(), aux_power).unwrap()
}

fn write16(pcie: &mut PciExpress, offset: usize, value: u16) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    let first = offset % 4;
    let write = DwordWrite::new(u32::from(value) << (8 * first), Lanes::new(first, 2));
    pcie.write(offset / 4, write, &mut effects);
    effects
}

fn read16(pcie: &PciExpress, offset: usize) -> u16 {
    pcie.registers().get(offset)
}

#[test]
fn e1_device_control_resets_to_2810_or_2910() {
    assert_eq!(read16(&pcie(false), DEVICE_CONTROL), 0x2810);
    let config = PcieConfig {
        extended_tag: true,
        ..PcieConfig::default()
    };
    let tagged = PciExpress::new(&config, false).unwrap();
    assert_eq!(read16(&tagged, DEVICE_CONTROL), 0x2910);
}

#[test]
fn e2_flr_keeps_payload_size_and_link_control() {
    let mut pcie = pcie(true);
    write16(&mut pcie, DEVICE_CONTROL, 5 << 12 | 1 << 5 | 0xf);
    write16(&mut pcie, LINK_CONTROL, 0x43);
    pcie.reset(ResetKind::Flr);
    let control = pcie.device_control();
    assert_eq!(control.max_payload_size(), 1);
    assert_eq!(control.max_read_request_size(), 2);
    assert_eq!(control.error_reporting(), 0);
    assert_eq!(read16(&pcie, LINK_CONTROL), 0x43);
    pcie.reset(ResetKind::Hot);
    assert_eq!(read16(&pcie, LINK_CONTROL), 0);
    assert_eq!(pcie.device_control().max_payload_size(), 0);
}

#[test]
fn e3_e4_the_reset_bit_reads_zero_and_needs_the_capability() {
    for flr in [false, true] {
        let config = PcieConfig {
            flr,
            ..PcieConfig::default()
        };
        let mut pcie = PciExpress::new(&config, false).unwrap();
        let expected = if flr {
            vec![ConfigEffect::FunctionLevelReset]
        } else {
            vec![]
        };
        assert_eq!(write16(&mut pcie, DEVICE_CONTROL, 0xa810), expected);
        assert_eq!(read16(&pcie, DEVICE_CONTROL), 0x2810);
    }
    let mut effects = Vec::new();
    let status_only = DwordWrite::new(0x8000_8000, Lanes::new(2, 2));
    pcie(false).write(DEVICE_CONTROL_DWORD, status_only, &mut effects);
    assert_eq!(effects, [], "a write of Device Status alone is no reset");
}

#[test]
fn e17_aux_power_detected_follows_the_slot() {
    for aux_power in [false, true] {
        assert_eq!(pcie(aux_power).device_status().aux_power_detected(), aux_power);
    }
}

#[test]
fn e18_the_captured_power_limit_survives_flr_only() {
    let mut pcie = pcie(false);
    pcie.set_slot_power_limit(75, 0);
    pcie.reset(ResetKind::Flr);
    assert_eq!(pcie.device_capabilities().captured_slot_power_limit_value(), 75);
    pcie.reset(ResetKind::Hot);
    assert_eq!(pcie.device_capabilities().captured_slot_power_limit_value(), 0);
}

#[test]
fn e19_aux_power_pm_enable_outlasts_conventional_resets_with_aux_power() {
    for (aux_power, kept) in [(true, true), (false, false)] {
        let mut pcie = pcie(aux_power);
        write16(&mut pcie, DEVICE_CONTROL, 1 << 10);
        pcie.reset(ResetKind::Fundamental);
        assert_eq!(pcie.device_control().aux_power_pm(), kept);
        pcie.reset(ResetKind::PowerOn);
        assert!(!pcie.device_control().aux_power_pm());
    }
}

#[test]
fn an_unsupported_request_is_logged_with_its_severity() {
    for (fatal, advisory, bits) in [(true, false, 0xc), (false, true, 0x9), (false, false, 0xa)] {
        let mut pcie = pcie(false);
        pcie.record_unsupported_request(fatal, advisory);
        assert_eq!(read16(&pcie, DEVICE_STATUS), bits);
        write16(&mut pcie, DEVICE_STATUS, bits);
        assert_eq!(read16(&pcie, DEVICE_STATUS), 0);
    }
}

#[test]
fn registers_of_a_dump_are_taken_as_they_are() {
    let config = PcieConfig {
        r#type: PcieType::LegacyEndpoint,
        device_capabilities: Some(0x07e8_8de1),
        device_control: Some(0x2930),
        link_capabilities: Some(0x0045_4c43),
        link_control: Some(0x0140),
        link_status: Some(0x1043),
        device_capabilities_2: Some(0x0004_0813),
        device_control_2: Some(0x0400),
        link_capabilities_2: Some(0x0000_000e),
        link_control_2: Some(0x0003),
        link_status_2: Some(0x001e),
        ..PcieConfig::default()
    };
    let pcie = PciExpress::new(&config, false).unwrap();
    let words: Vec<u32> = (0..pcie.registers().len()).map(|index| pcie.read(index)).collect();
    assert_eq!(
        words,
        [
            0x0012_0000,
            0x07e8_8de1,
            0x0000_2930,
            0x0045_4c43,
            0x1043_0140,
            0,
            0,
            0,
            0,
            0x0004_0813,
            0x0000_0400,
            0x0000_000e,
            0x001e_0003,
            0,
            0
        ]
    );
}

#[test]
fn mistakes_name_their_key() {
    let good = PcieConfig::default();
    for (config, key) in [
        (PcieConfig { link_speed: 0, ..good.clone() }, "link-speed"),
        (PcieConfig { link_width: 3, ..good.clone() }, "link-width"),
        (PcieConfig { max_payload: 100, ..good }, "max-payload"),
    ] {
        assert_eq!(PciExpress::new(&config, false).unwrap_err().key(), key);
    }
}
