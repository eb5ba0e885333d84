//! Read-only verbs.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::query::Inspect;
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let path = Some("slot.rail".to_owned());
//! assert_eq!(control.ask(&Verb::Inspect(Inspect { path }))?, true);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ClockKind, ControlContext, ControlError, Done, FunctionStatus};

/// `status`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Status {}

impl Status {
    pub(super) fn apply(self, cx: &ControlContext<'_>) -> Done {
        let clock = if cx.clock.is_manual() {
            ClockKind::Manual
        } else {
            ClockKind::Monotonic
        };
        json!(FunctionStatus {
            name: cx.name.to_owned(),
            slot: cx.slot.to_owned(),
            number: cx.device.slot().number(),
            link: cx.device.slot().link(),
            clock,
            nanos: cx.now.as_nanos(),
            connection: *cx.stats,
            device: cx.device.status(cx.now),
        })
        .into()
    }
}

/// `inspect`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Inspect {
    /// Path of names and list indices from the root, separated by dots or slashes, such as slot.rail
    /// [default: the root]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Inspect {
    pub(super) fn apply(self, cx: &ControlContext<'_>) -> Result<Done, ControlError> {
        let tree = cx.device.inspect(cx.now);
        Ok(descend(tree, self.path.as_deref().unwrap_or_default())?.into())
    }
}

/// `violations`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Violations {}

impl Violations {
    pub(super) fn apply(self, cx: &ControlContext<'_>) -> Done {
        json!(cx.device.violations()).into()
    }
}

/// Returns the part of `tree` at `path`.
fn descend(mut tree: Value, path: &str) -> Result<Value, ControlError> {
    let mut at = String::new();
    for part in path.split(['.', '/']).filter(|part| !part.is_empty()) {
        let found = match &mut tree {
            Value::Object(members) => members.get_mut(part),
            Value::Array(items) => part.parse().ok().and_then(|n: usize| items.get_mut(n)),
            _ => None,
        };
        let Some(found) = found.map(Value::take) else {
            return Err(ControlError::NoSuchPath {
                missing: part.to_owned(),
                at: if at.is_empty() {
                    "the root".to_owned()
                } else {
                    format!("'{at}'")
                },
                known: parts_of(&tree),
            });
        };
        tree = found;
        if !at.is_empty() {
            at.push('.');
        }
        at.push_str(part);
    }
    Ok(tree)
}

fn parts_of(tree: &Value) -> Vec<String> {
    match tree {
        Value::Object(members) => members.keys().cloned().collect(),
        Value::Array(items) => match items.len() {
            0 => vec!["no elements".to_owned()],
            1 => vec!["0".to_owned()],
            n => vec![format!("0 to {}", n - 1)],
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_into_objects_and_lists() {
        let tree = json!({ "slot": { "rail": true, "bars": [{ "size": 4096 }, null] } });
        for (path, expected) in [
            ("", tree.clone()),
            ("slot.rail", json!(true)),
            ("/slot/rail/", json!(true)),
            ("slot/bars.0.size", json!(4096)),
            ("slot.bars.1", Value::Null),
        ] {
            assert_eq!(descend(tree.clone(), path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn a_path_to_nothing_lists_what_exists_there() {
        let tree = json!({ "slot": { "rail": true, "bars": [1, 2], "none": [] } });
        for (path, expected) in [
            ("slit", "there is no 'slit' in the root; it has slot"),
            (
                "slot.rial",
                "there is no 'rial' in 'slot'; it has bars, none, rail",
            ),
            (
                "slot.bars.2",
                "there is no '2' in 'slot.bars'; it has 0 to 1",
            ),
            (
                "slot.bars.-1",
                "there is no '-1' in 'slot.bars'; it has 0 to 1",
            ),
            (
                "slot.none.0",
                "there is no '0' in 'slot.none'; it has no elements",
            ),
            (
                "slot.rail.on",
                "there is no 'on' in 'slot.rail'; it is a scalar",
            ),
        ] {
            let error = descend(tree.clone(), path).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.kind(), "not-found");
        }
    }
}
