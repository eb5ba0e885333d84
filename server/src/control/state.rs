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

use serde::{Deserialize, Serialize};

use super::switch::is_false;
use super::{ControlAction, ControlContext, ControlError, Done};
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
        let mut saving = Saving::begin(cx.state_places, cx.device.as_ref(), cx.now, file)?;
        while !saving.step(cx.device.as_ref())? {}
        Ok(if self.shutdown {
            Done::then(ControlAction::Shutdown)
        } else {
            Done::silently()
        })
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
        let connected = cx.device.as_ref().connected();
        if connected > 0 {
            return Err(ControlError::InUse { connected });
        }
        let mut reading = Reading::begin(cx.state_places, cx.device.as_ref(), file)?;
        while !reading.step(cx.device.as_ref())? {}
        let mut filling = reading.restore(&mut cx.device, cx.now)?;
        while !filling.step(&mut cx.device) {}
        Ok(Done::silently())
    }
}
