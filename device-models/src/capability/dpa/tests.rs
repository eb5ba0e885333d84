use super::*;
use crate::capability::testing::{dwords, read, write};

fn dpa(text: &str) -> Result<DynamicPowerAllocation, DpaConfigError> {
    DynamicPowerAllocation::new(&toml::from_str(text).expect("a table of the tests"))
}

/// The table of a PM174X: 32 W down to 1 W, 1.28 s each.
fn pm174x() -> DynamicPowerAllocation {
    let power: Vec<u8> = (1..=32).rev().collect();
    let text = format!("power = {power:?}\nlatency-unit = 1\nlatency = [0x80, 0xff]");
    dpa(&text).unwrap()
}

fn ask(dpa: &mut DynamicPowerAllocation, substate: u8) -> Vec<ConfigEffect> {
    write(dpa, CONTROL as u64, &[substate])
}

fn shown(dpa: &DynamicPowerAllocation) -> u8 {
    dpa.status().substate()
}

#[test]
fn registers_equal_those_of_silicon() {
    let mut dpa = pm174x();
    let mut expected = vec![0, 0xff80_111f, 0, 0x0000_0100];
    expected.extend([
        0x1d1e_1f20,
        0x191a_1b1c,
        0x1516_1718,
        0x1112_1314,
        0x0d0e_0f10,
        0x090a_0b0c,
        0x0506_0708,
        0x0102_0304,
    ]);
    assert_eq!(dwords(&dpa), expected);
    write(&mut dpa, 0, &[0xff; 12]);
    write(&mut dpa, 16, &[0xff; 32]);
    assert_eq!(dwords(&dpa), expected, "the rest is read-only");
}

#[test]
fn status_shows_the_higher_power_until_the_transition_is_over() {
    let mut dpa = pm174x();
    assert_eq!(dpa.transition_latency(), None);
    assert_eq!(ask(&mut dpa, 5), [ConfigEffect::PowerAllocation]);
    assert_eq!(shown(&dpa), 0);
    assert_eq!(dpa.transition_latency(), Some(Duration::from_millis(1280)));
    dpa.settle();
    assert_eq!(shown(&dpa), 5);
    assert_eq!(dpa.transition_latency(), None);
    assert_eq!(ask(&mut dpa, 2), [ConfigEffect::PowerAllocation]);
    assert_eq!(shown(&dpa), 2, "upwards at once");
    dpa.settle();
    assert_eq!(shown(&dpa), 2);
}

#[test]
fn a_new_request_takes_over_one_under_way() {
    let mut dpa = pm174x();
    ask(&mut dpa, 9);
    assert_eq!(ask(&mut dpa, 4), [ConfigEffect::PowerAllocation]);
    assert_eq!(shown(&dpa), 0);
    dpa.settle();
    assert_eq!(shown(&dpa), 4);
}

#[test]
fn each_substate_has_one_of_two_latencies() {
    for (unit, milliseconds) in [(0, 1), (1, 10), (2, 100)] {
        let text = format!(
            "power = [3, 2, 1]\nlatency-unit = {unit}\nlatency = [7, 9]\nlatency-indicator = 0b100"
        );
        for (substate, latency) in [(1, 7), (2, 9)] {
            let mut dpa = dpa(&text).unwrap();
            ask(&mut dpa, substate);
            let expected = Duration::from_millis(milliseconds * latency);
            assert_eq!(
                dpa.transition_latency(),
                Some(expected),
                "unit {unit}, {substate}"
            );
        }
    }
}

#[test]
fn software_can_give_up_control_and_only_a_reset_gives_it_back() {
    for kind in ResetKind::ALL {
        let mut dpa = pm174x();
        write(&mut dpa, STATUS as u64 + 1, &[0x00]);
        assert!(dpa.status().substate_control_enabled(), "zero does nothing");
        write(&mut dpa, STATUS as u64 + 1, &[0x01]);
        assert!(!dpa.status().substate_control_enabled());
        assert_eq!(ask(&mut dpa, 3), []);
        dpa.settle();
        assert_eq!(shown(&dpa), 0);
        dpa.reset(kind);
        assert_eq!(read(&dpa, STATUS), 0x0000_0100, "{kind:?}");
    }
}

#[test]
fn substates_that_do_not_exist_are_ignored() {
    let mut dpa = dpa("power = [3, 2, 1]").unwrap();
    assert_eq!(ask(&mut dpa, 3), []);
    assert_eq!(ask(&mut dpa, 31), []);
    assert_eq!(ask(&mut dpa, 0), [], "it is there already");
    assert_eq!(dpa.transition_latency(), None);
}

#[test]
fn tables_that_break_a_rule_are_refused_by_key() {
    for (text, key) in [
        ("power = []", "power"),
        ("power = [1, 2]", "power"),
        ("power = [2, 1]\npower-scale = 4", "power-scale"),
        ("power = [2, 1]\nlatency-unit = 3", "latency-unit"),
    ] {
        assert_eq!(dpa(text).expect_err(text).key(), key, "{text}");
    }
    assert_eq!(
        dpa(&format!("power = {:?}", [1; 33]))
            .expect_err("33")
            .key(),
        "power"
    );
}
