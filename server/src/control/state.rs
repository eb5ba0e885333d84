//! Verbs that save the device to a file of the server's machine and restore it.

use std::path::Path;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{ControlContext, ControlError, Done};
use crate::state_file;

/// `save`
#[derive(Args, Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Save {
    /// File to write, as the server sees it
    pub file: String,
}

impl Save {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let file = Path::new(&self.file);
        cx.state_places.check(file)?;
        state_file::save(cx.device, cx.clock.now(), file)?;
        Ok(Done::silently())
    }
}

/// `restore`
#[derive(Args, Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// File to read, as the server sees it
    pub file: String,
}

impl Restore {
    pub(super) fn apply(self, cx: &mut ControlContext<'_>) -> Result<Done, ControlError> {
        let file = Path::new(&self.file);
        cx.state_places.check(file)?;
        let connected = cx.device.connected();
        if connected > 0 {
            return Err(ControlError::InUse { connected });
        }
        state_file::restore(cx.device, cx.clock.now(), file)?;
        Ok(Done::silently())
    }
}
