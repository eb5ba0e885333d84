//! Verbs that save all functions of a slot to a file on the server's machine and restore them.
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

use pci_device_models::host::{DeviceMut, Hold};
use serde::{Deserialize, Serialize};

use super::job::Job;
use super::switch::is_false;
use super::{ControlAction, ControlContext, ControlError, Done};
use crate::migration::FILL_STEP;
use crate::state_file::{Reading, Saving, fill_memory};

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
        let members = cx.device.members();
        let mut each = members.iter();
        if each.any(|number| cx.device.with_member(*number, |d| d.is_held()) == Some(true)) {
            return Err(ControlError::Busy);
        }
        let saving = Saving::begin(cx.state_places, cx.closer, &mut cx.device, cx.now, file)?;
        let holds = members.iter();
        let holds = holds.filter_map(|number| cx.device.with_member(*number, |mut d| d.hold()));
        Ok(Done::later(SaveJob {
            saving,
            shutdown: self.shutdown,
            _holds: holds.collect(),
        }))
    }
}

/// Saving in steps. All functions of the slot stand still meanwhile.
#[derive(Debug)]
struct SaveJob {
    saving: Saving,
    shutdown: bool,
    _holds: Vec<Hold>,
}

impl Job for SaveJob {
    fn step(&mut self, cx: &mut ControlContext<'_>) -> Result<Option<Done>, ControlError> {
        if !self.saving.step(&mut cx.device)? {
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
        let reading = Reading::begin(cx.state_places, &mut cx.device, file)?;
        Ok(Done::later(RestoreJob {
            reading: Some(reading),
        }))
    }
}

/// Refuses to restore a slot of which somebody uses a function.
fn check_unused(cx: &mut ControlContext<'_>) -> Result<(), ControlError> {
    let mut connected = 0;
    for number in cx.device.members() {
        let unused = |device: DeviceMut<'_>| {
            if device.is_held() {
                return Err(ControlError::Busy);
            }
            if device.is_frozen() {
                return Err(ControlError::Stopped);
            }
            Ok(())
        };
        match cx
            .device
            .with_member(number, |device| (device.connected(), unused(device)))
        {
            Some((0, unused)) => unused?,
            Some((clients, _)) => connected += clients,
            None => {}
        }
    }
    if connected > 0 {
        return Err(ControlError::InUse { connected });
    }
    Ok(())
}

/// Restoring in steps. The functions go on as long as the file is read, and stand still while their memory
/// is copied, which the server does.
#[derive(Debug)]
struct RestoreJob {
    /// The file, until the function is restored.
    reading: Option<Reading>,
}

impl Job for RestoreJob {
    fn step(&mut self, cx: &mut ControlContext<'_>) -> Result<Option<Done>, ControlError> {
        if let Some(mut reading) = self.reading.take() {
            if !reading.step(&mut cx.device)? {
                self.reading = Some(reading);
                return Ok(None);
            }
            check_unused(cx)?;
            reading.restore(&mut cx.device, cx.now)?;
        }
        let over = fill_memory(&mut cx.device, FILL_STEP);
        Ok(over.then(|| Done::then(ControlAction::Restored)))
    }
}
