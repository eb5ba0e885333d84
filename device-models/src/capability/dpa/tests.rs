use super::*;
use crate::register::Lanes;

fn dpa() -> DynamicPowerAllocation {
    DynamicPowerAllocation::new(&DpaConfig {
        offset: None,
        power: (1..=32).rev().collect(),
        power_scale: 1,
        latency_unit: 1,
        latency: [128, 255],
        latency_indicator: 1 << 7,
    })
    .unwrap()
}

fn control(dpa: &mut DynamicPowerAllocation, substate: u32) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    let write = DwordWrite::new(substate << 16, Lanes::new(2, 2));
    dpa.write(CONTROL_DWORD, write, &mut effects);
    effects
}

#[test]
fn the_registers_read_like_a_real_function() {
    let dpa = dpa();
    assert_eq!(dpa.read(CAPABILITY / 4), 0xff80_111f);
    assert_eq!(dpa.read(CONTROL_DWORD), 0x0000_0100);
    assert_eq!(dpa.read(4), 0x1d1e_1f20);
    assert_eq!(4 * dpa.registers().len(), 16 + 32);
}

#[test]
fn e12_substate_control_is_disabled_by_writing_one_and_enabled_by_reset() {
    let mut dpa = dpa();
    dpa.write(
        CONTROL_DWORD,
        DwordWrite::new(0x100, Lanes::new(0, 2)),
        &mut Vec::new(),
    );
    assert!(!dpa.status().substate_control_enabled());
    assert_eq!(control(&mut dpa, 5), []);
    assert_eq!(dpa.transition_latency(), None);
    dpa.reset(ResetKind::Flr);
    assert!(dpa.status().substate_control_enabled());
}

#[test]
fn e13_status_shows_the_higher_power_until_the_transition_is_over() {
    let mut dpa = dpa();
    assert_eq!(control(&mut dpa, 5), [ConfigEffect::PowerAllocation]);
    assert_eq!(dpa.status().substate(), 0);
    assert_eq!(dpa.transition_latency(), Some(Duration::from_millis(1280)));
    dpa.settle();
    assert_eq!((dpa.status().substate(), dpa.transition_latency()), (5, None));
    control(&mut dpa, 2);
    assert_eq!(dpa.status().substate(), 2);
    control(&mut dpa, 7);
    assert_eq!(dpa.transition_latency(), Some(Duration::from_millis(2550)));
}

#[test]
fn mistakes_name_their_key() {
    let good = DpaConfig {
        offset: None,
        power: vec![2, 1],
        power_scale: 0,
        latency_unit: 0,
        latency: [0; 2],
        latency_indicator: 0,
    };
    for (config, key) in [
        (DpaConfig { power: vec![], ..good.clone() }, "power"),
        (DpaConfig { power: vec![0; 33], ..good.clone() }, "power"),
        (DpaConfig { power: vec![1, 2], ..good.clone() }, "power"),
        (DpaConfig { power_scale: 4, ..good.clone() }, "power-scale"),
        (DpaConfig { latency_unit: 3, ..good }, "latency-unit"),
    ] {
        let error = DynamicPowerAllocation::new(&config).unwrap_err();
        assert_eq!(error.key(), key);
    }
}
