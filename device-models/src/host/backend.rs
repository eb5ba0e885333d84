//! The back end of the device model. The host driver has no part in it: a cable or a disk is on the
//! far side of the device, and what moves there neither needs nor wakes the host.

use super::DeviceMut;
use crate::model::Context;
use crate::model::backend::{Backend, BackendKind};
use crate::time::Time;

impl DeviceMut<'_> {
    /// Returns the kind of back end that the device has, if it has one.
    pub fn backend_kind(&mut self) -> Option<BackendKind> {
        self.slot.function_mut().backend_kind()
    }

    /// Lets a back end deal with the device. Outside D0, or without a back end, nothing is done.
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
