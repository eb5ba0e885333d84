//! `docs/profiles.md` lists every key that a profile can have.

use pci_device_models::profile::Profile;

const REFERENCE: &str = include_str!("../../../docs/profiles.md");

const HEAD: &str = r#"
name = "x"
[identity]
vendor-id = 0x1234
device-id = 1
class = 0xff0000
"#;

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
