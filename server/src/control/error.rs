//! Errors of the control socket.

use pci_device_models::fault::FaultError;
use pci_device_models::host::HostError;
use thiserror::Error;

use crate::state_file::StateFileError;

/// An error reply: `{"error": {"kind": …, "message": …}}`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The line is not JSON.
    #[error("the line is not JSON: {0}")]
    Malformed(serde_json::Error),
    /// The line is JSON, but not an object.
    #[error(r#"the line is not a JSON object; a request looks like {{"id":1,"verb":"status"}}"#)]
    NotAnObject,
    /// The line exceeds the maximum length.
    #[error("the line is longer than {} bytes", super::MAX_LINE)]
    TooLong,
    /// `verb` is missing or not a string.
    #[error(r#"the request has no "verb" string; the verbs are {}"#, known.join(", "))]
    NoVerb {
        /// Verbs that exist.
        known: Vec<String>,
    },
    /// The verb does not exist.
    #[error("there is no verb '{verb}'; the verbs are {}", known.join(", "))]
    UnknownVerb {
        /// Requested verb.
        verb: String,
        /// Verbs that exist.
        known: Vec<String>,
    },
    /// The members of the request are invalid for the verb.
    #[error("invalid arguments of '{verb}': {reason}")]
    Arguments {
        /// The verb.
        verb: String,
        /// Cause.
        reason: serde_json::Error,
    },
    /// The path does not exist in the inspect tree.
    #[error("there is no '{missing}' in {at}; {}", exists(known))]
    NoSuchPath {
        /// The first part that does not exist.
        missing: String,
        /// Path of its parent.
        at: String,
        /// Members of the parent; empty for a scalar.
        known: Vec<String>,
    },
    /// The device model has no such input.
    #[error("the device has no input '{name}'; {}", inputs(known))]
    NoSuchInput {
        /// Requested input.
        name: String,
        /// Inputs of the model; empty for most models.
        known: &'static [&'static str],
    },
    /// Clients have the device open whose state is to be replaced.
    #[error("cannot restore while clients are connected: {connected}; disconnect them first")]
    InUse {
        /// Number of connected clients.
        connected: u32,
    },
    /// The function is stopped for migration and cannot be acted on.
    #[error("the function is stopped for migration; only queries and save work")]
    Stopped,
    /// The function is being saved or restored, which takes several steps.
    #[error("the function is being saved or restored; try again when that is done")]
    Busy,
    /// The host driver refuses the request.
    #[error("{}: {_0}", _0.errno())]
    Host(HostError),
    /// The fault cannot be set or removed.
    #[error(transparent)]
    Fault(#[from] FaultError),
    /// The file cannot be written, read or used.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
}

impl ControlError {
    /// Returns the stable name of the error for programs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::NotAnObject | Self::TooLong => "malformed",
            Self::NoVerb { .. } | Self::UnknownVerb { .. } => "unknown-verb",
            Self::Arguments { .. } => "bad-arguments",
            Self::NoSuchPath { .. }
            | Self::NoSuchInput { .. }
            | Self::Fault(FaultError::Unknown { .. }) => "not-found",
            Self::Fault(_) => "bad-arguments",
            Self::InUse { .. } => "in-use",
            Self::Stopped => "stopped",
            Self::Busy => "busy",
            Self::Host(_) => "host",
            Self::StateFile(_) => "state-file",
        }
    }
}

fn inputs(known: &[&str]) -> String {
    if known.is_empty() {
        "its model has no inputs".to_owned()
    } else {
        format!("the inputs are {}", known.join(", "))
    }
}

fn exists(known: &[String]) -> String {
    if known.is_empty() {
        "it is a scalar".to_owned()
    } else {
        format!("it has {}", known.join(", "))
    }
}
