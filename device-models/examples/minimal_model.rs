//! A whole device model: a register that adds what is written to it, and an interrupt for each sum.

use pci_device_models::model::Registry;
use pci_device_models::model::prelude::*;
use pci_device_models::profile::{Profile, ProfileError};

/// BAR0: the sum is read at 0; a write to 4 adds to it and interrupts with vector 0.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Adder {
    sum: u32,
}

impl Model for Adder {
    fn read(&mut self, _: &mut Context<'_>, bar: u8, offset: u64, _: Lanes) -> u32 {
        if (bar, offset) == (0, 0) { self.sum } else { 0 }
    }

    fn write(&mut self, cx: &mut Context<'_>, bar: u8, offset: u64, write: DwordWrite) {
        if (bar, offset) == (0, 4) {
            self.sum = self.sum.wrapping_add(write.value());
            cx.interrupt(0);
        }
    }

    fn reset(&mut self, _: &mut Context<'_>, _: ResetKind) {
        self.sum = 0;
    }
}

/// The models of this crate and this one.
pub fn registry() -> Registry {
    let mut registry = Registry::builtin();
    registry.register("adder", || Box::<Adder>::default());
    registry
}

/// Shows the device. `docs/device-authors.md` tells how to serve it.
pub fn main() -> Result<(), ProfileError> {
    let set = [("model".to_owned(), "adder".to_owned())];
    let profile = Profile::parse("minimal.toml", include_str!("minimal.toml"), &set)?;
    let devices = profile.device_set(&registry())?;
    println!("{:#}", devices.first().inspect(Time::ZERO));
    Ok(())
}
