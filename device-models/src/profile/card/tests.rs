use super::*;
use crate::register::ResetKind;
use crate::time::Time;

const PAIR: &str = r#"name = "pair"
description = "two functions"

[slot]
aux-power = false

[[function]]
profile = "gpu-display"
identity.revision = 7

[[function]]
number = 3
profile = "gpu-audio"
remove = ["capabilities.msi", "capabilities.pcie"]
[function.capabilities.pm]
no-soft-reset = false
[[function.bar]]
index = 0
size = 0x8000
[[function.bar]]
index = 1
kind = "io"
size = 16
"#;

fn parse(text: &str, set: &[(&str, &str)]) -> Result<Card, ProfileError> {
    let set: Vec<_> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    let registry = Registry::builtin();
    Card::parse("pair.toml", text, &set, &|name| registry.base(name))
}

fn number(number: u8) -> FunctionNumber {
    number.try_into().unwrap()
}

fn byte(card: &Card, function: u8, offset: usize) -> u8 {
    let mut all = card.functions();
    let (_, profile) = all.find(|(at, _)| *at == number(function)).unwrap();
    profile.config_space()[offset]
}

#[test]
fn functions_are_profiles_with_changes() {
    let card = parse(PAIR, &[]).unwrap();
    assert_eq!((card.name(), card.description()), ("pair", "two functions"));
    let numbers: Vec<u8> = card.functions().map(|(number, _)| number.into()).collect();
    assert_eq!(numbers, [0, 3]);
    assert_eq!(byte(&card, 0, 8), 7, "the changed revision");
    assert_eq!(byte(&card, 3, 8), 0xa1, "the revision of the profile");
    assert_eq!(byte(&card, 3, 0x64) & 8, 0, "No_Soft_Reset");
    assert_eq!(byte(&card, 3, 0x61), 0, "MSI and PCI Express are removed");
    assert_eq!(byte(&card, 3, 0x14), 1, "BAR1 is new");
    let devices = card.device_set(&Registry::builtin()).unwrap();
    let numbers: Vec<u8> = devices.numbers().map(u8::from).collect();
    assert_eq!(numbers, [0, 3]);
    let second = devices.slot().function(number(3)).unwrap();
    let bar = second.config().header().bar(0).unwrap();
    assert_eq!(bar.size, 0x8000);
    assert!(second.config().msi().is_none());
}

#[test]
fn header_type_tells_that_there_are_several_functions() {
    let card = parse(PAIR, &[]).unwrap();
    assert_eq!((byte(&card, 0, 0xe), byte(&card, 3, 0xe)), (0x80, 0x80));
    let alone = "name = \"x\"\n[[function]]\nprofile = \"gpu-display\"\n";
    assert_eq!(byte(&parse(alone, &[]).unwrap(), 0, 0xe), 0);
}

#[test]
fn the_slot_decides_about_auxiliary_power() {
    for (set, aux) in [(&[][..], false), (&[("slot.aux-power", "true")], true)] {
        let card = parse(PAIR, set).unwrap();
        let mut devices = card.device_set(&Registry::builtin()).unwrap();
        devices.set_rail(Time::ZERO, false);
        let powered = devices.slot().functions().map(|(_, f)| f.is_powered());
        assert!(powered.into_iter().all(|powered| !powered));
        assert_eq!(card.aux_power, aux);
        devices.set_rail(Time::ZERO, true);
        devices.reset(Time::ZERO, ResetKind::Hot);
    }
}

#[test]
fn overrides_reach_the_card_and_its_functions() {
    let set = [
        ("function.3.identity.revision", "9"),
        ("function.3.bar.1", ""),
        ("function.5.profile", "xhci"),
        ("function.5.identity.revision", "3"),
        ("name", "changed"),
    ];
    let card = parse(PAIR, &set).unwrap();
    assert_eq!(card.name(), "changed");
    assert_eq!((byte(&card, 3, 8), byte(&card, 5, 8)), (9, 3));
    assert_eq!(byte(&card, 3, 0x14), 0, "BAR1 is gone");
    let card = parse(PAIR, &[("function.3", "")]).unwrap();
    assert_eq!(card.functions().count(), 1);
}

#[test]
fn a_single_function_is_a_card_of_its_own() {
    let text = Profile::builtin("nvme").unwrap();
    let card = parse(text, &[("identity.revision", "5")]).unwrap();
    assert_eq!((card.name(), byte(&card, 0, 8)), ("nvme", 5));
    assert!(card.single().is_some());
    assert!(parse(PAIR, &[]).unwrap().single().is_none());
}

#[test]
fn a_mistake_is_told_with_its_place_in_the_card() {
    let changed = |from: &str, to: &str| PAIR.replacen(from, to, 1);
    let mut wrong = Vec::new();
    for (text, expected) in [
        (
            changed("number = 3", "number = 8"),
            "pair.toml:12: function.8.number: this is no function number; choose 0 to 7",
        ),
        (
            changed("number = 3", "number = 0"),
            "pair.toml:12: function.0.number: there is a function 0 already; choose another number",
        ),
        (
            changed("gpu-audio", "pair-audio"),
            "pair.toml:13: function.3.profile: there is no profile 'pair-audio'",
        ),
        (
            changed(
                "profile = \"gpu-display\"\n",
                "number = 1\nprofile = \"gpu-display\"\n",
            ),
            "pair.toml:7: function: there is no function 0, which every slot has; add one",
        ),
        (
            changed("identity.revision = 7", "identity.revision = 700"),
            "pair.toml:9: function.0.identity.revision: invalid value: integer `700`; expected a number from 0 to 0xff",
        ),
        (
            changed("size = 0x8000", "size = 0x8001"),
            "pair.toml:19: function.3.bar.0.size: ",
        ),
        (
            changed("no-soft-reset = false", "colour = 1"),
            "pair.toml:16: function.3.capabilities.pm",
        ),
        (
            changed("[\"capabilities.msi\"", "[\"capabilities.msix\""),
            "pair.toml:14: function.3.remove.0: there is no msix to remove",
        ),
        (
            changed("[\"capabilities.msi\"", "[\"identity\""),
            "pair.toml:13: function.3.profile: gpu-audio: identity: is missing; add it",
        ),
        (
            changed("identity.revision = 7", "platform.aux-power = true"),
            "pair.toml:9: function.0.platform.aux-power: slot.aux-power decides this",
        ),
        (
            changed("aux-power = false", "aux = false"),
            "pair.toml:5: slot.aux: there is no key `aux`; expected ",
        ),
        (
            changed(
                "aux-power = false",
                "link = [{ consumer = 1, supplier = 0 }]",
            ),
            "pair.toml:5: slot.link: a link names function 1, which the slot does not have",
        ),
        (
            changed(
                "no-soft-reset = false",
                "data = [{ select = 8, scale = 1, value = 26 }]",
            ),
            "pair.toml:16: function.3.capabilities.pm.data: select 8 is the common logic, which function 0 has",
        ),
        (
            changed(
                "no-soft-reset = false",
                "[function.capabilities.pcie]\nlink-speed = 2",
            ),
            "pair.toml:16: function.3.capabilities.pcie: the link has",
        ),
    ] {
        let error = parse(&text, &[]).unwrap_err().to_string();
        if !error.contains(expected) {
            wrong.push((expected, error));
        }
    }
    for (key, value, expected) in [
        (
            "function.3.identity.revision",
            "700",
            "pair.toml with --set function.3.identity.revision=700: function.3.identity.revision: invalid",
        ),
        (
            "function.4.identity.revision",
            "7",
            "there is no function 4; set function.4.profile first",
        ),
        (
            "function.3.number",
            "9",
            "pair.toml with --set function.3.number=9: function.9.number: this is no",
        ),
        (
            "slot.colour",
            "1",
            "pair.toml with --set slot.colour=1: slot.colour: there is no key",
        ),
    ] {
        let error = parse(PAIR, &[(key, value)]).unwrap_err().to_string();
        if !error.contains(expected) {
            wrong.push((expected, error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_built_in_cards_are_whole() {
    let registry = Registry::builtin();
    for (name, classes) in [
        ("gpu-card", &[0x03_0000, 0x04_0300][..]),
        (
            "gpu-card-usb",
            &[0x03_0000, 0x04_0300, 0x0c_0330, 0x0c_8000],
        ),
    ] {
        let card = parse(registry.profile(name).unwrap(), &[]).unwrap();
        assert_eq!(card.name(), name);
        let devices = card.device_set(&registry).unwrap();
        let functions = devices.slot().functions();
        let class = |function: &crate::function::Function| {
            let mut dword = [0; 4];
            function.config().read(8, &mut dword);
            u32::from_le_bytes(dword) >> 8
        };
        let seen: Vec<u32> = functions.map(|(_, function)| class(function)).collect();
        assert_eq!(seen, classes);
        assert_eq!(devices.links().len(), classes.len() - 1);
    }
}

/// Data select 8 is the common logic of all functions, which function 0 of several has.
#[test]
fn the_power_of_the_common_logic_is_in_function_0_of_a_card() {
    let data = "[{ select = 8, scale = 1, value = 26 }, { select = 0, scale = 1, value = 9 }]";
    let only = "[{ select = 8, scale = 1, value = 26 }]";
    let pair = |data| parse(PAIR, &[("function.0.capabilities.pm.data", data)]).unwrap();
    let alone = |data| {
        let text = Profile::builtin("gpu-display").unwrap();
        parse(text, &[("capabilities.pm.data", data)]).unwrap()
    };
    for (card, select, expected) in [
        (pair(data), 8, 26),
        (pair(data), 0, 9),
        (pair(only), 8, 26),
        (alone(data), 8, 0),
        (alone(data), 0, 9),
        (alone(only), 8, 0),
    ] {
        let mut devices = card.device_set(&Registry::builtin()).unwrap();
        let mut slot = devices.first_mut();
        let word = u16::to_le_bytes(select << 9);
        let mut byte = [0];
        let config = vfio_user_protocol::vfio::RegionIndex::Config.number();
        slot.client_came(Time::ZERO).unwrap();
        slot.region_write(Time::ZERO, config, 0x64, &word).unwrap();
        slot.region_read(Time::ZERO, config, 0x67, &mut byte)
            .unwrap();
        assert_eq!(byte, [expected], "select {select}");
    }
}

#[test]
fn profiles_of_their_own_share_a_slot() {
    let text = Profile::builtin("testdev").unwrap();
    let profile = |set: &[(&str, &str)]| {
        let set: Vec<_> = set
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Profile::parse("testdev", text, &set).unwrap()
    };
    let card = Card::assemble(
        "two",
        [(number(2), profile(&[])), (number(0), profile(&[]))],
    );
    let card = card.unwrap();
    assert_eq!((byte(&card, 0, 0xe), byte(&card, 2, 0xe)), (0x80, 0x80));

    let without = profile(&[("platform.aux-power", "false")]);
    for (functions, expected) in [
        (vec![(number(1), profile(&[]))], "there is no function 0"),
        (
            vec![(number(0), profile(&[])); 2],
            "function 0 is given twice",
        ),
        (
            vec![(number(0), profile(&[])), (number(1), without)],
            "platform.aux-power: functions 0 and 1 differ",
        ),
    ] {
        let error = Card::assemble("two", functions).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn links_between_functions_are_those_of_the_file() {
    let text = |links: &str| {
        format!(
            r#"name = "pair"
[[function]]
profile = "gpu-display"
[[function]]
profile = "gpu-audio"
remove = ["capabilities.pcie"]
[slot]
link = [{links}]
"#
        )
    };
    let registry = Registry::builtin();
    let parse = |links| Card::parse("pair.toml", &text(links), &[], &|name| registry.base(name));
    let card = parse("{ consumer = 1, supplier = 0 }").unwrap();
    let devices = card.device_set(&registry).unwrap();
    let second = FunctionNumber::try_from(1).unwrap();
    let link = crate::host::DeviceLink::new(second, FunctionNumber::ZERO);
    assert_eq!(devices.links(), [link]);
    let error = parse("{ consumer = 2, supplier = 0 }").unwrap_err();
    assert_eq!((error.line, &*error.key), (Some(8), "slot.link"));
    assert!(error.message.contains("function 2"), "{error}");
    assert!(parse("{ consumer = 8, supplier = 0 }").is_err());
}
