//! The vocabulary of VFIO: the numbers of `<linux/vfio.h>` as types. vfio-user took them over, and
//! the messages, a device model and a server share these definitions.
//!
//! Every number comes from the kernel's own header by way of the crate `vfio-bindings`. Numbers that
//! the header lacks are defined here with their source: the low power of the v4 dialect, and the flags
//! that vfio-user added.
//!
//! | types | header |
//! |---|---|
//! | [`DeviceFlags`] | `VFIO_DEVICE_FLAGS_*` |
//! | [`RegionIndex`], [`RegionFlags`] | `VFIO_PCI_*_REGION_INDEX`, `VFIO_REGION_INFO_FLAG_*` |
//! | [`IrqIndex`], [`IrqInfoFlags`], [`IrqSetFlags`] | `VFIO_PCI_*_IRQ_INDEX`, `VFIO_IRQ_INFO_*`, `VFIO_IRQ_SET_*` |
//! | [`Feature`], [`Operation`] | `VFIO_DEVICE_FEATURE_*` |
//! | [`PowerManagementFlags`], [`BusMasterOperation`] | data of the features of these names |
//! | [`DeviceState`], [`MigrationFlags`] | `VFIO_DEVICE_STATE_*`, `VFIO_MIGRATION_*` |
//! | [`DmaMapFlags`], [`DmaUnmapFlags`] | `VFIO_DMA_MAP_FLAG_*`, `VFIO_DMA_UNMAP_FLAG_*` |
//!
//! ```
//! use vfio_user_protocol::vfio::{Feature, IrqIndex, RegionIndex};
//!
//! assert_eq!(RegionIndex::Config.number(), 7);
//! assert_eq!(IrqIndex::from_number(2), Some(IrqIndex::Msix));
//! assert_eq!(Feature::V4_POWER_MANAGEMENT.number(), 3);
//! ```

/// Defines an enumeration of the numbers from 0 on, without gaps.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $number:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($repr)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $number as $repr,)*
        }

        impl $name {
            /// All of them in numerical order.
            pub const ALL: [Self; [$(Self::$variant),*].len()] = [$(Self::$variant),*];

            /// Returns the number on the wire.
            pub const fn number(self) -> $repr {
                self as $repr
            }

            /// Returns the one that has this number.
            pub fn from_number(number: $repr) -> Option<Self> {
                let place = usize::try_from(number).ok()?;
                Self::ALL.get(place).copied()
            }
        }

        const _: () = {
            let mut place = 0;
            while place < $name::ALL.len() {
                assert!($name::ALL[place] as usize == place, "there is a gap in the numbers");
                place += 1;
            }
        };
    };
}

mod device;
mod dma;
mod feature;
mod irq;
mod low_power;
mod migration;
mod region;

pub(crate) use vfio_bindings::bindings::vfio as kernel;

pub use device::{BusMasterOperation, DeviceFlags};
pub use dma::{DmaMapFlags, DmaUnmapFlags};
pub use feature::{Feature, Operation};
pub use irq::{IrqIndex, IrqInfoFlags, IrqSetFlags};
pub use low_power::PowerManagementFlags;
pub use migration::{DeviceState, MigrationFlags};
pub use region::{RegionFlags, RegionIndex};

#[cfg(test)]
mod tests;
