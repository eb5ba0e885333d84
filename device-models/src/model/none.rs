//! No device: the BARs decode, read zero and ignore writes.

use super::{Context, Model};
use crate::register::{DwordWrite, Lanes, ResetKind};
use serde::{Deserialize, Serialize};

/// A config-space shell without a device.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct None;

impl Model for None {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        0
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: DwordWrite) {}

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}
}
