//! The rules for a function beside others of a slot.

use super::Profile;
use super::error::{Mistake, ProfileError};
use crate::capability::COMMON_LOGIC;
use crate::slot::FunctionNumber;

impl Profile {
    /// Makes the function one of a slot: it has the slot's auxiliary power, and Header Type tells if
    /// there are several.
    pub(super) fn join_slot(&mut self, aux_power: bool, several: bool) -> Result<(), ProfileError> {
        self.tables.platform.aux_power = aux_power;
        self.tables.identity.multi_function |= several && !self.is_virtual();
        self.fill_config_space()
    }

    /// Checks that function `number` fits beside function 0.
    pub(super) fn check_beside(
        &self,
        number: FunctionNumber,
        first: &Self,
    ) -> Result<(), ProfileError> {
        let refused = |key: &str, message: String| {
            Err(self
                .source
                .error(Mistake::new(format!("capabilities.{key}"), message)))
        };
        let pm = self.tables.capabilities.pm.as_ref();
        if pm.is_some_and(|pm| pm.data.iter().any(|data| data.select == COMMON_LOGIC)) {
            let message = format!(
                "select {COMMON_LOGIC} is the common logic, which function 0 has; leave it out"
            );
            return refused("pm.data", message);
        }
        let link = |profile: &Self| {
            let pcie = profile.tables.capabilities.pcie.as_ref();
            pcie.map(|pcie| u32::from(pcie.link()))
        };
        match (link(first), link(self)) {
            (Some(expected), Some(found)) if expected != found => {
                let show = |link: u32| {
                    let (speed, width) = (link & 0xf, link >> 4 & 0x3f);
                    format!("speed {speed}, width {width} and port {}", link >> 24)
                };
                let message = format!(
                    "the link has {} in function {number}, but {} in function 0; all functions share it, so give them the same",
                    show(found),
                    show(expected)
                );
                refused("pcie", message)
            }
            _ => Ok(()),
        }
    }
}
