//! The back end of the device model. It has no access outside D0.

use super::Function;
use crate::model::Context;
use crate::model::backend::{Backend, BackendKind};
use crate::power::PowerState;
use crate::time::Time;

impl Function {
    /// Returns the kind of back end that the device has, if it has one.
    pub fn backend_kind(&mut self) -> Option<BackendKind> {
        self.model.backend().map(|backend| backend.kind())
    }

    /// Gives a back end access to the device. Nothing happens outside D0, or if the device has no
    /// back end.
    pub fn with_backend<T: Default>(
        &mut self,
        now: Time,
        act: impl FnOnce(Backend<'_>, &mut Context<'_>) -> T,
    ) -> T {
        if self.core.state != PowerState::D0 {
            return T::default();
        }
        let result = self.with_model(now, |model, cx| {
            let backend = model.backend();
            backend.map_or_else(T::default, |backend| act(backend, cx))
        });
        self.settle_faults(now);
        result
    }
}
