//! The messages of the harness about rows that are wrong, and about devices that differ between runs.

use super::*;

/// Returns a table of one row with these keys.
fn table(row: &str) -> Result<FaultTable> {
    FaultTable::parse(
        NAME,
        &format!(
            "title = ''\nintroduction = ''\nprofile = 'C'\nsection = [{{ rows = 'X', title = '' }}]\n\
         [choices]\nsteady = ['identity.revision=2']\n\
         [words]\n'memory on' = ['cfg2 4 = 0002']\n\
         [[row]]\nid = 'X1'\nname = 'late'\nclient = ''\nlinux = ''\nsource = ''\n{row}\n"
        ),
    )
}

fn shown(row: &str) -> Result<()> {
    let table = table(row)?;
    table.show(&table.row[0], None)
}

const LATE: &str = "when = 'reset flr first 1'\nwhat = 'not-ready 1ms'\n";

#[test]
fn a_row_that_holds_is_shown() {
    let steps = "steps = ['advance 2ms', 'ctl reset flr', 'restore', 'cfg2 0 ? ffff', 'advance 1ms', 'cfg2 0 ? 1234']";
    shown(&format!("{LATE}at = '2ms'\n{steps}")).unwrap();
    shown(&format!("{LATE}at = '2ms'\nwith = 'steady'\n{steps}")).unwrap();
    shown("when = 'now'\nwhat = 'not-ready 1ms'\nat = '0ms'\nsteps = ['restore', 'cfg2 0 ? ffff']")
        .unwrap();
}

#[test]
fn a_row_that_does_not_hold_says_where_and_what_came() {
    for (row, says) in [
        (
            "at = '1ms'\nsteps = ['ctl reset flr', 'restore', 'cfg2 0 ? ffff']",
            "X1, late: it strikes at [0ns]; `at` has [1ms]",
        ),
        (
            "at = '0ms'\nsteps = ['ctl reset flr', 'restore', 'cfg2 0 ? 1234']",
            "X1, late: fault in the profile: step `cfg2 0 ? 1234`: reads ffff at 0",
        ),
        (
            "at = '0ms'\nsteps = ['restore', 'ctl reset flr', 'cfg2 0 ? ffff']",
            "X1, late: saved and restored in the middle: step `restore`: the fault has not struck yet",
        ),
        (
            // The time of the server is no answer of the device.
            "at = '0ms'\nsteps = ['ctl reset flr', 'restore', 'ctl status', 'cfg2 0 ? ffff']",
            "X1, late: saved and restored in the middle: step `ctl status` brings",
        ),
    ] {
        let said = format!("{:#}", shown(&format!("{LATE}{row}")).unwrap_err());
        assert!(said.starts_with(says), "{said}");
    }
}

#[test]
fn a_table_that_is_wrong_says_where_and_what() {
    let steps = "steps = ['restore', 'cfg2 0 ? ffff']";
    for (row, says) in [
        (
            format!("{LATE}at = ''\nsteps = ['cfg2 0 ? ffff']"),
            "faults: row X1: has 0 steps `restore`; write one",
        ),
        (
            format!("{LATE}at = ''\nsteps = ['restore']"),
            "faults: row X1: its steps expect nothing, so they cannot fail",
        ),
        (
            format!("{LATE}at = ''\nsteps = ['restore', 'controller cfg2 0 ? ffff']"),
            "faults: row X1: a row of faults has no platform controller",
        ),
        (
            format!("{LATE}at = 'noon'\n{steps}"),
            "faults: row X1: 'noon' is not a duration",
        ),
        (
            format!("{LATE}at = ''\nwith = 'tea'\n{steps}"),
            "faults: row X1: `tea` is no choice",
        ),
        (
            format!("when = 'dma'\nwhat = 'stuck'\nat = ''\n{steps}"),
            "faults: row X1: \"stuck\" cannot happen at \"dma\"",
        ),
    ] {
        let said = format!("{:#}", table(&row).unwrap_err());
        assert!(said.starts_with(says), "{said}");
    }
}
