use crate::model::Registry;
use crate::profile::{Card, Profile};

const CARD: &str = include_str!("../../../profiles/nic-sriov-card.toml");

fn mistake(set: &[(&str, &str)]) -> String {
    let set = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let set: Vec<_> = set.collect();
    let registry = Registry::builtin();
    let card = Card::parse("card", CARD, &set, &|name| registry.base(name));
    card.map(drop).unwrap_err().to_string()
}

#[test]
fn the_card_has_a_physical_function_and_four_virtual_ones() {
    let registry = Registry::builtin();
    let card = Card::parse("card", CARD, &[], &|name| registry.base(name)).unwrap();
    let devices = card.device_set(&registry).unwrap();
    let virtual_functions = devices
        .slot()
        .functions()
        .map(|(_, function)| function.is_virtual());
    assert_eq!(
        virtual_functions.collect::<Vec<_>>(),
        [false, true, true, true, true]
    );
    let header = devices.slot().first().config().header();
    assert!(
        !header.is_multi_function(),
        "virtual functions do not count"
    );
}

#[test]
fn a_virtual_function_that_cannot_be_is_refused_with_key_and_reason() {
    for (key, value, at, reason) in [
        (
            "function.1.capabilities.pm",
            "{}",
            "function.1.capabilities.pm",
            "does not have this",
        ),
        (
            "function.1.rom.size",
            "0x800",
            "function.1.rom",
            "does not have this",
        ),
        (
            "function.1.identity.interrupt-pin",
            "A",
            "function.1.identity.interrupt-pin",
            "no INTx",
        ),
        (
            "function.1.identity.device-id",
            "0x10cb",
            "function.1.identity.device-id",
            "0x10ca",
        ),
        (
            "function.1.identity.vendor-id",
            "0x1234",
            "function.1.identity.vendor-id",
            "0x8086",
        ),
        (
            "function.1.identity.class",
            "0x030000",
            "function.1.identity.class",
            "0x20000",
        ),
        (
            "function.1.bar.0.size",
            "0x2000",
            "function.1.bar.0.index",
            "capabilities.sriov.bars",
        ),
        ("function.1.bar.0", "", "function.1.bar", "is missing"),
        (
            "function.0.capabilities.sriov.total-vfs",
            "3",
            "function.4.virtual-function-of",
            "at most",
        ),
        (
            "function.0.capabilities.sriov",
            "",
            "function.1.virtual-function-of",
            "no capabilities.sriov",
        ),
        (
            "function.1.virtual-function-of",
            "2",
            "function.1.virtual-function-of",
            "lower number",
        ),
        (
            "function.1.capabilities.pcie.device-capabilities",
            "0",
            "function.1.capabilities.pcie",
            "flr",
        ),
        ("function.1.count", "9", "function.1.count", "1 to 7"),
        ("function.1.number", "6", "function.6.count", "exceed 7"),
    ] {
        let found = mistake(&[(key, value)]);
        assert!(
            found.contains(at) && found.contains(reason),
            "{key}={value}: {found}"
        );
    }
}

#[test]
fn a_virtual_function_does_not_stand_alone() {
    let text = "name = \"alone\"\nvirtual-function-of = 0\n[identity]\nvendor-id = 1234\ndevice-id = 1\nclass = 0\n[capabilities.pcie]\n";
    let found = Profile::parse("alone", text, &[]).unwrap_err().to_string();
    assert!(found.contains("beside its physical function"), "{found}");
}
