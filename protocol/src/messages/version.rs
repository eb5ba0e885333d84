//! VERSION (1): the first message of a connection.
//!
//! | Off | Size | Field |
//! |---|---|---|
//! | 0 | 2 | major |
//! | 2 | 2 | minor |
//! | 4 | | JSON text with a NUL at its end, or nothing |
//!
//! The client proposes, the server answers with the version and the capabilities that hold from
//! then on: [`negotiate`].
//!
//! # Example
//!
//! ```
//! use vfio_user_protocol::Errno;
//! use vfio_user_protocol::messages::version::{MINOR, Proposal, ServerLimits, negotiate};
//!
//! let mut payload = Vec::new();
//! let proposal = Proposal::new(0, 7, None);
//! proposal.encode(&mut payload);
//! assert_eq!(Proposal::parse(&payload)?, proposal);
//! assert_eq!(negotiate(&proposal, &ServerLimits::default())?.minor, MINOR);
//! let refused = negotiate(&Proposal::new(1, 0, None), &ServerLimits::default());
//! assert_eq!(refused.unwrap_err().errno(), Errno::EINVAL);
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::{Command, Subject};
use crate::error::MessageError;
use crate::wire::{Put, Structure};

mod capabilities;
mod json;
mod negotiation;

pub use capabilities::{Capabilities, Migration, PeerLimits, TwinSocket};
pub use negotiation::{MAJOR, MAX_REPLY_TEXT, MINOR, ServerLimits, negotiate};

const REQUEST: Subject = Command::Version.request();
const REPLY: Subject = Command::Version.reply();
const SIZE: usize = 4;

/// Longest capability text in bytes, NUL included, that is looked at.
pub const MAX_TEXT: usize = 64 * 1024;

/// The proposal of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Major version.
    pub major: u16,
    /// Highest minor version that the client knows.
    pub minor: u16,
    /// Capabilities; `None` when there was no text.
    pub capabilities: Option<Capabilities>,
    /// Length of the client's text in bytes, NUL included. A client may have no more room than this
    /// for the reply's.
    pub text_size: usize,
}

impl Proposal {
    /// A proposal with these capabilities, or without any text.
    pub fn new(major: u16, minor: u16, capabilities: Option<Capabilities>) -> Self {
        let text_size = capabilities.as_ref().map_or(0, json::text_size);
        Self {
            major,
            minor,
            capabilities,
            text_size,
        }
    }

    /// Reads the proposal and checks every capability in it that this crate knows. Versions are for
    /// [`negotiate`] to judge.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let (major, minor, text) = split(REQUEST, payload)?;
        let capabilities = json::parse(REQUEST, text)?;
        Ok(Self {
            major,
            minor,
            capabilities,
            text_size: text.len(),
        })
    }

    /// Appends the proposal.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(self.major, self.minor, self.capabilities.as_ref(), out);
    }

    /// Returns the limits of the client, with defaults.
    pub fn limits(&self) -> PeerLimits {
        self.capabilities
            .as_ref()
            .map_or_else(PeerLimits::default, Capabilities::limits)
    }
}

/// The reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Major version.
    pub major: u16,
    /// The minor version that holds.
    pub minor: u16,
    /// The capabilities that hold; `None` when there is no text.
    pub capabilities: Option<Capabilities>,
}

impl Reply {
    /// Reads the reply.
    pub fn parse(payload: &[u8]) -> Result<Self, MessageError> {
        let (major, minor, text) = split(REPLY, payload)?;
        Ok(Self {
            major,
            minor,
            capabilities: json::parse(REPLY, text)?,
        })
    }

    /// Appends the reply.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(self.major, self.minor, self.capabilities.as_ref(), out);
    }

    /// Returns the limits of the server, with defaults.
    pub fn limits(&self) -> PeerLimits {
        self.capabilities
            .as_ref()
            .map_or_else(PeerLimits::default, Capabilities::limits)
    }
}

fn split(subject: Subject, payload: &[u8]) -> Result<(u16, u16, &[u8]), MessageError> {
    let (fields, text) = Structure::<SIZE>::split(subject, payload)?;
    Ok((fields.u16::<0>(), fields.u16::<2>(), text))
}

fn encode(major: u16, minor: u16, capabilities: Option<&Capabilities>, out: &mut Vec<u8>) {
    out.put_u16(major);
    out.put_u16(minor);
    if let Some(capabilities) = capabilities {
        json::encode(capabilities, out);
    }
}

#[cfg(test)]
mod tests;
