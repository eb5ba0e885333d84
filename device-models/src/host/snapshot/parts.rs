//! A saved device in parts: its label, the state without the memory behind BARs, and that memory.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ProfileTag, Restorable, check_format};
use crate::function::{MemoryImage, Ram};
use crate::host::{DeviceMut, DeviceRef};
use crate::slot::FunctionNumber;
use crate::snapshot::{self, FORMAT, RestoreError};
use crate::time::Time;

/// The beginning of a saved state.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Label {
    format: u64,
    profile: ProfileTag,
    /// The number of the function, if it is one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<FunctionNumber>,
}

impl DeviceRef<'_> {
    /// Returns the beginning of every saved state of this device: its version and profile.
    #[must_use]
    pub fn label(&self) -> Value {
        snapshot::tree(&Label {
            format: FORMAT,
            profile: self.state.profile_tag(),
            function: self.in_card().then_some(self.number),
        })
    }

    /// Checks the label at the beginning of a state and refuses one of another device or version.
    ///
    /// # Errors
    /// [`RestoreError::Format`], [`RestoreError::Profile`], [`RestoreError::Shape`].
    pub fn check_label(&self, label: &Value) -> Result<(), RestoreError> {
        check_format(label)?;
        let Label {
            format: _,
            profile,
            function,
        } = snapshot::read("the label", label)?;
        let saved = function.unwrap_or_default();
        if saved != self.number {
            let here = self.number;
            let reason =
                format!("the state is of function {saved} of a card, this is function {here}");
            return Err(RestoreError::part("function", reason));
        }
        self.state.check_profile(&profile)
    }

    /// Returns whether the function is one of several.
    fn in_card(&self) -> bool {
        let config = self.function.config();
        let virtual_functions = self.function.is_virtual() || config.sriov().is_some();
        virtual_functions || config.header().is_multi_function()
    }

    /// Returns the state of this device without the memory behind BARs, which [`Function::next_page`]
    /// returns a page at a time.
    ///
    /// [`Function::next_page`]: crate::function::Function::next_page
    #[must_use]
    pub fn save_state(&self, now: Time) -> Value {
        self.save_part(now, Ram::Apart)
    }
}

impl DeviceMut<'_> {
    /// Restores the state that [`DeviceRef::save_state`] returned, with the memory behind BARs in `image`.
    /// The device is held until [`Self::fill_memory`] has returned true.
    ///
    /// # Errors
    /// Those of [`Self::restore`]. An image that does not fit is refused as well.
    pub fn restore_state(
        &mut self,
        now: Time,
        saved: &Value,
        image: MemoryImage,
    ) -> Result<(), RestoreError> {
        self.restore_all(now, saved, Ram::Apart, |device| {
            device.slot.function().check_image(&image)
        })?;
        self.adopt_image(image);
        Ok(())
    }

    /// Begins to copy restored memory.
    pub(super) fn adopt_image(&mut self, image: MemoryImage) {
        let fill = self.slot.function_mut().adopt_image(image);
        self.state.fill = Some(fill).filter(|fill| !fill.is_over());
    }

    /// Copies up to `pages` pages of restored memory. Returns whether none are left.
    pub fn fill_memory(&mut self, pages: u32) -> bool {
        if let Some(fill) = &mut self.state.fill
            && self.slot.function_mut().fill_memory(fill, pages)
        {
            self.state.fill = None;
        }
        self.state.fill.is_none()
    }
}
