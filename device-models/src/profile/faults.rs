//! `[[fault]]`: the faults of a function from the start.

use super::Profile;
use super::error::{Mistake, ProfileError};
use crate::config::ConfigSpace;
use crate::fault::{Fault, FaultError, MAX_FAULTS};
use crate::host::DeviceSet;
use crate::slot::FunctionNumber;
use crate::time::Time;

impl Profile {
    /// Checks the faults, as far as that is possible without the model.
    pub(super) fn check_faults(&self, config: &ConfigSpace) -> Result<(), ProfileError> {
        check_slot(&self.tables.slot.fault).map_err(|mistake| self.source.error(mistake))?;
        let faults = &self.tables.fault;
        for (position, fault) in faults.iter().enumerate() {
            let check = || {
                if position >= MAX_FAULTS {
                    return Err(FaultError::TooMany);
                }
                let before = faults.iter().take(position);
                if let Some(name) = &fault.name
                    && before
                        .clone()
                        .any(|other| other.name.as_ref() == Some(name))
                {
                    return Err(FaultError::Taken { name: name.clone() });
                }
                fault.check()?;
                fault.check_parts(config)
            };
            check().map_err(|error| self.fault_error(position, &error))?;
        }
        Ok(())
    }

    /// Sets the faults of one of the devices.
    pub(super) fn set_faults(
        &self,
        devices: &mut DeviceSet,
        number: FunctionNumber,
    ) -> Result<(), ProfileError> {
        let Some(mut device) = devices.device_mut(number) else {
            return Ok(());
        };
        for (position, fault) in self.tables.fault.iter().enumerate() {
            device
                .add_fault(Time::ZERO, fault.clone())
                .map_err(|error| self.fault_error(position, &error))?;
        }
        Ok(())
    }

    fn fault_error(&self, position: usize, error: &FaultError) -> ProfileError {
        self.source.error(mistake("fault", position, error))
    }
}

/// Checks the faults of a slot, as far as that is possible without its functions.
pub(super) fn check_slot(faults: &[Fault]) -> Result<(), Mistake> {
    for (position, fault) in faults.iter().enumerate() {
        fault
            .check()
            .map_err(|error| mistake("slot.fault", position, &error))?;
        if !fault.is_of_slot() {
            let message = format!(
                "\"{}\" at \"{}\" is a fault of a function; write it as [[fault]] of the function",
                fault.what, fault.when
            );
            let key = format!("slot.fault.{position}.what");
            return Err(Mistake::new(key, message));
        }
    }
    Ok(())
}

/// Sets the faults of the slot.
pub(super) fn set_slot(devices: &mut DeviceSet, faults: &[Fault]) -> Result<(), Mistake> {
    for (position, fault) in faults.iter().enumerate() {
        devices
            .first_mut()
            .add_fault(Time::ZERO, fault.clone())
            .map_err(|error| mistake("slot.fault", position, &error))?;
    }
    Ok(())
}

/// Returns the mistake of a fault, by its list and its place there.
fn mistake(list: &str, position: usize, error: &FaultError) -> Mistake {
    let key = match error {
        FaultError::Name { .. } | FaultError::Taken { .. } => ".name",
        FaultError::When { .. } | FaultError::Unfit { .. } => ".when",
        FaultError::What { .. } | FaultError::NotPermitted(_) => ".what",
        _ => "",
    };
    Mistake::new(format!("{list}.{position}{key}"), error)
}
