//! Saved states of models.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Model;
use crate::snapshot::{self, RestoreError};

/// Saving and restoring. A model gets it from serde. The function saves the timers and transfers in
/// progress. The model saves its own context of them, which it needs when [`Model::dma_done`]
/// delivers the outcomes.
pub trait ModelState {
    /// Returns the whole state, from which [`Self::restore`] creates the same device.
    fn save(&self) -> Value;

    /// Restores the state that [`Self::save`] returned. The transfers in progress at that time are
    /// in progress again.
    ///
    /// # Errors
    /// The tree does not fit this model, which then keeps its earlier state.
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
