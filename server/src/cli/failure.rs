//! Failures of a run and their exit codes.

use std::fmt;
use std::process::ExitCode;

use crate::escape::escaped;
use crate::listen::ListenError;
use crate::sandbox::SandboxError;
use crate::server::ServerError;
use pci_device_models::profile::ProfileError;

/// Maximum bytes of a message at run time.
const MAX_TEXT: usize = 8192;

pub const RUNTIME: u8 = 1;
pub const USAGE: u8 = 2;
pub const PROFILE: u8 = 3;
pub const SOCKET: u8 = 4;

/// The reason why the program ends without success.
#[derive(Debug)]
pub enum Failure {
    /// A failure at run time.
    Runtime(anyhow::Error),
    /// The command line is invalid.
    Usage(String),
    /// A profile is invalid or does not exist.
    Profile(String),
    /// A socket cannot be opened or reached.
    Socket(String),
}

impl Failure {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Runtime(_) => RUNTIME,
            Self::Usage(_) => USAGE,
            Self::Profile(_) => PROFILE,
            Self::Socket(_) => SOCKET,
        }
        .into()
    }
}

impl Failure {
    /// Returns the message for standard error. A saved state and the answer of a server may have text of
    /// others in it, which a message at run time shows escaped.
    pub fn text(&self) -> String {
        match self {
            Self::Runtime(error) => escaped(format_args!("{error:#}"), MAX_TEXT),
            told => told.to_string(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runtime(error) => write!(f, "{error:#}"),
            Self::Usage(text) | Self::Profile(text) | Self::Socket(text) => f.write_str(text),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        // The message already contains that of its source; `{:#}` would print it twice.
        Self::Runtime(anyhow::Error::msg(error.to_string()))
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::Runtime(anyhow::Error::msg(error.to_string()))
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        Self::Socket(error.to_string())
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Self::Profile(error.to_string())
    }
}
