//! What a person or a CI job asks for. Asking changes nothing.

use serde_json::{Map, Value, json};

use super::{DeviceMut, DeviceRef};
use crate::power::PowerState;
use crate::time::Time;

impl DeviceRef<'_> {
    /// Figures under the names of Linux sysfs where one exists.
    #[must_use]
    pub fn status(&self, now: Time) -> Value {
        let function = self.function;
        let residency: Map<String, Value> = PowerState::ALL
            .into_iter()
            .map(|state| {
                let millis = function.residency(now, state).as_millis();
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                (state.to_string(), millis.into())
            })
            .collect();
        let mut status = json!({
            "power_state": function.power_state(),
            "rail": self.rail_on,
            "irqs": self.state.irqs.inspect(),
            "counters": function.counters(),
            "residency_ms": residency,
        });
        merge(&mut status, self.state.rpm.inspect(now));
        merge(&mut status, self.low_power_status());
        merge(&mut status, self.state.dialect.inspect());
        status
    }

    fn low_power_status(&self) -> Value {
        json!({
            "engaged": self.state.low_power.engaged,
            "opens": self.state.low_power.opens,
            "suspends": self.state.low_power.suspends,
            "wakeups": self.state.low_power.wakeups,
            "recorded_power_state": self.state.core.current(),
            "d3cold_allowed": self.state.core.d3cold_allowed(),
            "dead_after_cold": self.function.dead_after_cold(),
        })
    }

    /// The whole state field by field.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        let mut host = json!({ "irqs": self.state.irqs.inspect() });
        merge(&mut host, self.state.rpm.inspect(now));
        merge(&mut host, self.low_power_status());
        merge(&mut host, self.state.dialect.inspect());
        json!({ "host": host, "slot": { "rail": self.rail_on, "function": self.function.inspect(now) } })
    }

    /// What software did wrong.
    #[must_use]
    pub fn violations(&self) -> Value {
        self.function.violations()
    }
}

impl DeviceMut<'_> {
    /// As [`DeviceRef::status`].
    #[must_use]
    pub fn status(&self, now: Time) -> Value {
        self.as_ref().status(now)
    }

    /// As [`DeviceRef::inspect`].
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        self.as_ref().inspect(now)
    }

    /// As [`DeviceRef::violations`].
    #[must_use]
    pub fn violations(&self) -> Value {
        self.as_ref().violations()
    }
}

/// Adds the members of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
