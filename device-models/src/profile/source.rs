//! The text behind a function's tables, for messages that name file, line and key.

use std::sync::Arc;

use super::build;
use super::document::{Document, Fault};
use super::error::{Mistake, ProfileError};
use super::overrides;
use super::tables::Tables;
use crate::function::FunctionParts;
use crate::slot::FunctionNumber;

/// The origin of a function's tables.
#[derive(Clone, Debug)]
pub(super) struct Source {
    origin: Origin,
    document: Document,
    /// The overrides. If there are any, the file alone is right.
    set: Vec<(String, String)>,
}

/// The file of a text.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The name of the file.
    pub(super) file: String,
    /// The place of the function in a card's file. `None` if the file describes this function only.
    pub(super) place: Option<CardPlace>,
}

/// The place of a function in a card's file.
#[derive(Clone, Debug)]
pub(super) struct CardPlace {
    pub(super) card: Arc<Document>,
    pub(super) number: FunctionNumber,
    /// The profile that the function starts from, which is valid by itself.
    pub(super) base: Option<String>,
}

impl CardPlace {
    /// Returns the path of the function's table as people write it.
    pub(super) fn shown(&self) -> String {
        format!("function.{}", self.number)
    }

    /// Moves a fault in the function's own text to its place in the card's file: the key there, or the
    /// base's name if the file does not have the key.
    fn locate(&self, fault: Fault) -> Fault {
        let table = self.shown();
        let Fault { key, message, .. } = fault;
        let full = join(&table, &key);
        if let Some(line) = self.card.line_of_shown(&full, &table) {
            return Fault {
                line,
                key: full,
                message,
            };
        }
        let (key, message) = match &self.base {
            Some(base) if key.is_empty() => (join(&table, "profile"), format!("{base}: {message}")),
            Some(base) => (join(&table, "profile"), format!("{base}: {key}: {message}")),
            None => (full, message),
        };
        let line = self.card.line_of_shown(&key, "");
        Fault {
            line: line.unwrap_or(1),
            key,
            message,
        }
    }
}

impl Source {
    /// Reads a text. `set` are the overrides that are in it already.
    pub(super) fn new(
        origin: &Origin,
        text: &str,
        set: &[(String, String)],
    ) -> Result<Self, ProfileError> {
        let document = Document::parse(text).map_err(|fault| fault_error(origin, set, fault))?;
        Ok(Self {
            origin: origin.clone(),
            document,
            set: set.to_vec(),
        })
    }

    pub(super) fn tables(&self) -> Result<Tables, ProfileError> {
        let tables = self.document.deserialize();
        tables.map_err(|fault| fault_error(&self.origin, &self.set, fault))
    }

    pub(super) fn parts(&self, tables: &Tables) -> Result<FunctionParts, ProfileError> {
        build::parts(tables).map_err(|mistake| self.error(mistake))
    }

    pub(super) fn error(&self, mistake: Mistake) -> ProfileError {
        fault_error(&self.origin, &self.set, self.document.locate(mistake))
    }
}

/// Returns a text after the overrides. Keys of `set` count from the function's table.
pub(super) fn overridden(
    origin: &Origin,
    text: &str,
    set: &[(String, String)],
) -> Result<String, ProfileError> {
    let whole = |message: String| ProfileError {
        origin: origin.file.clone(),
        line: None,
        key: String::new(),
        message,
    };
    let table: toml::Table = toml::from_str(text).map_err(|error| whole(error.to_string()))?;
    let mut root = toml::Value::Table(table);
    for (key, value) in set {
        overrides::apply(&mut root, key, value).map_err(|message| {
            let key = origin.full(key);
            ProfileError {
                origin: format!("{} with {}", origin.file, set_text(&key, value)),
                line: None,
                key,
                message,
            }
        })?;
    }
    toml::to_string(&root).map_err(|error| whole(error.to_string()))
}

impl Origin {
    pub(super) fn file(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
        }
    }

    /// Returns a key of the function's table as a key of the file.
    fn full(&self, key: &str) -> String {
        match &self.place {
            Some(place) => join(&place.shown(), key),
            None => key.to_owned(),
        }
    }
}

/// Creates the error for a fault in a text. If overrides made the text, the error names the
/// overrides nearest to the key at fault instead of a line, since the file alone is right.
pub(super) fn fault_error(origin: &Origin, set: &[(String, String)], fault: Fault) -> ProfileError {
    let file = &origin.file;
    if set.is_empty() {
        let Fault { line, key, message } = match &origin.place {
            Some(place) => place.locate(fault),
            None => fault,
        };
        return ProfileError {
            origin: file.clone(),
            line: Some(line),
            key,
            message,
        };
    }
    let Fault { key, message, .. } = fault;
    let shared = |path: &str| {
        let segments = path.split('.').zip(key.split('.'));
        segments.take_while(|(a, b)| a == b).count()
    };
    let most = set.iter().map(|(path, _)| shared(path)).max();
    let nearest: Vec<String> = set
        .iter()
        .filter(|(path, _)| Some(shared(path)) == most)
        .map(|(path, value)| set_text(&origin.full(path), value))
        .collect();
    ProfileError {
        origin: format!("{file} with {}", nearest.join(" ")),
        line: None,
        key: origin.full(&key),
        message,
    }
}

fn set_text(key: &str, value: &str) -> String {
    format!("--set {key}={value}")
}

fn join(path: &str, key: &str) -> String {
    match key {
        "" => path.to_owned(),
        key => format!("{path}.{key}"),
    }
}
