//! The memory behind BARs apart from the rest of a saved state: a page at a time, so that saving and
//! restoring take little memory and can pause at any page.
//!
//! # Examples
//!
//! ```
//! use pci_device_models::function::MemoryImage;
//! use pci_device_models::model::Registry;
//! use pci_device_models::profile::Profile;
//! use pci_device_models::snapshot::memory::{Page, Scan};
//! use pci_device_models::time::Time;
//!
//! let text = Profile::builtin("testdev").expect("it is built in");
//! let profile = Profile::parse("testdev", text, &[])?;
//! let mut devices = profile.device_set(&Registry::builtin())?;
//! devices.first_mut().region_write(Time::ZERO, 7, 4, &[2, 0])?;
//! devices.first_mut().region_write(Time::ZERO, 2, 0x1000, b"kept")?;
//!
//! let device = devices.first();
//! let state = device.save_state(Time::ZERO);
//! let mut image = MemoryImage::new(device.function());
//! let mut from = Page::FIRST;
//! loop {
//!     match device.function().next_page(from, &mut 16) {
//!         Scan::Page(page, content) => {
//!             image.set_page(page.bar, content.offset, &content.bytes)?;
//!             from = page.next();
//!         }
//!         Scan::Pause(page) => from = page,
//!         Scan::End => break,
//!     }
//! }
//!
//! let mut other = profile.device_set(&Registry::builtin())?;
//! let mut other = other.first_mut();
//! other.restore_state(Time::ZERO, &state, image)?;
//! while !other.fill_memory(16) {}
//! assert_eq!(other.save(Time::ZERO), device.save(Time::ZERO));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// Size in bytes of a page: the part of a BAR that is saved together, and its alignment.
pub const PAGE: u64 = 4096;

/// A page of the memory behind a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    /// The BAR.
    pub bar: u32,
    /// Index of the page in the BAR.
    pub number: u64,
}

impl Page {
    /// The first page of all.
    pub const FIRST: Self = Self { bar: 0, number: 0 };

    /// Returns the page that follows in the BAR.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            bar: self.bar,
            number: self.number.saturating_add(1),
        }
    }

    /// Returns the offset in the BAR of the first byte.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.number.saturating_mul(PAGE)
    }
}

/// The part of a page that is not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Offset in the BAR of the first byte.
    pub offset: u64,
    /// The bytes. If empty, the page is zero.
    pub bytes: Vec<u8>,
}

/// The result of looking for a page that is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// This page is the next one.
    Page(Page, Content),
    /// All pages before this one have been read and are zero. The budget is used up.
    Pause(Page),
    /// All further pages are zero.
    End,
}
