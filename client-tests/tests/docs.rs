//! The pages under docs/behaviour are those that the tables make.

use std::fs;

use client_tests::table::page;
use client_tests::table::traps::Traps;

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

#[test]
fn every_trap_would_be_noticed() {
    let traps = Traps::load().unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(traps.len(), 38);
}
