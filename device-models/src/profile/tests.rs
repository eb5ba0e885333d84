mod mistakes;

use super::*;
use crate::function::{Area, Mappable, MappableBar};

fn parse(text: &str, set: &[(&str, &str)]) -> Result<Profile, ProfileError> {
    let set: Vec<_> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Profile::parse("my.toml", text, &set)
}

const HEAD: &str = r#"name = "x"

[identity]
vendor-id = 0x1234
device-id = 0x0001
class = 0xff0000
"#;

fn device_bytes(profile: &Profile, offset: usize, len: usize) -> &[u8] {
    &profile.config_space()[offset..offset + len]
}

#[test]
fn a_name_and_an_identity_are_a_whole_profile() {
    let profile = parse(HEAD, &[]).expect("it is valid");
    assert_eq!(profile.name(), "x");
    assert_eq!(profile.description(), "");
    assert_eq!(profile.client_memory(), ClientMemory::FileIo);
    assert_eq!(profile.config_space().len(), 256);
    assert_eq!(device_bytes(&profile, 0x34, 1), [0], "no list");
    profile
        .device_set(&Registry::builtin())
        .expect("no model is needed");
}

#[test]
fn config_space_is_as_large_as_the_capabilities_need() {
    for (text, size) in [
        ("", 256),
        ("[capabilities.pm]\n", 256),
        ("[capabilities.pcie]\n", 4096),
        ("[capabilities.aer]\n", 4096),
    ] {
        let profile = parse(&format!("{HEAD}{text}"), &[]).expect(text);
        assert_eq!(profile.config_space().len(), size, "{text}");
    }
    let profile = parse(HEAD, &[("identity.config-size", "4096")]).expect("it is valid");
    assert_eq!(profile.config_space().len(), 4096);
}

#[test]
fn offsets_that_are_left_out_are_found_around_those_that_are_given() {
    let text = format!(
        "{HEAD}[capabilities.pm]\n[capabilities.msi]\noffset = 0x40\n[capabilities.pcie]\n"
    );
    let profile = parse(&text, &[]).expect("it is valid");
    let config = profile.config_space();
    // MSI takes 16 bytes at 40h, PM comes after it, PCI Express after that.
    assert_eq!(
        [config[0x34], config[0x41], config[0x51], config[0x61]],
        [0x40, 0x50, 0x60, 0]
    );
    assert_eq!(
        [config[0x40], config[0x50], config[0x60]],
        [0x05, 0x01, 0x10]
    );
}

#[test]
fn an_unknown_model_is_told_where_it_is_named() {
    let profile =
        parse(&format!("model = \"toaster\"\n{HEAD}"), &[]).expect("it may be registered");
    let error = profile
        .device_set(&Registry::builtin())
        .expect_err("nobody did");
    let message = error.to_string();
    assert!(
        message.starts_with("my.toml:1: model: there is no model \"toaster\"; choose one of "),
        "{message}"
    );
    for name in Registry::builtin().names() {
        assert!(message.contains(name), "{message}");
    }
    let mut registry = Registry::builtin();
    registry.register("toaster", || Box::new(crate::model::None));
    profile.device_set(&registry).expect("now it is known");
}

#[test]
fn where_a_line_leads_is_said_of_models_that_have_one() {
    let place = |text: &str| {
        let profile = parse(&format!("{text}\n{HEAD}"), &[]).expect("keys are the model's");
        let backend = profile.backend(&Registry::builtin());
        backend.map(|backend| backend.map(|(_, place)| place))
    };
    assert_eq!(place("model = \"none\""), Ok(None));
    assert_eq!(place("model = \"serial\""), Ok(Some(BackendPlace::None)));
    let pty = place("model = { name = \"serial\", line = \"pty\" }");
    assert_eq!(pty, Ok(Some(BackendPlace::Pty(None))));
    for (model, message) in [
        (
            "{ name = \"serial\", line = \"x\" }",
            "model.line: \"x\" is no place for a line; ",
        ),
        ("{ name = \"serial\", line = 1 }", "model.line: "),
        (
            "{ name = \"serial\", line = \"pty\", x = 1 }",
            "model: there is no key `x`",
        ),
        (
            "{ name = \"none\", line = \"pty\" }",
            "model: there is no key `line`",
        ),
    ] {
        let error = place(&format!("model = {model}")).expect_err(model);
        let message = format!("my.toml:1: {message}");
        assert!(error.to_string().starts_with(&message), "{error}");
    }
}

#[test]
fn the_model_ram_makes_every_bar_memory() {
    let text =
        format!("model = \"ram\"\n{HEAD}[[bar]]\nindex = 0\nkind = \"memory32\"\nsize = 0x1000\n");
    let profile = parse(&text, &[]).expect("it is valid");
    let mut devices = profile
        .device_set(&Registry::builtin())
        .expect("it needs no code");
    let mut device = devices.first_mut();
    let now = crate::time::Time::ZERO;
    let config = vfio_user_protocol::vfio::RegionIndex::Config.number();
    device
        .region_write(now, config, 4, &[2, 0])
        .expect("Command");
    device
        .region_write(now, 0, 0x10, b"kept")
        .expect("inside BAR0");
    let mut data = [0; 4];
    device
        .region_read(now, 0, 0x10, &mut data)
        .expect("inside BAR0");
    assert_eq!(&data, b"kept");
}

#[test]
fn without_auxiliary_power_pme_from_d3cold_is_not_offered() {
    let text = format!("{HEAD}[capabilities.pm]\npme-from = [\"d0\", \"d3cold\"]\n");
    for (aux_power, pmc) in [("true", [0x03, 0x88]), ("false", [0x03, 0x08])] {
        let profile = parse(&text, &[("platform.aux-power", aux_power)]).expect("it is valid");
        assert_eq!(
            device_bytes(&profile, 0x42, 2),
            pmc,
            "aux-power = {aux_power}"
        );
    }
}

#[test]
fn overrides_set_make_and_remove_keys() {
    let testdev = Profile::builtin("testdev").expect("it is built in");
    let bar = |profile: &Profile, index: usize| {
        let function = profile.function(&Registry::builtin()).expect("known");
        function.bar(index).map(|bar| bar.size)
    };
    // What is set, and the sizes of BAR2, BAR4 and BAR5.
    for (set, sizes) in [
        (&[][..], [Some(0x10000), Some(0x1000), None]),
        (
            &[("bar.2.size", "0x20000")][..],
            [Some(0x20000), Some(0x1000), None],
        ),
        (
            &[("bar.5.kind", "memory32"), ("bar.5.size", "0x1000")],
            [Some(0x10000), Some(0x1000), Some(0x1000)],
        ),
        (
            &[("capabilities.msix", "")],
            [Some(0x10000), Some(0x1000), None],
        ),
        (
            &[("capabilities.msix", ""), ("bar.4", "")],
            [Some(0x10000), None, None],
        ),
        (
            &[("bar.2.size", "0x20000"), ("bar.2.size", "0x40000")],
            [Some(0x40000), Some(0x1000), None],
        ),
    ] {
        let profile = parse(testdev, set).unwrap_or_else(|error| panic!("{set:?}: {error}"));
        assert_eq!(
            [2, 4, 5].map(|index| bar(&profile, index)),
            sizes,
            "{set:?}"
        );
    }
    let profile = parse(
        testdev,
        &[
            ("capabilities.pm.pme-from", "[]"),
            ("capabilities.pm.d1", "true"),
        ],
    );
    assert_eq!(
        device_bytes(&profile.expect("it is valid"), 0x42, 2),
        [0x03, 0x02]
    );
    let set = [
        ("rom.size", "0x1000"),
        ("identity.interrupt-pin", "B"),
        ("name", "mine"),
    ];
    let profile = parse(testdev, &set).expect("it is valid");
    assert_eq!(device_bytes(&profile, 0x3d, 1), [2]);
    assert_eq!(profile.name(), "mine", "a bare word is a string");
}

#[test]
fn a_mistake_in_an_override_names_the_override() {
    let testdev = Profile::builtin("testdev").expect("it is built in");
    for (set, message) in [
        (
            &[("capabilities.pm.version", "4")][..],
            "my.toml with --set capabilities.pm.version=4: capabilities.pm.version: version 4 does not exist; PCI Express functions have 3, older ones 1 or 2",
        ),
        (
            &[("platform.delays", "off"), ("bar.2.size", "3")],
            "my.toml with --set bar.2.size=3: bar.2.size: size 0x3 is not a power of two; the next one is 0x4",
        ),
        (
            &[("bar.4", "")],
            "my.toml with --set bar.4=: capabilities.msix.table-bar: there is no BAR 4; memory BARs are 0, 2",
        ),
        (
            &[("identity.colour", "red")],
            "my.toml with --set identity.colour=red: identity.colour: there is no key `colour`; expected one of `vendor-id`, `device-id`, `class`, `revision`, `subsystem-vendor-id`, `subsystem-id`, `interrupt-pin`, `interrupt-line`, `min-gnt`, `max-lat`, `cardbus-cis`, `multi-function`, `immediate-readiness`, `config-size`",
        ),
        (
            &[("capabilities.pm.d1", "tru")],
            r#"my.toml with --set capabilities.pm.d1=tru: capabilities.pm.d1: invalid type: string "tru"; expected a boolean"#,
        ),
        (
            &[("identity..class", "1")],
            r#"my.toml with --set identity..class=1: identity..class: "identity..class" is not a key; write a path like identity.revision"#,
        ),
        (
            &[("name.first", "1")],
            "my.toml with --set name.first=1: name.first: there is nothing below the key before first; shorten the path",
        ),
        (
            &[("capabilities.ltr", "")],
            "my.toml with --set capabilities.ltr=: capabilities.ltr: there is no ltr to remove; give a value to set one",
        ),
        (
            &[("bar.two.size", "1")],
            r#"my.toml with --set bar.two.size=1: bar.two.size: "two" is not a number; the key before it is an array"#,
        ),
        (
            &[
                ("capabilities.vendor.0.bytes", "[1]"),
                ("capabilities.vendor.5.bytes", "[1]"),
            ],
            "my.toml with --set capabilities.vendor.5.bytes=[1]: capabilities.vendor.5.bytes: there is no item 5; the next one is 1",
        ),
    ] {
        let error = parse(testdev, set).expect_err("it is wrong");
        assert_eq!(error.to_string(), message, "{set:?}");
    }
}

#[test]
fn the_file_alone_must_be_right() {
    let broken = format!("{HEAD}[rom]\nsize = 1\n");
    let error = parse(&broken, &[("rom.size", "0x800")]).expect_err("the file is wrong");
    assert_eq!(error.line, Some(8));
}

proptest::proptest! {
    #[test]
    fn no_text_and_no_override_makes_the_loader_panic(
        text in "[a-z\\[\\]= .\"0-9x\n-]{0,200}",
        key in "[a-z0-9.-]{0,30}",
        value in ".{0,20}",
    ) {
        let _ = Profile::parse("any", &text, &[]);
        let testdev = Profile::builtin("testdev").expect("it is built in");
        let _ = Profile::parse("any", testdev, &[(key, value)]);
    }
}

#[test]
fn what_can_be_mapped_is_whole_or_in_ascending_areas_without_tables() {
    let area = |offset, size| Area { offset, size };
    type Set = [(&'static str, &'static str)];
    let cases: [(&Set, Option<Mappable>); 4] = [
        (&[("bar.2.mappable", "false")], None),
        (&[("bar.2.mappable", "true")], Some(Mappable::Whole)),
        (
            &[(
                "bar.2.mappable",
                "[{ offset = 0x3000, size = 0x1000 }, { offset = 0, size = 0x2000 }]",
            )],
            Some(Mappable::Areas(vec![area(0, 0x2000), area(0x3000, 0x1000)])),
        ),
        (
            &[
                ("bar.2.mappable", "true"),
                ("capabilities.msix.table-bar", "2"),
                ("capabilities.msix.table-offset", "0x1000"),
                ("capabilities.msix.pba-offset", "0xfff8"),
            ],
            Some(Mappable::Areas(vec![area(0, 0x1000), area(0x2000, 0xd000)])),
        ),
    ];
    for (set, expected) in cases {
        let text = Profile::builtin("testdev").unwrap();
        let function = parse(text, set)
            .unwrap()
            .function(&Registry::builtin())
            .unwrap();
        let expected = expected.map(|memory| MappableBar {
            bar: 2,
            memory,
            largest: 0x1_0000,
        });
        assert_eq!(function.mappable_bars(), expected.as_slice(), "{set:?}");
    }
}
