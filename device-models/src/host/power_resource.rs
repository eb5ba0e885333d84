//! The power resource that the functions of a slot share (ACPI `_PR0` and `_PR3`,
//! `drivers/acpi/power.c`).
//!
//! The resource is on as long as anybody holds it. A function lets go of it in D3cold. A function
//! whose platform never takes it to D3cold, and one without a driver, hold it for good. A virtual
//! function, of which firmware knows nothing, never holds it.

use crate::slot::FunctionNumber;

/// The holders of the resource, one bit for each function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PowerResource {
    holders: u8,
}

impl PowerResource {
    /// Creates a resource that is held by these functions.
    pub(super) fn held_by(functions: impl Iterator<Item = FunctionNumber>) -> Self {
        let mut resource = Self::default();
        functions.for_each(|number| resource.hold(number));
        resource
    }

    /// Lets a function hold the resource.
    pub(super) fn hold(&mut self, number: FunctionNumber) {
        self.holders |= bit(number);
    }

    /// Lets go of the resource on behalf of a function.
    pub(super) fn release(&mut self, number: FunctionNumber) {
        self.holders &= !bit(number);
    }

    /// Returns whether a function holds the resource.
    pub(super) fn is_held_by(self, number: FunctionNumber) -> bool {
        self.holders & bit(number) != 0
    }

    /// Returns whether the resource is on.
    pub(super) const fn is_on(self) -> bool {
        self.holders != 0
    }
}

fn bit(number: FunctionNumber) -> u8 {
    1_u8.checked_shl(u8::from(number).into()).unwrap_or(0)
}
