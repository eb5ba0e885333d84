//! What a person or a CI job asks for. Asking changes nothing.

use serde_json::{Map, Value, json};

use super::Device;
use crate::power::PowerState;
use crate::time::Time;

impl Device {
    /// Figures under the names of Linux sysfs where one exists.
    #[must_use]
    pub fn status(&self, now: Time) -> Value {
        let function = self.slot.function();
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
            "rail": self.slot.rail_on(),
            "irqs": self.irqs.inspect(),
            "counters": function.counters(),
            "residency_ms": residency,
        });
        merge(&mut status, self.rpm.inspect(now));
        merge(&mut status, self.low_power_status());
        merge(&mut status, self.dialect.inspect());
        status
    }

    fn low_power_status(&self) -> Value {
        json!({
            "engaged": self.is_engaged(),
            "opens": self.low_power.opens,
            "suspends": self.low_power.suspends,
            "wakeups": self.low_power.wakeups,
            "recorded_power_state": self.core.current(),
            "d3cold_allowed": self.core.d3cold_allowed(),
            "dead_after_cold": self.slot.dead_after_cold(),
        })
    }

    /// The whole state field by field.
    #[must_use]
    pub fn inspect(&self, now: Time) -> Value {
        let mut host = json!({ "irqs": self.irqs.inspect() });
        merge(&mut host, self.rpm.inspect(now));
        merge(&mut host, self.low_power_status());
        merge(&mut host, self.dialect.inspect());
        json!({ "host": host, "slot": self.slot.inspect(now) })
    }

    /// What software did wrong.
    #[must_use]
    pub fn violations(&self) -> Value {
        self.slot.function().violations()
    }
}

/// Adds the members of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
