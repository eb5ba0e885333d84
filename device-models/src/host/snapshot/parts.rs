//! A saved device in parts: its label, the state without the memory behind BARs, and that memory.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ProfileTag, Restorable, check_format};
use crate::function::{MemoryImage, Ram};
use crate::host::{DeviceMut, DeviceRef};
use crate::snapshot::{self, FORMAT, RestoreError};
use crate::time::Time;

impl DeviceRef<'_> {
    /// Returns the beginning of every saved state of this device: its version and profile.
    #[must_use]
    pub fn label(&self) -> Value {
        json!({ "format": FORMAT, "profile": self.state.profile_tag() })
    }

    /// Checks the label at the beginning of a state and refuses one of another device or version.
    ///
    /// # Errors
    /// [`RestoreError::Format`], [`RestoreError::Profile`], [`RestoreError::Shape`].
    pub fn check_label(&self, label: &Value) -> Result<(), RestoreError> {
        #[derive(Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        struct Label {
            format: u64,
            profile: ProfileTag,
        }
        check_format(label)?;
        let Label { format: _, profile } = snapshot::read("the label", label)?;
        self.state.check_profile(&profile)
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
        let fill = self.slot.function_mut().adopt_image(image);
        self.state.fill = Some(fill).filter(|fill| !fill.is_over());
        Ok(())
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
