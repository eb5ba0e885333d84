//! The platform side of a platform controller.

use crate::model::Context;
use crate::slot::FunctionNumber;

/// Main power of a slot, as firmware wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RailSwitch {
    /// The slot's place among those of the controller.
    pub slot: usize,
    /// Main power on or off.
    pub on: bool,
}

/// A controller that switches the power of slots, and tells software which function woke.
///
/// The platform performs what [`Self::take_switch`] returns. It reports back with [`Self::set_rail`]
/// and reports wake events with [`Self::wake`]. Slots that the controller does not have are ignored.
pub trait PlatformPort {
    /// Removes and returns the oldest switch that software has thrown.
    fn take_switch(&mut self, cx: &mut Context<'_>) -> Option<RailSwitch>;

    /// Tells whether main power of a slot is on.
    fn set_rail(&mut self, cx: &mut Context<'_>, slot: usize, on: bool);

    /// Reports that a function in a slot signals a wake event.
    fn wake(&mut self, cx: &mut Context<'_>, slot: usize, function: FunctionNumber);
}
