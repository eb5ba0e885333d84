//! The slot: what the platform gives a function.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::function::Function;
use crate::register::ResetKind;
use crate::snapshot::{self, RestoreError};
use crate::time::Time;

/// A slot with its power rail and the function in it.
///
/// The rail is the main supply. Whether auxiliary power stays when the rail goes off is a property
/// of the slot that the function was built with.
#[derive(Debug)]
pub struct Slot {
    rail_on: bool,
    /// The function does not come back when power does.
    dead: bool,
    function: Function,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    rail_on: bool,
    dead: bool,
    function: Value,
}

impl Slot {
    /// A powered slot holding `function`.
    #[must_use]
    pub const fn new(function: Function) -> Self {
        Self {
            rail_on: true,
            dead: false,
            function,
        }
    }

    /// The function.
    #[must_use]
    pub const fn function(&self) -> &Function {
        &self.function
    }

    /// As [`Self::function`].
    pub const fn function_mut(&mut self) -> &mut Function {
        &mut self.function
    }

    /// Whether main power is on.
    #[must_use]
    pub const fn rail_on(&self) -> bool {
        self.rail_on
    }

    /// Switches main power.
    ///
    /// | rail | switched | what happens |
    /// |---|---|---|
    /// | on | off | `PME_Turn_Off`, acknowledgement, power off: D3cold |
    /// | off | on | power on, fundamental reset: D0 |
    /// | on | on | nothing |
    /// | off | off | nothing |
    pub fn set_rail(&mut self, now: Time, on: bool) {
        match (self.rail_on, on) {
            (true, false) => self.function.power_off(now),
            (false, true) if !self.dead => self.function.power_on(now),
            (false, true) | (true, true) | (false, false) => {}
        }
        self.rail_on = on;
    }

    /// Makes the function stay silent when power comes back, or heals it: a function that should
    /// have power then has it.
    pub fn set_dead_after_cold(&mut self, now: Time, dead: bool) {
        self.dead = dead;
        if !dead && self.rail_on {
            self.function.power_on(now);
        }
    }

    /// Whether the function should have power but does not answer.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.dead && self.rail_on && !self.function.is_powered()
    }

    /// Whether the function is going to stay silent after power was off.
    #[must_use]
    pub const fn dead_after_cold(&self) -> bool {
        self.dead
    }

    /// Takes main and auxiliary power away and gives them back.
    pub fn power_cycle(&mut self, now: Time) {
        self.function.power_off(now);
        self.function.cold_start(now);
        self.rail_on = true;
    }

    /// A reset from above the function: hot (secondary bus reset) or fundamental (PERST#).
    pub fn reset(&mut self, now: Time, kind: ResetKind) {
        if self.rail_on {
            self.function.conventional_reset(now, kind);
        }
    }

    /// The whole state.
    #[must_use]
    pub fn save(&self, now: Time) -> Value {
        let Self {
            rail_on,
            dead,
            function,
        } = self;
        snapshot::object([
            ("rail_on", (*rail_on).into()),
            ("dead", (*dead).into()),
            ("function", function.save(now)),
        ])
    }

    /// Takes back what [`Self::save`] gave.
    ///
    /// # Errors
    /// The tree is not that of this slot and its function, which may be restored in part.
    pub fn restore(&mut self, now: Time, saved: &Value) -> Result<(), RestoreError> {
        let Saved {
            rail_on,
            dead,
            function,
        } = snapshot::read("slot", saved)?;
        self.function.restore(now, &function)?;
        self.rail_on = rail_on;
        self.dead = dead;
        Ok(())
    }

    /// Rail and function.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        json!({ "rail": self.rail_on, "function": self.function.inspect(now) })
    }
}
