//! Why a line was not carried out.

use thiserror::Error;

use crate::state_file::StateFileError;

/// What goes back as `{"error": {"kind": …, "message": …}}`.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The line is no JSON.
    #[error("the line is no JSON: {0}")]
    Malformed(serde_json::Error),
    /// The line is JSON of another kind.
    #[error(r#"the line is no JSON object; a request looks like {{"id":1,"verb":"status"}}"#)]
    NotAnObject,
    /// The line does not end.
    #[error("the line is longer than {} bytes", super::MAX_LINE)]
    TooLong,
    /// `verb` is missing or no string.
    #[error(r#"the request has no "verb" string; the verbs are {}"#, known.join(", "))]
    NoVerb {
        /// Verbs that exist.
        known: Vec<String>,
    },
    /// There is no such verb.
    #[error("there is no verb '{verb}'; the verbs are {}", known.join(", "))]
    UnknownVerb {
        /// What was asked for.
        verb: String,
        /// Verbs that exist.
        known: Vec<String>,
    },
    /// The members of the request do not fit the verb.
    #[error("'{verb}' cannot take these arguments: {reason}")]
    Arguments {
        /// The verb.
        verb: String,
        /// What is wrong with them.
        reason: serde_json::Error,
    },
    /// The path names nothing in the inspect tree.
    #[error("there is no '{missing}' in {at}; {}", exists(known))]
    NoSuchPath {
        /// The first part that does not exist.
        missing: String,
        /// Where it was looked for.
        at: String,
        /// What exists there; empty for a plain value.
        known: Vec<String>,
    },
    /// Clients have the device open that is to become another.
    #[error(
        "clients that are connected: {connected}; restore before they come or after they have gone"
    )]
    InUse {
        /// How many.
        connected: u32,
    },
    /// Nothing can happen to a function that is stopped for migration.
    #[error("the function is stopped for migration; it can be looked at and saved")]
    Stopped,
    /// The file cannot be written, read or used.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
}

impl ControlError {
    /// A stable name for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::NotAnObject | Self::TooLong => "malformed",
            Self::NoVerb { .. } | Self::UnknownVerb { .. } => "unknown-verb",
            Self::Arguments { .. } => "bad-arguments",
            Self::NoSuchPath { .. } => "not-found",
            Self::InUse { .. } => "in-use",
            Self::Stopped => "stopped",
            Self::StateFile(_) => "state-file",
        }
    }
}

fn exists(known: &[String]) -> String {
    if known.is_empty() {
        "that is a value without parts".to_owned()
    } else {
        format!("there is {}", known.join(", "))
    }
}
