//! The runner's messages about an invalid table, and about a function that breaks a rule.

use super::*;

/// Returns a table of one row with this case.
fn table(row: &str) -> Result<Table> {
    let text = format!(
        "title = ''\nintroduction = ''\nsection = [{{ rows = 'X', title = '' }}]\n\
         [choices]\nhot = ['platform.deepest-state=d3hot']\ncold = []\nmainline = []\nv4 = ['host.pm-dialect=v4']\n\
         [words]\n'engage in mainline' = ['feature set 3']\n'engage in v4' = ['feature set 3 data=1,0']\n'to D3hot' = ['cfg1 pm+4 = 03']\n\
         [[row]]\nid = 'X1'\ngiven = ''\nwhen = ''\nthen = ''\nsource = ''\n{row}\n"
    );
    Table::parse("a-table", &text)
}

fn shown(row: &str) -> Result<()> {
    let table = table(row)?;
    let row = &table.row[0];
    let mut dialects = row.dialects().into_iter();
    dialects.try_for_each(|dialect| table.show(row, dialect))
}

#[test]
fn a_row_that_holds_is_shown() {
    shown("profile = 'A'\nsteps = ['to D3hot', 'cfg2 pm+4 ? 000b', 'cfg1 pm+4 ? 3/3']").unwrap();
    shown("profile = 'A'\nsteps = ['fails EINVAL cfg4 1000', 'fails EINVAL cfg4 1000 = 0']")
        .unwrap();
    shown("profile = 'A B'\nset = ['identity.revision=7']\nsteps = ['cfg1 8 ? 07']").unwrap();
    shown(
        "dialect = 'both'\nprofile = 'low-power'\nwith = 'hot|cold'\n\
         steps = ['engage', 'status engaged ? true', 'fails EINVAL feature nothing 3']",
    )
    .unwrap();
    shown("profile = 'A+B'\nsteps = ['cfg2 2 ? d3c0', 'other cfg2 2 ? d3c1']").unwrap();
}

#[test]
fn a_row_that_does_not_hold_says_where_and_what_came() {
    for (row, says) in [
        (
            "profile = 'A'\nsteps = ['to D3hot', 'cfg2 pm+4 ? 0008']",
            "X1, profile A: step `cfg2 pm+4 ? 0008`: reads 000b at 44",
        ),
        (
            "profile = 'A'\nsteps = ['remember config', 'to D3hot', 'config unchanged']",
            "X1, profile A: step `config unchanged`: 044 was 00000008 and is 0000000b",
        ),
        (
            "profile = 'C'\nset = ['identity.revision=2']\nsteps = ['bind intx', 'signals intx ? 1']",
            "X1, profile C with identity.revision=2: step `signals intx ? 1`: it was signalled 0 times",
        ),
        (
            "profile = 'A'\nsteps = ['fails EINVAL cfg4 0']",
            "X1, profile A: step `fails EINVAL cfg4 0`: command 9 succeeded",
        ),
        (
            "profile = 'A'\nsteps = ['status counters.resets ? 1']",
            "X1, profile A: step `status counters.resets ? 1`: counters.resets is 0",
        ),
        (
            "profile = 'A'\nsteps = ['violations too-early ? 1']",
            "X1, profile A: step `violations too-early ? 1`: 0 were recorded",
        ),
        (
            "profile = 'A'\nsteps = ['events d-state ? 1']",
            "X1, profile A: step `events d-state ? 1`: 0 came",
        ),
        (
            "profile = 'low-power'\ndialect = 'v4'\nwith = 'hot'\nsteps = ['feature get 3 argsz=16 ? 1']",
            "X1, profile low-power with platform.deepest-state=d3hot host.pm-dialect=v4: \
             step `feature get 3 argsz=16 ? 1`: it brings 00000002",
        ),
        (
            "profile = 'A'\nsteps = ['fails EINVAL feature set 99']",
            "X1, profile A: step `fails EINVAL feature set 99`: failed with ENOTTY",
        ),
        (
            "profile = 'A'\nsteps = ['bind intx', 'bind req 1', 'signalled intx before req']",
            "X1, profile A: step `signalled intx before req`: one of them was not signalled: []",
        ),
        (
            "profile = 'A'\nsteps = ['post cfg2 0', 'answered ? false']",
            "X1, profile A: step `answered ? false`: answered is true",
        ),
        (
            "profile = 'A'\nsteps = ['map 1000 1000', 'mem 1000 ? 1']",
            "X1, profile A: step `mem 1000 ? 1`: 1000 holds 00000000",
        ),
    ] {
        let said = format!("{:#}", shown(row).unwrap_err());
        assert!(said.starts_with(says), "{said}");
    }
}

#[test]
fn a_table_that_is_wrong_says_where_and_what() {
    for (row, says) in [
        (
            "",
            "a-table: row X1: has neither steps nor a reason in `not-here`",
        ),
        (
            "not-here = 'no'\nprofile = 'A'\nsteps = ['cfg1 0 ? 0']",
            "a-table: row X1: has steps although it is not shown here",
        ),
        (
            "profile = 'A'\nsteps = ['cfg1 0 = 0']",
            "a-table: row X1: its steps expect nothing, so they cannot fail",
        ),
        (
            "profile = 'A'\nsteps = ['cfg3 0 ? 0']",
            "a-table: row X1: step `cfg3 0 ? 0`: an access has 1, 2 or 4 bytes, not 3",
        ),
        (
            "profile = 'A'\nsteps = ['cfg1 0 ? 0g']",
            "a-table: row X1: step `cfg1 0 ? 0g`: `0g` is not hexadecimal",
        ),
        (
            "profile = 'A'\nsteps = ['cfg1 0 ? 3/1']",
            "a-table: row X1: step `cfg1 0 ? 3/1`: the value has bits that the mask leaves out",
        ),
        (
            "profile = 'A'\nsteps = ['cfg1 tea+4 ? 0']",
            "a-table: row X1: step `cfg1 tea+4 ? 0`: `tea` is no capability that steps know",
        ),
        (
            "profile = 'A'\nsteps = ['soon cfg1 0 = 0']",
            "a-table: row X1: step `soon cfg1 0 = 0`: only a step with `?` can be repeated",
        ),
        (
            "profile = 'A'\nwith = 'cold|warm'\nsteps = ['cfg1 0 ? 0']",
            "a-table: row X1: `warm` is no choice",
        ),
        (
            "profile = 'A'\ncase = [{ steps = ['cfg1 0 ? 0'] }]",
            "a-table: row X1: has cases, so profile, with and set are theirs to say",
        ),
        (
            "case = [{ steps = ['cfg1 0 ? 0'] }]",
            "a-table: row X1: a case has no profile",
        ),
        (
            "profile = 'A'\nsteps = ['feature put 3']",
            "a-table: row X1: step `feature put 3`: `put` is no operation; there are get, set, probe, nothing",
        ),
        (
            "profile = 'A'\nsteps = ['brew some tea']",
            "a-table: row X1: step `brew some tea`: is no step",
        ),
    ] {
        let said = format!("{:#}", table(row).unwrap_err());
        assert!(said.starts_with(says), "{said}");
    }
}
