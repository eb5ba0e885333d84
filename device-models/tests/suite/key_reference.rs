//! `docs/profiles.md` lists every key that a profile can have.

use pci_device_models::model::Registry;
use pci_device_models::profile::{Card, Profile};

const REFERENCE: &str = include_str!("../../../docs/profiles.md");

const HEAD: &str = r#"
name = "x"
[identity]
vendor-id = 0x1234
device-id = 1
class = 0xff0000
"#;

/// A card whose first function is complete.
const CARD: &str = r#"
name = "x"
[[function]]
[function.identity]
vendor-id = 0x1234
device-id = 1
class = 0xff0000
"#;

/// The keys of a table of a card, as the loader names them when it finds another one.
fn card_keys(table: &str) -> Vec<String> {
    let text = match table {
        "" => format!("no-such-key = 0{CARD}"),
        "[[function]]" => CARD.replace("[[function]]", "[[function]]\nno-such-key = 0"),
        "[function.identity]" => format!("{CARD}no-such-key = 0\n"),
        table => format!("{CARD}{table}\nno-such-key = 0\n"),
    };
    let bases = |name: &str| Registry::builtin().base(name);
    let error = Card::parse("x", &text, &[], &bases).expect_err("there is no such key");
    listed(table, &error.message)
}

/// The keys of a table, as the loader names them when it finds another one.
fn keys(table: &str) -> Vec<String> {
    let text = match table {
        "" => format!("no-such-key = 0{HEAD}"),
        "[identity]" => format!("{HEAD}no-such-key = 0\n"),
        table => format!("{HEAD}{table}\nno-such-key = 0\n"),
    };
    let message = Profile::parse("x", &text, &[])
        .expect_err("there is no such key")
        .message;
    listed(table, &message)
}

/// The keys that a refusal lists.
fn listed(table: &str, message: &str) -> Vec<String> {
    let (found, known) = message
        .split_once("; expected ")
        .unwrap_or_else(|| panic!("{table}: {message}"));
    assert_eq!(found, "there is no key `no-such-key`", "{table}");
    known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The part of the reference under the heading that names `table`.
fn section(table: &str) -> &'static str {
    let heading = if table.is_empty() {
        "# Top level".to_owned()
    } else {
        format!("# `{table}`")
    };
    let (_, rest) = REFERENCE
        .split_once(&heading)
        .unwrap_or_else(|| panic!("docs/profiles.md does not describe {table}"));
    rest.split("\n#").next().unwrap_or(rest)
}

#[test]
fn every_key_is_in_the_reference() {
    let capabilities = keys("[capabilities]");
    assert!(capabilities.contains(&"pm".to_owned()), "{capabilities:?}");
    let tables = capabilities
        .iter()
        .filter(|key| !key.ends_with("list"))
        .map(|key| match key.as_str() {
            "vendor" | "raw" => format!("[[capabilities.{key}]]"),
            key => format!("[capabilities.{key}]"),
        });
    let fixed = [
        "",
        "[identity]",
        "[[bar]]",
        "[[doorbell]]",
        "[[fault]]",
        "[rom]",
        "[platform]",
        "[host]",
        "[capabilities]",
    ];
    for table in fixed.map(str::to_owned).into_iter().chain(tables) {
        for key in keys(&table) {
            // Tables have sections of their own, and every capability has an offset.
            let elsewhere = (table.is_empty() && REFERENCE.contains(&format!("# `[{key}]`")))
                || (table.is_empty() && REFERENCE.contains(&format!("# `[[{key}]]`")))
                || REFERENCE.contains(&format!("# `[capabilities.{key}]`"))
                || REFERENCE.contains(&format!("# `[[capabilities.{key}]]`"))
                || (table.contains("capabilities.") && key == "offset");
            let listed = [format!("`{key}`"), format!("`\"{key}\"`")];
            assert!(
                elsewhere || listed.iter().any(|key| section(&table).contains(key)),
                "docs/profiles.md does not list {key} of {table}"
            );
        }
    }
}

#[test]
fn every_key_of_a_card_is_in_the_reference() {
    // Those of a card's own are in the part about cards, those of a function where a profile has them.
    let cards = part("## `[slot]`").to_owned() + part("## Cards");
    for table in ["", "[slot]", "[slot.port]", "[[slot.link]]"] {
        for key in card_keys(table) {
            let listed = [
                format!("`{key}`"),
                format!("`[[{key}]]`"),
                format!("`[{key}]`"),
            ];
            assert!(
                listed.iter().any(|key| cards.contains(key))
                    || cards.contains(&format!("slot.{key}")),
                "docs/profiles.md does not list {key} of {table} of a card"
            );
        }
    }
    for table in ["", "identity", "platform", "host"] {
        let of_card = match table {
            "" => "[[function]]".to_owned(),
            table => format!("[function.{table}]"),
        };
        let alone = match table {
            "" => String::new(),
            table => format!("[{table}]"),
        };
        let (mut of_card, mut alone) = (card_keys(&of_card), keys(&alone));
        of_card.sort();
        alone.sort();
        assert_eq!(
            of_card, alone,
            "{table}: a function has the keys of a profile"
        );
    }
    for key in ["number", "profile", "remove", "count"] {
        assert!(part("## Cards").contains(&format!("`{key}`")), "{key}");
    }
}

/// The part of the reference under a heading, with its smaller headings.
fn part(heading: &str) -> &'static str {
    let (_, rest) = REFERENCE.split_once(heading).expect("there is such a part");
    rest.split("\n## ").next().unwrap_or(rest)
}
