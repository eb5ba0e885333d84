//! Models as saved states.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Model;
use crate::snapshot::{self, RestoreError};

/// What can be saved and restored. A model has it from serde; the timers and transfers under way are the
/// function's to save, but what a model needs to know when [`Model::dma_done`] brings their outcomes is not.
pub trait ModelState {
    /// The whole state, of which [`Self::restore`] makes the same device again.
    fn save(&self) -> Value;

    /// Takes back what [`Self::save`] gave. The transfers that were under way then are again.
    ///
    /// # Errors
    /// The tree is not that of this model, which is what it was before.
    fn restore(&mut self, saved: &Value) -> Result<(), RestoreError>;
}

impl<M: Model + Serialize + DeserializeOwned> ModelState for M {
    fn save(&self) -> Value {
        snapshot::tree(self)
    }

    fn restore(&mut self, saved: &Value) -> Result<(), RestoreError> {
        *self = self.restored(snapshot::read(snapshot::MODEL, saved)?)?;
        Ok(())
    }
}
