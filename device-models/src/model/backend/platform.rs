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

/// The origin of the news that a function woke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeSource {
    /// The function signals a wake event.
    Function,
    /// The host woke the function while software believes that it has no power.
    Host,
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

    /// Returns whether software wants main power of a slot on.
    fn wants_power(&self, slot: usize) -> bool;

    /// Reports that a function in a slot woke.
    fn wake(
        &mut self,
        cx: &mut Context<'_>,
        slot: usize,
        function: FunctionNumber,
        source: WakeSource,
    );
}
