//! Opening the back end of a device model where its profile says.

use super::super::failure::Failure;
use super::plan::PlannedFunction;
use crate::backend::{self, OpenError, Opened};
use crate::listen::Access;

/// Opens the back end of the function's model, if it has one that leads somewhere.
pub(super) fn open(function: &PlannedFunction, access: Access) -> Result<Opened, Failure> {
    match &function.backend {
        Some((kind, place)) => Ok(backend::open(*kind, place, access)?),
        None => Ok(Opened::default()),
    }
}

/// Prints the path of a new terminal, which nobody chose.
pub(super) fn announce(opened: &Opened) -> Result<(), Failure> {
    match &opened.terminal {
        Some(terminal) => super::super::print(format!("line: {}\n", terminal.display())),
        None => Ok(()),
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Listen(error) => error.into(),
            other => Self::Runtime(anyhow::Error::msg(other.to_string())),
        }
    }
}
