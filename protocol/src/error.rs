//! Errors of malformed payloads.

use crate::command::Subject;
use crate::errno::Errno;

/// A malformed message: the message, the field, the value found and the valid values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The payload ends inside its fixed structure.
    #[error("{subject}: {actual} bytes came, the structure has {needed}")]
    Short {
        /// The message.
        subject: Subject,
        /// Bytes received.
        actual: usize,
        /// Bytes of the structure.
        needed: usize,
    },
    /// The variable part is not as long as the fixed part says.
    #[error("{subject}: {field} is {actual} bytes long, it has to be {expected}")]
    Length {
        /// The message.
        subject: Subject,
        /// The variable part.
        field: &'static str,
        /// Its length in bytes.
        actual: usize,
        /// The length that the fixed part states.
        expected: u64,
    },
    /// `argsz` is smaller than what the message itself needs.
    #[error("{subject}: argsz is {argsz}, it has to be at least {least}")]
    Argsz {
        /// The message.
        subject: Subject,
        /// The value found.
        argsz: u32,
        /// The smallest valid value.
        least: u64,
    },
    /// A field has a value that the message can never have.
    #[error("{subject}: {field} is {value:#x}, it has to be {expected}")]
    Field {
        /// The message.
        subject: Subject,
        /// The field.
        field: &'static str,
        /// The value found.
        value: u64,
        /// The valid values.
        expected: &'static str,
    },
    /// A range of offsets or addresses runs past the end of its number space.
    #[error(
        "{subject}: {field} {start:#x} + {length:#x} wraps around, the end has to stay within the field's width"
    )]
    Wraps {
        /// The message.
        subject: Subject,
        /// The range.
        field: &'static str,
        /// Its first element.
        start: u64,
        /// Its length.
        length: u64,
    },
    /// The number of file descriptors does not fit the message.
    #[error("{subject}: {actual} file descriptors came, there have to be {expected}")]
    Descriptors {
        /// The message.
        subject: Subject,
        /// Descriptors received.
        actual: usize,
        /// The valid values.
        expected: &'static str,
    },
    /// The capability text of VERSION is not valid.
    #[error("{subject}: {reason}")]
    Json {
        /// The message.
        subject: Subject,
        /// The member, the value found and the valid values.
        reason: String,
    },
}

impl MessageError {
    /// Returns the errno for the reply.
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Short { .. }
            | Self::Length { .. }
            | Self::Argsz { .. }
            | Self::Field { .. }
            | Self::Wraps { .. }
            | Self::Descriptors { .. }
            | Self::Json { .. } => Errno::EINVAL,
        }
    }
}

/// Refuses an `argsz` below `least`.
pub(crate) fn check_argsz(subject: Subject, argsz: u32, least: usize) -> Result<(), MessageError> {
    let least = least as u64;
    if u64::from(argsz) < least {
        Err(MessageError::Argsz {
            subject,
            argsz,
            least,
        })
    } else {
        Ok(())
    }
}

/// Refuses a variable part that is not exactly as long as its count says.
pub(crate) fn check_length(
    subject: Subject,
    field: &'static str,
    bytes: &[u8],
    expected: u64,
) -> Result<(), MessageError> {
    if bytes.len() as u64 == expected {
        Ok(())
    } else {
        Err(MessageError::Length {
            subject,
            field,
            actual: bytes.len(),
            expected,
        })
    }
}

/// Refuses a field for which `valid` does not hold.
pub(crate) fn check_field(
    subject: Subject,
    field: &'static str,
    value: impl Into<u64>,
    valid: bool,
    expected: &'static str,
) -> Result<(), MessageError> {
    if valid {
        Ok(())
    } else {
        Err(MessageError::Field {
            subject,
            field,
            value: value.into(),
            expected,
        })
    }
}

/// Refuses a range whose last element lies beyond 2^64 - 1.
pub(crate) fn check_range(
    subject: Subject,
    field: &'static str,
    start: u64,
    length: u64,
) -> Result<(), MessageError> {
    match start.checked_add(length.saturating_sub(1)) {
        Some(_) => Ok(()),
        None => Err(MessageError::Wraps {
            subject,
            field,
            start,
            length,
        }),
    }
}
