//! A register's attributes in the register's own bitfield type.

use super::{Attributes, FieldDescription};

/// The type of a register's value: an integer, or a `bitfield_struct` type made one by
/// [`register_bits!`](crate::register_bits).
pub trait RegisterBits: Copy {
    /// Width in bits: 8, 16, 32 or 64.
    const WIDTH: u32;
    /// The named fields, lowest first.
    const FIELDS: &'static [FieldDescription] = &[];
    /// Returns the bits, in the low end.
    fn to_bits(self) -> u64;
    /// Creates the register's value from these bits; what exceeds the width is dropped.
    fn of_bits(bits: u64) -> Self;
}

crate::register_bits!(u8: u8, u16: u16, u32: u32, u64: u64);

/// A register: reset value and attributes, each of them a value of the register's own type.
///
/// ```
/// use pci_device_models::register::{Dword, Register};
/// // Two bits of storage, one status bit cleared by writing one, one bit that reads as set for ever.
/// let register = Register::new(0x8000_u16).rw(0x0003).rw1c(0x0100);
/// let mut dword = Dword::new().with(0, register);
/// assert_eq!(dword.value(), 0x8000);
/// # dword.write(pci_device_models::register::DwordWrite::full(0xffff));
/// # assert_eq!(dword.value(), 0x8003);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Register<T> {
    pub(super) attributes: Attributes,
    of_type: std::marker::PhantomData<T>,
}

impl<T: RegisterBits> Register<T> {
    /// Creates a read-only register with this value; every reset restores it.
    #[must_use]
    pub fn new(reset: T) -> Self {
        Self {
            attributes: Attributes::new().reset(reset.to_bits()),
            of_type: std::marker::PhantomData,
        }
    }

    fn with(self, mask: T, attribute: impl Fn(Attributes, u64) -> Attributes) -> Self {
        Self {
            attributes: attribute(self.attributes, mask.to_bits()),
            ..self
        }
    }

    /// Makes bits readable and writable.
    #[must_use]
    pub fn rw(self, mask: T) -> Self {
        self.with(mask, Attributes::rw)
    }

    /// Makes bits status that software clears by writing one.
    #[must_use]
    pub fn rw1c(self, mask: T) -> Self {
        self.with(mask, Attributes::rw1c)
    }

    /// Makes bits sticky, as [`Attributes::sticky`] does.
    #[must_use]
    pub fn sticky(self, mask: T) -> Self {
        self.with(mask, Attributes::sticky)
    }

    /// Makes bits survive an FLR, as [`Attributes::kept_by_flr`] does.
    #[must_use]
    pub fn kept_by_flr(self, mask: T) -> Self {
        self.with(mask, Attributes::kept_by_flr)
    }

    /// Makes bits survive the internal reset of D3hot→D0, as [`Attributes::kept_by_soft_reset`] does.
    #[must_use]
    pub fn kept_by_soft_reset(self, mask: T) -> Self {
        self.with(mask, Attributes::kept_by_soft_reset)
    }

    /// Makes bits depend on auxiliary power, as [`Attributes::aux_backed`] does.
    #[must_use]
    pub fn aux_backed(self, mask: T) -> Self {
        self.with(mask, Attributes::aux_backed)
    }
}
