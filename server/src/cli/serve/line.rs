//! Opening the other end of a device's character line where the profile says.

use std::path::{Path, PathBuf};

use crate::line::Line;
use crate::listen::{self, Access, SocketFile};
use anyhow::Context;
use pci_device_models::host::DeviceMut;
use pci_device_models::model::LinePlace;

use super::super::failure::Failure;

/// An open line.
#[derive(Debug, Default)]
pub(super) struct OpenLine {
    /// Its other end, until a server has it.
    pub(super) end: Option<Line>,
    /// The terminal at its other end.
    terminal: Option<PathBuf>,
    /// The folder in which the server leaves nothing at its end.
    pub(super) folder: Option<PathBuf>,
    /// Removes the socket's file when the server has ended.
    _file: Option<SocketFile>,
}

/// The other end of the device's line, if it has a line that leads somewhere.
pub(super) fn open(device: &mut DeviceMut<'_>, access: Access) -> Result<OpenLine, Failure> {
    let place = device.line_place().cloned().unwrap_or_default();
    let opening = || format!("opening the line {}", String::from(place.clone()));
    let mut open = OpenLine {
        folder: match &place {
            LinePlace::Pty(Some(path)) | LinePlace::Unix(path) => path.parent().map(Path::to_owned),
            LinePlace::None | LinePlace::Pty(None) | LinePlace::File(_) => None,
        },
        ..OpenLine::default()
    };
    match &place {
        LinePlace::None => {}
        LinePlace::Pty(link) => {
            let (line, terminal) = Line::pty(link.clone()).with_context(opening)?;
            (open.end, open.terminal) = (Some(line), Some(terminal));
        }
        LinePlace::File(path) => open.end = Some(Line::file(path).with_context(opening)?),
        LinePlace::Unix(path) => {
            let (listener, file) = listen::bind(path, access)?;
            (open.end, open._file) = (Some(Line::socket(listener)), Some(file));
        }
    }
    Ok(open)
}

impl OpenLine {
    /// Prints where the terminal is, which nobody chose.
    pub(super) fn announce(&self) -> Result<(), Failure> {
        match &self.terminal {
            Some(terminal) => super::super::print(format!("line: {}\n", terminal.display())),
            None => Ok(()),
        }
    }
}
