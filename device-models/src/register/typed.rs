//! A register's masks in the register's own bitfield type.

/// A register's bitfield type: 8, 16 or 32 bits wide.
pub trait RegisterBits: Copy {
    /// Width in bits.
    const WIDTH: u32;
    /// The bits, in the low end.
    fn to_bits(self) -> u32;
    /// The register with these bits; what exceeds the width is dropped.
    fn of_bits(bits: u32) -> Self;
}

/// Makes a `bitfield_struct` type (or an integer) a [`RegisterBits`].
macro_rules! register_bits {
    ($($register:ty: $integer:ty),* $(,)?) => {$(
        impl $crate::register::RegisterBits for $register {
            const WIDTH: u32 = <$integer>::BITS;
            fn to_bits(self) -> u32 {
                u32::from(<$integer>::from(self))
            }
            fn of_bits(bits: u32) -> Self {
                Self::from(bits as $integer)
            }
        }
    )*};
}
pub(crate) use register_bits;

register_bits!(u8: u8, u16: u16, u32: u32);

/// What a register is: reset value and masks, each of them a value of the register's own type.
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
    pub(super) reset: T,
    pub(super) rw: u32,
    pub(super) rw1c: u32,
    pub(super) hot: u32,
    pub(super) flr: u32,
    pub(super) soft: u32,
    pub(super) aux: u32,
}

impl<T: RegisterBits> Register<T> {
    /// A read-only register with this value; every reset restores it.
    #[must_use]
    pub fn new(reset: T) -> Self {
        Self {
            reset,
            rw: 0,
            rw1c: 0,
            hot: 0,
            flr: 0,
            soft: 0,
            aux: 0,
        }
    }

    /// Bits that software reads and writes.
    #[must_use]
    pub fn rw(mut self, mask: T) -> Self {
        self.rw |= mask.to_bits();
        self
    }

    /// Bits that software clears by writing one.
    #[must_use]
    pub fn rw1c(mut self, mask: T) -> Self {
        self.rw1c |= mask.to_bits();
        self
    }

    /// Bits that only a fundamental reset touches (ROS, RWS, RW1CS).
    #[must_use]
    pub fn sticky(mut self, mask: T) -> Self {
        self.hot |= mask.to_bits();
        self.kept_by_flr(mask)
    }

    /// Bits that FLR leaves alone though they are not sticky (PCIe Base §6.6.2), the internal
    /// reset of D3hot→D0 likewise.
    #[must_use]
    pub fn kept_by_flr(mut self, mask: T) -> Self {
        self.flr |= mask.to_bits();
        self.kept_by_soft_reset(mask)
    }

    /// Bits that only the internal reset of D3hot→D0 leaves alone, as it does PME context.
    #[must_use]
    pub fn kept_by_soft_reset(mut self, mask: T) -> Self {
        self.soft |= mask.to_bits();
        self
    }

    /// Sticky bits that keep their value over a fundamental reset as well while auxiliary power
    /// lasts.
    #[must_use]
    pub fn aux_backed(mut self, mask: T) -> Self {
        self.aux |= mask.to_bits();
        self.sticky(mask)
    }
}
