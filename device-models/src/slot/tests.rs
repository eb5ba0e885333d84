use super::*;
use crate::effect::{Effect, FunctionEvent};
use crate::fault::Fault;
use crate::model::Registry;
use crate::power::PowerState;
use crate::profile::Profile;

const COMMAND: u64 = 0x04;

fn second() -> FunctionNumber {
    FunctionNumber::try_from(1).unwrap()
}

fn function(profile: &str) -> Function {
    let text = Profile::builtin(profile).unwrap();
    let profile = Profile::parse(profile, text, &[]).unwrap();
    profile.function(&Registry::builtin()).unwrap()
}

/// A display with its audio function.
fn card() -> Slot {
    Slot::new(function("gpu-display"), true).with_function(second(), function("gpu-audio"))
}

fn states(slot: &Slot) -> Vec<PowerState> {
    let functions = slot.functions();
    functions
        .map(|(_, function)| function.power_state())
        .collect()
}

#[test]
fn the_rail_takes_both_functions_down_and_brings_both_back() {
    let (mut slot, now) = (card(), Time::ZERO);
    slot.of_function(second())
        .unwrap()
        .function_mut()
        .config_write(now, COMMAND, &[6, 0]);
    slot.set_rail(now, false);
    assert_eq!(states(&slot), [PowerState::D3cold; 2]);
    assert!(!slot.rail_on());

    // One tree has the slot once and both functions, and makes the same slot of another one.
    let saved = slot.save(now);
    assert_eq!(saved["rail_on"], false);
    assert_eq!(saved["functions"].as_object().unwrap().len(), 2);
    let mut other = card();
    other.restore(now, &saved).unwrap();
    assert_eq!(states(&other), [PowerState::D3cold; 2]);
    assert_eq!(other.save(now), saved);

    other.set_rail(now, true);
    assert_eq!(states(&other), [PowerState::D0; 2]);
    for (_, function) in other.functions() {
        assert!(!function.config().header().command().memory_space_enable());
        assert_eq!(function.counters().resets, 1);
    }
}

#[test]
fn a_function_switches_the_rail_of_all() {
    let (mut slot, now) = (card(), Time::ZERO);
    slot.of_function(second()).unwrap().set_rail(now, false);
    assert_eq!(states(&slot), [PowerState::D3cold; 2]);
    slot.of_first().set_rail(now, true);
    assert_eq!(states(&slot), [PowerState::D0; 2]);
    slot.of_function(second()).unwrap().power_cycle(now);
    for (_, function) in slot.functions() {
        assert_eq!(function.counters().resets, 2);
    }
}

#[test]
fn resets_from_above_reach_all_functions_and_only_with_power() {
    let (mut slot, now) = (card(), Time::ZERO);
    slot.reset(now, ResetKind::Hot);
    slot.of_function(second())
        .unwrap()
        .reset(now, ResetKind::Fundamental);
    let resets = |slot: &Slot| -> Vec<u32> {
        let functions = slot.functions();
        functions
            .map(|(_, function)| function.counters().resets)
            .collect()
    };
    assert_eq!(resets(&slot), [2, 2]);
    slot.set_rail(now, false);
    slot.reset(now, ResetKind::Hot);
    assert_eq!(resets(&slot), [2, 2]);
}

#[test]
fn a_dead_function_stays_down_alone_until_it_is_healed() {
    let (mut slot, now) = (card(), Time::ZERO);
    let fault = Fault::new("power-on", "gone until-power-off").unwrap();
    slot.of_first()
        .function_mut()
        .add_fault(now, fault)
        .unwrap();
    slot.set_rail(now, false);
    slot.set_rail(now, true);
    assert_eq!(states(&slot), [PowerState::D3cold, PowerState::D0]);
    assert!(slot.of_first().is_dead());
    assert!(!slot.of_function(second()).unwrap().is_dead());
    slot.of_first().function_mut().clear_faults(now);
    assert_eq!(states(&slot), [PowerState::D0; 2]);
}

#[test]
fn only_functions_that_are_there_can_be_picked_out() {
    let mut slot = card();
    let numbers: Vec<u8> = slot.functions().map(|(number, _)| number.into()).collect();
    assert_eq!(numbers, [0, 1]);
    for number in FunctionNumber::ALL {
        let there = u8::from(number) < 2;
        assert_eq!(slot.function(number).is_some(), there, "{number}");
        let picked = slot.of_function(number);
        assert_eq!(picked.map(|slot| slot.number()), there.then_some(number));
    }
    assert!(FunctionNumber::try_from(8).is_err());
}

#[test]
fn auxiliary_power_is_the_slots() {
    let now = Time::ZERO;
    for auxiliary in [false, true] {
        let mut slot = Slot::new(function("nic"), auxiliary);
        let pmcsr = 0x44;
        slot.of_first()
            .function_mut()
            .config_write(now, pmcsr, &[0, 1]);
        slot.set_rail(now, false);
        slot.of_first().function_mut().pme_event(now);
        let effects = std::iter::from_fn(|| slot.of_first().function_mut().next_effect());
        let wakes = effects
            .filter(|effect| {
                matches!(
                    effect,
                    Effect::Event(FunctionEvent::Wake { asserted: true })
                )
            })
            .count();
        assert_eq!(wakes, usize::from(auxiliary));
    }
}

#[test]
fn a_tree_of_other_functions_is_refused() {
    let now = Time::ZERO;
    let mut slot = card();
    let alone = Slot::new(function("gpu-display"), true).save(now);
    let error = slot.restore(now, &alone).unwrap_err();
    assert!(
        error.to_string().contains("functions 0, here are 0, 1"),
        "{error}"
    );

    // One function of several is restored without touching the other, as long as the rail is as it was.
    let save = |slot: &Slot| save(slot.power(), slot.functions().take(1), now, Ram::Inside);
    let saved = save(&slot);
    slot.of_first().restore(now, &saved).unwrap();
    slot.set_rail(now, false);
    let error = slot.of_first().restore(now, &saved).unwrap_err();
    assert!(error.to_string().contains("other functions"), "{error}");
}

#[test]
fn the_link_sleeps_when_all_functions_do() {
    let mut slot = Slot::new(function("gpu-display"), true);
    let second = FunctionNumber::try_from(1).unwrap();
    slot = slot.with_function(second, function("gpu-audio"));
    let sleep = |slot: &mut Slot, number, bits: u8| {
        let mut seen = slot.of_function(number).unwrap();
        seen.function_mut().config_write(Time::ZERO, 0x64, &[bits]);
        slot.link()
    };
    assert_eq!(sleep(&mut slot, FunctionNumber::ZERO, 3), LinkState::L0);
    assert_eq!(sleep(&mut slot, second, 3), LinkState::L1);
    slot.set_rail(Time::ZERO, false);
    assert_eq!(slot.link(), LinkState::L2, "auxiliary power is on");
    slot.set_rail(Time::ZERO, true);
    assert_eq!(slot.link(), LinkState::L0);
    assert_eq!(sleep(&mut slot, FunctionNumber::ZERO, 3), LinkState::L0);
}
