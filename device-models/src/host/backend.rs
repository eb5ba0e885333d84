//! The back end of the device model. The host driver has no part in it: a cable or a disk is on the
//! far side of the device, and its activity neither needs nor wakes the host.

use super::DeviceMut;
use crate::model::Context;
use crate::model::backend::{Backend, BackendKind};
use crate::time::Time;

impl DeviceMut<'_> {
    /// Returns the kind of back end that the device has, if it has one.
    pub fn backend_kind(&mut self) -> Option<BackendKind> {
        self.slot.function_mut().backend_kind()
    }

    /// Gives a back end access to the device. Nothing happens outside D0, or if the device has no
    /// back end.
    pub fn with_backend<T: Default>(
        &mut self,
        now: Time,
        act: impl FnOnce(Backend<'_>, &mut Context<'_>) -> T,
    ) -> T {
        let result = self.slot.function_mut().with_backend(now, act);
        self.settle(now);
        result
    }
}
