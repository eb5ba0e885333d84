use proptest::prelude::*;

use super::*;
use crate::capability::testing::{any_writes, dwords, write};

/// Keeps all state, cannot wake, has neither D1 nor D2.
const A: &str = "no-soft-reset = true";

/// Loses state, has every D-state, wakes from all of them and has a Data register.
const B: &str = r#"
    pme-from = ["d0", "d1", "d2", "d3hot", "d3cold"]
    d1 = true
    d2 = true
    data = [
        { select = 0, scale = 1, value = 0x1a },
        { select = 3, scale = 1, value = 0x05 },
        { select = 4, scale = 2, value = 0xc8 },
        { select = 8, scale = 3, value = 0xff },
    ]
"#;

/// Keeps all state and wakes from D0 and D3hot.
const C: &str = r#"
    no-soft-reset = true
    pme-from = ["d0", "d3hot"]
"#;

/// As `B` without D1.
const B_WITHOUT_D1: &str = r#"
    pme-from = ["d0", "d3hot"]
    d2 = true
"#;

fn config(text: &str) -> PmConfig {
    toml::from_str(text).expect("a table of the tests")
}

fn pm(text: &str) -> PowerManagement {
    PowerManagement::new(&config(text), true).expect("a capability of the tests")
}

fn write_pmcsr(pm: &mut PowerManagement, value: u16) -> Vec<ConfigEffect> {
    write(pm, PMCSR as u64, &value.to_le_bytes())
}

fn pmcsr(pm: &PowerManagement) -> u16 {
    pm.pmcsr().into()
}

#[test]
fn registers_at_reset_equal_those_of_silicon() {
    for (device, text, pmc, pmcsr, data) in [
        ("MX150", A, 0x0003, 0x0008, 0x00),
        (
            "PM174X",
            "no-soft-reset = true\nimmediate-readiness = true",
            0x0013,
            0x0008,
            0x00,
        ),
        (
            "RTL8168",
            "no-soft-reset = true\nd1 = true\nd2 = true\naux-current-ma = 375\n\
             pme-from = ['d0', 'd1', 'd2', 'd3hot', 'd3cold']",
            0xffc3,
            0x0008,
            0x00,
        ),
        (
            "Fiji",
            "no-soft-reset = true\nd1 = true\nd2 = true\n\
             pme-from = ['d1', 'd2', 'd3hot', 'd3cold']",
            0xf603,
            0x0008,
            0x00,
        ),
        (
            "82576",
            "dsi = true\npme-from = ['d0', 'd3hot', 'd3cold']\n\
             data = [{ select = 0, scale = 1, value = 0x1a }]",
            0xc823,
            0x2000,
            0x1a,
        ),
        ("AD102", C, 0x4803, 0x0008, 0x00),
        ("version 2", "version = 2", 0x0002, 0x0000, 0x00),
    ] {
        let pm = pm(text);
        assert_eq!(u16::from(pm.pmc()), pmc, "PMC of {device}");
        assert_eq!(u16::from(pm.pmcsr()), pmcsr, "PMCSR of {device}");
        assert_eq!(pm.registers.get::<u8>(DATA), data, "Data of {device}");
        assert_eq!(pm.registers.get::<u8>(6), 0, "PMCSR_BSE of {device}");
        assert_eq!(pm.registers.len(), 2, "{device}");
    }
}

/// One write to PMCSR: byte offset in it and data.
type Step = (u64, &'static [u8]);

#[test]
fn pmcsr_writes() {
    let word = |pm: &str, status: bool, steps: &[Step], expected: u16, name: &str| {
        let mut pm = self::pm(pm);
        if status {
            pm.set_pme_status();
        }
        for (offset, data) in steps {
            write(&mut pm, PMCSR as u64 + offset, data);
        }
        assert_eq!(pmcsr(&pm), expected, "{name}");
    };
    let d3hot: Step = (0, &[0x03, 0x00]);
    let d0: Step = (0, &[0x00, 0x00]);
    let d1: Step = (0, &[0x01, 0x00]);
    let d2: Step = (0, &[0x02, 0x00]);

    word(A, false, &[d3hot], 0x000b, "D3hot");
    word(A, false, &[d3hot, d0], 0x0008, "D3hot, D0");
    word(A, false, &[d1], 0x0008, "D1 does not exist");
    word(A, false, &[d2], 0x0008, "D2 does not exist");
    word(A, false, &[d3hot, d2], 0x000b, "D3hot, then D2");
    word(B, false, &[d1], 0x2001, "D1");
    word(B, false, &[d1, d2], 0x2002, "D1, D2");
    word(B, false, &[d1, d2, d3hot], 0x2003, "D1, D2, D3hot");
    word(B, false, &[d2, d1], 0x2002, "no way from D2 to D1");
    word(B, false, &[d3hot, d1], 0x2003, "no way from D3hot to D1");
    word(B, false, &[d3hot, d2], 0x2003, "no way from D3hot to D2");
    word(
        A,
        false,
        &[(0, &[0x00, 0x60])],
        0x0008,
        "Data_Scale is read-only",
    );
    word(A, false, &[d0], 0x0008, "No_Soft_Reset cannot be cleared");
    word(
        B,
        false,
        &[(0, &[0x08, 0x00])],
        0x2000,
        "No_Soft_Reset cannot be set",
    );
    word(
        A,
        false,
        &[(0, &[0x00, 0x01])],
        0x0008,
        "PME_En without PME",
    );
    word(
        A,
        false,
        &[(0, &[0x00, 0x1e])],
        0x0008,
        "Data_Select without Data",
    );
    word(C, false, &[(0, &[0x00, 0x01])], 0x0108, "PME_En");
    word(
        C,
        true,
        &[(0, &[0x00, 0x01]), d0],
        0x8008,
        "PME_Status needs a one",
    );
    word(
        C,
        true,
        &[(0, &[0x00, 0x80])],
        0x0008,
        "PME_Status is cleared by a one",
    );
    word(
        C,
        false,
        &[(0, &[0x00, 0x80])],
        0x0008,
        "PME_Status is not set by a one",
    );
    word(
        C,
        false,
        &[d3hot, (1, &[0x01])],
        0x010b,
        "upper byte leaves PowerState",
    );
    word(
        C,
        false,
        &[(0, &[0x03, 0x01]), (0, &[0x00])],
        0x0108,
        "lower byte leaves PME_En",
    );
    word(
        C,
        false,
        &[(0, &[0x03, 0x01, 0xff, 0xff])],
        0x010b,
        "whole DWORD",
    );
    word(
        C,
        true,
        &[(0, &[0x03, 0x81])],
        0x010b,
        "arm with a clean status and sleep",
    );
    word(
        B_WITHOUT_D1,
        false,
        &[(0, &[0x01, 0x01])],
        0x0100,
        "only PowerState is discarded",
    );
}

/// Linux's sequence from suspend to resume, write by write.
#[test]
fn a_wake_up_cycle() {
    let mut pm = pm(r#"
        no-soft-reset = true
        pme-from = ["d0", "d3hot", "d3cold"]
    "#);
    assert_eq!(pmcsr(&pm), 0x0008);
    write_pmcsr(&mut pm, 0x0103);
    assert_eq!(pmcsr(&pm), 0x010b);
    pm.set_pme_status();
    assert_eq!(pmcsr(&pm), 0x810b);
    write_pmcsr(&mut pm, 0x800b);
    assert_eq!(pmcsr(&pm), 0x000b);
    write_pmcsr(&mut pm, 0x0000);
    assert_eq!(pmcsr(&pm), 0x0008);
}

#[test]
fn data_follows_data_select_and_nothing_else_moves() {
    let mut pm = pm(B);
    for select in 0..16_u8 {
        assert_eq!(write_pmcsr(&mut pm, u16::from(select) << 9), []);
        let (scale, value) = match select {
            0 => (1, 0x1a),
            3 => (1, 0x05),
            4 => (2, 0xc8),
            8 => (3, 0xff),
            _ => (0, 0),
        };
        let expected = u16::from(select) << 9 | scale << 13;
        assert_eq!(pmcsr(&pm), expected, "select {select}");
        assert_eq!(pm.registers.get::<u8>(DATA), value, "select {select}");
    }
}

#[test]
fn effects_come_in_the_order_of_hardware() {
    let state = |from, to, transition| ConfigEffect::PowerState {
        from,
        to,
        transition,
    };
    use PowerState::{D0, D1, D2, D3hot};
    let mut c = pm(C);
    c.set_pme_status();
    assert_eq!(
        write_pmcsr(&mut c, 0x8103),
        [ConfigEffect::Pme, state(D0, D3hot, Transition::Legal)]
    );
    assert_eq!(write_pmcsr(&mut c, 0x0103), [], "nothing changes");
    assert_eq!(
        write_pmcsr(&mut c, 0x0101),
        [state(D3hot, D1, Transition::Unsupported)]
    );
    assert_eq!(
        write_pmcsr(&mut c, 0x0000),
        [ConfigEffect::Pme, state(D3hot, D0, Transition::Legal)]
    );
    let mut b = pm(B);
    write_pmcsr(&mut b, 0x0002);
    assert_eq!(
        write_pmcsr(&mut b, 0x0001),
        [state(D2, D1, Transition::Illegal)]
    );
}

#[test]
fn pme_context_survives_what_its_power_survives() {
    use ResetKind::{Flr, Fundamental, Hot, PowerOn, SoftD3hot};
    let d3cold = r#"pme-from = ["d3hot", "d3cold"]"#;
    for (text, aux_power, kind, kept) in [
        (d3cold, true, PowerOn, false),
        (d3cold, true, Fundamental, true),
        (d3cold, true, Hot, true),
        (d3cold, true, Flr, true),
        (d3cold, true, SoftD3hot, true),
        (d3cold, false, Fundamental, false),
        (d3cold, false, Hot, false),
        (d3cold, false, Flr, false),
        (d3cold, false, SoftD3hot, true),
        (C, true, PowerOn, false),
        (C, true, Fundamental, false),
        (C, true, Hot, false),
        (C, true, Flr, false),
        (C, true, SoftD3hot, true),
    ] {
        let mut pm = PowerManagement::new(&config(text), aux_power).unwrap();
        pm.set_pme_status();
        write_pmcsr(&mut pm, 0x0103);
        pm.reset(kind);
        let name = format!("{text:?}, aux power {aux_power}, {kind:?}");
        assert_eq!(pm.power_state(), PowerState::D0, "{name}");
        assert_eq!(pm.pmcsr().pme_en(), kept, "{name}");
        assert_eq!(pm.pmcsr().pme_status(), kept, "{name}");
    }
}

#[test]
fn every_reset_returns_data_select_and_with_it_data() {
    for kind in ResetKind::ALL {
        let mut pm = pm(B);
        write_pmcsr(&mut pm, 4 << 9);
        pm.reset(kind);
        assert_eq!(pmcsr(&pm), 0x2000, "{kind:?}");
        assert_eq!(pm.registers.get::<u8>(DATA), 0x1a, "{kind:?}");
    }
}

#[test]
fn without_auxiliary_power_pmc_offers_nothing_that_needs_it() {
    let config = config(
        r#"
        pme-from = ["d0", "d3hot", "d3cold"]
        aux-current-ma = 375
        "#,
    );
    let with = PowerManagement::new(&config, true).unwrap();
    assert_eq!(u16::from(with.pmc()), 0xc9c3);
    assert!(with.supports_pme_from(PowerState::D3cold));
    let without = PowerManagement::new(&config, false).unwrap();
    assert_eq!(u16::from(without.pmc()), 0x4803);
    assert!(!without.supports_pme_from(PowerState::D3cold));
}

#[test]
fn every_auxiliary_current_has_its_code() {
    for (code, ma) in [0, 55, 100, 160, 220, 270, 320, 375]
        .into_iter()
        .enumerate()
    {
        let pm = pm(&format!("pme-from = ['d3cold']\naux-current-ma = {ma}"));
        assert_eq!(usize::from(pm.pmc().aux_current()), code, "{ma} mA");
    }
}

#[test]
fn tables_that_break_a_rule_are_refused_by_key() {
    for (text, key, part) in [
        ("version = 0", "version", "version 0 "),
        ("version = 4", "version", "version 4 "),
        (
            "aux-current-ma = 50",
            "aux-current-ma",
            "no encoding for 50 mA",
        ),
        (
            "data = [{ select = 9, scale = 1, value = 1 }]",
            "data",
            "select 9 ",
        ),
        (
            "data = [{ select = 0, scale = 4, value = 1 }]",
            "data",
            "scale 4 ",
        ),
        (
            "data = [{ select = 8, scale = 1, value = 1 }, { select = 8, scale = 2, value = 1 }]",
            "data",
            "select 8 is given twice",
        ),
    ] {
        let error = PowerManagement::new(&config(text), true).expect_err(text);
        assert_eq!(error.key(), key, "{text}");
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    assert!(toml::from_str::<PmConfig>("no_soft_reset = true").is_err());
    assert!(
        toml::from_str::<PmConfig>("data = [{ select = 0, scale = 1, value = 1, w = 1 }]").is_err()
    );
}

#[test]
fn inspection_names_states() {
    let mut pm = pm(C);
    write_pmcsr(&mut pm, 0x0103);
    let inspected = pm.inspect();
    assert_eq!(inspected["power_state"], "D3hot");
    assert_eq!(inspected["pme_support"], json!(["D0", "D3hot"]));
    assert_eq!(inspected["pme_en"], true);
}

proptest! {
    #[test]
    fn read_only_bits_never_change(
        text in prop::sample::select(vec![(A, 0x0003), (B, 0xff03), (C, 0x0103), (B_WITHOUT_D1, 0x0103)]),
        writes in any_writes(8),
    ) {
        let (text, changeable) = text;
        let mut pm = pm(text);
        let before = dwords(&pm);
        for (offset, data) in writes {
            write(&mut pm, offset % 8, &data);
            let after = dwords(&pm);
            prop_assert_eq!(after[0], before[0]);
            prop_assert_eq!((after[1] ^ before[1]) & 0x00ff_ffff & !changeable, 0);
            prop_assert!(pm.supports(pm.power_state()));
            let point = pm.data.iter().find(|point| point.select == pm.pmcsr().data_select());
            let shown = (pm.pmcsr().data_scale(), pm.registers.get::<u8>(DATA));
            prop_assert_eq!(shown, point.map_or((0, 0), |point| (point.scale, point.value)));
        }
    }

    #[test]
    fn single_bytes_add_up_to_the_whole_write(status: bool, writes in any_writes(8)) {
        let (mut whole, mut bytes) = (pm(B), pm(B));
        for (offset, data) in writes {
            if status {
                whole.set_pme_status();
                bytes.set_pme_status();
            }
            write(&mut whole, offset, &data);
            for (at, byte) in data.iter().enumerate() {
                write(&mut bytes, offset + at as u64, &[*byte]);
            }
            prop_assert_eq!(dwords(&whole), dwords(&bytes));
        }
    }
}

#[test]
fn rules_that_silicon_breaks_are_departures() {
    for (text, key, part) in [
        ("pme-from = ['d1']", "pme-from", "set d1 = true"),
        ("d1 = true\npme-from = ['d2']", "pme-from", "set d2 = true"),
        (
            "aux-current-ma = 55",
            "aux-current-ma",
            "without PME from D3cold",
        ),
        (
            "aux-current-ma = 55\npme-from = ['d3cold']\n\
             data = [{ select = 0, scale = 1, value = 1 }]",
            "aux-current-ma",
            "exclude a Data register",
        ),
    ] {
        let config = config(text);
        PowerManagement::new(&config, true).expect(text);
        let departures = config.departures();
        assert_eq!(departures.len(), 1, "{text}");
        assert_eq!(departures[0].key(), key, "{text}");
        assert!(departures[0].to_string().contains(part), "{text}");
    }
    assert_eq!(config("pme-from = ['d0', 'd3hot']").departures(), []);
}
