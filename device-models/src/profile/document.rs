//! A profile's text with the place of every key.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Mistake;

/// A TOML text and the places of its keys.
#[derive(Clone, Debug)]
pub(super) struct Document {
    text: String,
    /// The nodes: the root first, every parent before its children.
    nodes: Vec<Node>,
}

/// A key with its value.
#[derive(Clone, Debug)]
struct Node {
    /// Path with dots. Items of arrays count from 0.
    path: String,
    /// The path as people write it, which names a BAR by its index.
    shown: String,
    key: Range<usize>,
    value: Range<usize>,
}

/// A mistake with its place in the text.
#[derive(Debug)]
pub(super) struct Fault {
    /// Line, counted from 1.
    pub line: usize,
    /// Path of the key as people write it.
    pub key: String,
    pub message: String,
}

impl Document {
    /// Reads the text as TOML.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let root = DeTable::parse(text).map_err(|error| Fault {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            key: String::new(),
            message: format!("not TOML: {}", remedy_apart(error.message())),
        })?;
        let mut nodes = vec![Node {
            path: String::new(),
            shown: String::new(),
            key: 0..0,
            value: root.span(),
        }];
        collect_table(root.get_ref(), "", "", &mut nodes);
        Ok(Self {
            text: text.to_owned(),
            nodes,
        })
    }

    /// Reads the tables into `T`.
    pub(super) fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let shown = self.shown_at(&span);
            let message = error.message();
            let missing = message
                .strip_prefix("missing field `")
                .and_then(|rest| rest.strip_suffix('`'));
            let (key, message) = match missing {
                Some(name) => (join(shown, name), "is missing; add it".to_owned()),
                None => (shown.to_owned(), remedy_apart(message)),
            };
            Fault {
                line: line_of(&self.text, span.start),
                key,
                message,
            }
        })
    }

    /// Finds the place of a mistake: its key, or the nearest table around a key that does not
    /// exist.
    pub(super) fn locate(&self, mistake: Mistake) -> Fault {
        let Mistake { key, message } = mistake;
        let mut path = key.as_str();
        loop {
            if let Some(node) = self.nodes.iter().find(|node| node.path == path) {
                return Fault {
                    line: line_of(&self.text, node.key.start),
                    key: format!("{}{}", node.shown, &key[path.len()..]),
                    message,
                };
            }
            path = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
    }

    /// Returns the line of the key that people write as `shown`, or of the nearest table around it that
    /// is below the table `above`.
    pub(super) fn line_of_shown(&self, shown: &str, above: &str) -> Option<usize> {
        let mut shown = shown;
        while shown.len() > above.len() {
            if let Some(node) = self.nodes.iter().find(|node| node.shown == shown) {
                return Some(line_of(&self.text, node.key.start));
            }
            shown = shown.rsplit_once('.')?.0;
        }
        None
    }

    /// Returns the path, as people write it, of the key that contains a span of the text, or an
    /// empty path for the whole text.
    fn shown_at(&self, span: &Range<usize>) -> &str {
        let exact = |node: &&Node| node.key == *span || node.value == *span;
        let around = |node: &&Node| node.value.start <= span.start && span.end <= node.value.end;
        let inner = self.nodes.iter().rev().filter(around);
        self.nodes
            .iter()
            .rev()
            .find(exact)
            .or_else(|| inner.min_by_key(|node| node.value.len()))
            .map_or("", |node| &node.shown)
    }
}

fn collect_table(table: &DeTable<'_>, path: &str, shown: &str, nodes: &mut Vec<Node>) {
    for (key, value) in table {
        let (path, shown) = (join(path, key.get_ref()), join(shown, key.get_ref()));
        collect(key.span(), value, path, shown, nodes);
    }
}

fn collect(
    key: Range<usize>,
    value: &Spanned<DeValue<'_>>,
    path: String,
    shown: String,
    nodes: &mut Vec<Node>,
) {
    nodes.push(Node {
        path: path.clone(),
        shown: shown.clone(),
        key,
        value: value.span(),
    });
    match value.get_ref() {
        DeValue::Table(table) => collect_table(table, &path, &shown, nodes),
        DeValue::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                let name = super::identifier(&path).and_then(|key| number_of(item, key));
                let name = name.unwrap_or_else(|| position.to_string());
                let path = join(&path, &position.to_string());
                collect(item.span(), item, path, join(&shown, &name), nodes);
            }
        }
        _ => {}
    }
}

/// Returns the number that the table `item` has as `key`.
fn number_of(item: &Spanned<DeValue<'_>>, key: &str) -> Option<String> {
    let number = item.get_ref().as_table()?.get(key)?;
    Some(number.get_ref().as_integer()?.as_str().to_owned())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// Separates the remedy from the mistake, as the project's own messages do.
pub(super) fn remedy_apart(message: &str) -> String {
    let message = message
        .replace("unknown field", "there is no key")
        .replace("unknown variant", "unknown value");
    let Some((wrong, right)) = message.split_once(", expected ") else {
        return message;
    };
    let right = match right {
        "u8" => "a number from 0 to 0xff",
        "u16" => "a number from 0 to 0xffff",
        "u32" => "a number from 0 to 0xffffffff",
        "u64" => "a number from 0 on",
        right => right,
    };
    format!("{wrong}; expected {right}")
}
