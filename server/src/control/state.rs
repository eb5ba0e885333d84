//! Verbs that save the device to a file on the server's machine and restore it.
//!
//! # Examples
//!
//! ```
//! use dormouse::control::Verb;
//! use dormouse::control::state::Save;
//! use dormouse::testing::Function;
//!
//! let served = Function::profile("testdev").start()?;
//! let mut control = served.control()?;
//! let file = served.state_folder().join("saved");
//! control.ask(&Verb::Save(Save {
//!     file: file.display().to_string(),
//!     shutdown: false,
//! }))?;
//! assert!(file.exists());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::Path;

use pci_device_models::host::Hold;
use serde::{Deserialize, Serialize};

use super::job::Job;
use super::switch::is_false;
use super::{ControlAction, ControlContext, ControlError, Done};
use crate::migration::FILL_STEP;
use crate::state_file::{Reading, Saving};

/// `save`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Save {
    /// File to write on the server's machine, in a folder of --state-dir; a relative path starts at
    /// the server's working directory
    pub file: String,
    /// Stop the server with the save, so that no later request is lost
    #[cfg_attr(feature = "cli", arg(long))]
    #[serde(default, skip_serializing_if = "is_false")]
    pub shutdown: bool,
}

impl Save {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let file = Path::new(&self.file);
        if cx.device.is_held() {
            return Err(ControlError::Busy);
        }
        let saving = Saving::begin(cx.state_places, cx.closer, cx.device.as_ref(), cx.now, file)?;
        Ok(Done::later(SaveJob {
            saving,
            shutdown: self.shutdown,
            _hold: cx.device.hold(),
        }))
    }
}

/// Saving in steps. The function stands still meanwhile.
#[derive(Debug)]
struct SaveJob {
    saving: Saving,
    shutdown: bool,
    _hold: Hold,
}

impl Job for SaveJob {
    fn step(&mut self, cx: &mut ControlContext<'_>) -> Result<Option<Done>, ControlError> {
        if !self.saving.step(cx.device.as_ref())? {
            return Ok(None);
        }
        Ok(Some(if self.shutdown {
            Done::then(ControlAction::Shutdown)
        } else {
            Done::silently()
        }))
    }
}

/// `restore`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// File to read on the server's machine, in a folder of --state-dir; a relative path starts at
    /// the server's working directory
    pub file: String,
}

impl Restore {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let file = Path::new(&self.file);
        check_unused(cx)?;
        let reading = Reading::begin(cx.state_places, cx.device.as_ref(), file)?;
        Ok(Done::later(RestoreJob {
            reading: Some(reading),
        }))
    }
}

/// Refuses to restore a function that somebody uses.
fn check_unused(cx: &ControlContext<'_>) -> Result<(), ControlError> {
    let connected = cx.device.connected();
    if connected > 0 {
        return Err(ControlError::InUse { connected });
    }
    if cx.device.is_held() {
        return Err(ControlError::Busy);
    }
    if cx.device.is_frozen() {
        return Err(ControlError::Stopped);
    }
    Ok(())
}

/// Restoring in steps. The function goes on as long as the file is read, and stands still while its memory
/// is copied, which the server does.
#[derive(Debug)]
struct RestoreJob {
    /// The file, until the function is restored.
    reading: Option<Reading>,
}

impl Job for RestoreJob {
    fn step(&mut self, cx: &mut ControlContext<'_>) -> Result<Option<Done>, ControlError> {
        if let Some(mut reading) = self.reading.take() {
            if !reading.step(cx.device.as_ref())? {
                self.reading = Some(reading);
                return Ok(None);
            }
            check_unused(cx)?;
            reading.restore(&mut cx.device, cx.now)?;
        }
        Ok(cx.device.fill_memory(FILL_STEP).then(Done::silently))
    }
}
