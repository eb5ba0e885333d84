use super::*;
use crate::capability::testing::{read, write};

/// 3.3 V, 12 V and thermal, each maximum and sustained.
const MX150: &str = "entries = [
    0x00078121, 0x00058121, 0x00038002, 0x00018002, 0x001f8006, 0x001d8006,
]";

fn budgeting(text: &str) -> Result<PowerBudgeting, PowerBudgetingConfigError> {
    PowerBudgeting::new(&toml::from_str(text).expect("a table of the tests"))
}

#[test]
fn data_follows_data_select_and_ends_with_zero() {
    let mut budgeting = budgeting(MX150).unwrap();
    let expected = [
        0x0007_8121,
        0x0005_8121,
        0x0003_8002,
        0x0001_8002,
        0x001f_8006,
        0x001d_8006,
        0,
        0,
    ];
    assert_eq!(read(&budgeting, 8), expected[0], "before the first write");
    for (select, entry) in (0..).zip(expected) {
        write(&mut budgeting, 4, &[select]);
        assert_eq!(read(&budgeting, 8), entry, "select {select}");
    }
    write(&mut budgeting, 4, &[0xff]);
    assert_eq!(read(&budgeting, 8), 0);
}

#[test]
fn only_data_select_can_be_written() {
    for (text, capability) in [("", 0), ("system-allocated = true", 1)] {
        let mut budgeting = budgeting(text).unwrap();
        write(&mut budgeting, 0, &[0xff; 16]);
        assert_eq!(read(&budgeting, 0), 0);
        assert_eq!(read(&budgeting, 4), 0xff);
        assert_eq!(read(&budgeting, 8), 0);
        assert_eq!(read(&budgeting, 12), capability);
    }
}

#[test]
fn a_reset_shows_the_first_entry_again() {
    for kind in ResetKind::ALL {
        let mut budgeting = budgeting(MX150).unwrap();
        write(&mut budgeting, 4, &[3]);
        budgeting.reset(kind);
        assert_eq!(read(&budgeting, 4), 0, "{kind:?}");
        assert_eq!(read(&budgeting, 8), 0x0007_8121, "{kind:?}");
    }
}

#[test]
fn inspection_decodes_the_entry_shown() {
    // Maximum draw in D0 from 3.3 V: 33 × 0.1 W.
    let inspected = budgeting(MX150).unwrap().inspect();
    assert_eq!(inspected["base_power"], 33);
    assert_eq!(inspected["data_scale"], 1);
    assert_eq!(inspected["pm_state"], 0);
    assert_eq!(inspected["condition"], 7);
    assert_eq!(inspected["rail"], 1);
}

#[test]
fn a_table_that_software_cannot_read_to_its_end_is_refused() {
    let error = budgeting("entries = [1, 0, 2]").expect_err("a hole");
    assert_eq!(error, PowerBudgetingConfigError::Zero { index: 1 });
    assert_eq!(error.key(), "entries");
    let entries = |len: usize| format!("entries = {:?}", vec![1; len]);
    assert!(budgeting(&entries(255)).is_ok());
    assert_eq!(
        budgeting(&entries(256)).expect_err("no end"),
        PowerBudgetingConfigError::TooMany { len: 256 }
    );
}
