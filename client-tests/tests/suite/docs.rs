//! The pages under docs/behaviour are those that the tables make.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use client_tests::table::faults::{self, FaultTable};
use client_tests::table::page;
use client_tests::table::traps::Traps;
use pci_device_models::fault::kinds;

#[test]
fn pages_are_made_from_their_tables() {
    for name in page::PAGES {
        let made = page::make(name).unwrap();
        let kept = fs::read_to_string(page::path(name)).unwrap_or_default();
        assert!(
            made == kept,
            "docs/behaviour/{name}.md is not what the table makes; make it with \
             `cargo run -p client-tests --bin behaviour-docs`"
        );
    }
}

/// Each kind of fault and each occasion has a row in the table of faults.
#[test]
fn every_fault_has_a_row() {
    let table = FaultTable::load(faults::NAME).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(table.row.len() >= 35, "{} rows", table.row.len());
    let first = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let whats: BTreeSet<String> = table.row.iter().map(|row| first(&row.what)).collect();
    let missing = kinds().filter(|kind| !whats.contains(kind.name));
    let missing: Vec<&str> = missing.map(|kind| kind.name).collect();
    assert!(missing.is_empty(), "no row shows {missing:?}");
    // docs/faults.md lists the occasions in the first column of its first table.
    let page = include_str!("../../../docs/faults.md");
    let (_, occasions) = page.split_once("| occasion | occurs |").unwrap();
    let (occasions, _) = occasions.split_once("\n\n").unwrap();
    let cells = occasions.lines().filter_map(|line| line.split('|').nth(1));
    let named: BTreeSet<String> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(first)
        .collect();
    assert!(named.len() > 15, "{named:?}");
    let whens: BTreeSet<String> = table.row.iter().map(|row| first(&row.when)).collect();
    let missing: Vec<&String> = named.difference(&whens).collect();
    assert!(missing.is_empty(), "no row shows the occasions {missing:?}");
}

#[test]
fn every_trap_would_be_noticed() {
    let traps = Traps::load().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(traps.len(), 38);
}

/// `FILE::TEST` in docs/protocol.md names a test of the program `suite` or `alone`.
#[test]
fn tests_that_the_protocol_page_names_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let page = fs::read_to_string(folder.join("../../docs/protocol.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let named: Vec<(&str, &str)> = quoted.filter_map(|name| name.split_once("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named {
        let text = |program| {
            let path = folder.join(program).join(file).with_extension("rs");
            fs::read_to_string(path).ok()
        };
        let text = text("suite").or_else(|| text("alone")).unwrap_or_default();
        assert!(
            text.contains(&format!("fn {test}(")),
            "docs/protocol.md names {file}::{test}, which does not exist"
        );
    }
}

/// `PATH::TEST` in docs/security.md names a test by its file in this repository.
#[test]
fn tests_that_the_security_page_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let named: Vec<(&str, &str)> = quoted.filter_map(|name| name.split_once("::")).collect();
    assert!(named.len() > 15, "{named:?}");
    for (file, test) in named {
        let text = fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(
            text.contains(&format!("fn {test}(")),
            "docs/security.md names {file}::{test}, which does not exist"
        );
    }
}
