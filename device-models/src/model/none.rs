//! No device: the BARs decode, read zero and ignore writes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Model};
use crate::register::{DwordWrite, Lanes, ResetKind};
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// A config-space shell with nothing behind it.
#[derive(Clone, Copy, Debug, Default)]
pub struct None;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Model for None {
    fn read(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: Lanes) -> u32 {
        0
    }

    fn write(&mut self, _: &mut Context<'_>, _: u8, _: u64, _: DwordWrite) {}

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {}

    fn inspect(&self) -> Value {
        json!({})
    }

    fn save(&self, _: Time) -> Value {
        snapshot::tree(&Nothing {})
    }

    fn restore(&mut self, _: Time, saved: &Value) -> Result<(), RestoreError> {
        snapshot::read("function.model", saved).map(|Nothing {}| ())
    }
}
