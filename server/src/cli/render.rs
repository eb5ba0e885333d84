//! Formats answers of the control socket as text for people.

use std::fmt::Write;

use crate::control::Verb;
use crate::escape::escaped;
use serde_json::{Map, Value};

/// Returns the `ok` value of a verb as text, which is empty for a verb without a result.
pub fn answer(verb: &Verb, value: &Value) -> String {
    match (verb, value) {
        (Verb::Help(_), Value::Array(verbs)) => help(verbs),
        (_, value) => tree(value),
    }
}

/// Returns an event as one line: its name, then `key=value` pairs.
pub fn event(line: &str) -> String {
    let Ok(mut members) = serde_json::from_str::<Map<String, Value>>(line) else {
        return line.to_owned();
    };
    let mut text = members
        .remove("event")
        .map(|name| scalar(&name))
        .unwrap_or_default();
    for (key, value) in &members {
        // Writing to a String cannot fail.
        let _ = write!(text, " {key}={}", scalar(value));
    }
    text.push('\n');
    text
}

/// Returns `key: value` lines, with nested values indented.
fn tree(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(_) | Value::Array(_) => branches(value, 0, &mut text),
        leaf => {
            text.push_str(&scalar(leaf));
            text.push('\n');
        }
    }
    text
}

fn branches(value: &Value, depth: usize, text: &mut String) {
    let mut branch = |key: &str, value: &Value| {
        let indent = depth * 2;
        // Writing to a String cannot fail.
        if is_leaf(value) {
            let _ = writeln!(text, "{:indent$}{key}: {}", "", scalar(value));
        } else {
            let _ = writeln!(text, "{:indent$}{key}:", "");
            branches(value, depth + 1, text);
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| branch(key, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(position, value)| branch(&position.to_string(), value)),
        _ => {}
    }
}

/// Returns whether a value fits on the line of its key: a scalar, an empty value or a list of scalars.
fn is_leaf(value: &Value) -> bool {
    let plain = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.iter().all(plain),
        _ => true,
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => escaped(format_args!("{text}"), usize::MAX),
        Value::Object(members) if members.is_empty() => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) if is_leaf(value) => {
            items.iter().map(scalar).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// Returns one line per verb: its syntax, then its description.
fn help(verbs: &[Value]) -> String {
    let word = |value: &Value, key: &str| value.get(key).map(scalar).unwrap_or_default();
    let synopsis = |verb: &Value| {
        let mut text = word(verb, "verb");
        for argument in verb
            .get("arguments")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let values = argument.get("values").and_then(Value::as_array);
            let option = argument.get("option").map(scalar);
            let form = match values {
                _ if option.is_some() => option.unwrap_or_default(),
                Some(values) => values.iter().map(scalar).collect::<Vec<_>>().join("|"),
                None => word(argument, "name").to_uppercase(),
            };
            let required = argument.get("required") == Some(&Value::Bool(true));
            text.push_str(&if required {
                format!(" {form}")
            } else {
                format!(" [{form}]")
            });
        }
        text
    };
    let lines: Vec<(String, String)> = verbs
        .iter()
        .map(|verb| (synopsis(verb), word(verb, "about")))
        .collect();
    let width = lines.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    lines
        .iter()
        .map(|(left, right)| format!("{left:width$}  {right}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trees_are_indented() {
        let value = json!({
            "power_state": "D0",
            "bars": [{ "size": 4096 }],
            "path": [1, 2],
            "residency": { "D0": 5, "gone": null },
            "empty": {},
        });
        assert_eq!(
            tree(&value),
            "bars:\n  0:\n    size: 4096\nempty: none\npath: 1 2\npower_state: D0\n\
             residency:\n  D0: 5\n  gone: none\n"
        );
        assert_eq!(tree(&json!(true)), "true\n");
        assert_eq!(tree(&json!({})), "");
    }

    #[test]
    fn events_fit_on_a_line() {
        let forged = event("{\"event\":\"x\\n\\u001b[2J\"}\n");
        assert_eq!(forged, "x\\n\\u{1b}[2J\n");
        assert_eq!(
            event("{\"event\":\"d-state\",\"from\":\"D0\",\"to\":\"D3hot\"}\n"),
            "d-state from=D0 to=D3hot\n"
        );
        assert_eq!(event("?\n"), "?\n");
    }

    #[test]
    fn help_shows_arguments() {
        let text = help(&[
            json!({ "verb": "rail", "about": "Switch",
                    "arguments": [{ "name": "state", "required": true, "values": ["on", "off"] }] }),
            json!({ "verb": "inspect", "about": "Look",
                    "arguments": [{ "name": "path", "required": false }] }),
            json!({ "verb": "fail", "about": "Fail",
                    "arguments": [{ "name": "times", "required": false, "option": "--times N" }] }),
        ]);
        assert_eq!(
            text,
            "rail on|off       Switch\ninspect [PATH]    Look\nfail [--times N]  Fail\n"
        );
    }
}
