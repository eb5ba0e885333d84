//! The attributes of a register's bits, as masks.

/// Reset value and attributes of the bits of a register, bit 0 being the register's lowest.
///
/// A bit that no mask names is read-only, and every reset restores it.
///
/// ```
/// use pci_device_models::register::Attributes;
/// // Two bits of storage, a status bit that only a fundamental reset clears, one bit that reads 1.
/// const STATUS: Attributes = Attributes::new().reset(0x8000).rw(0x0003).rw1c(0x0100).sticky(0x0100);
/// assert_eq!(STATUS.reset_value(), 0x8000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub(super) reset: u64,
    pub(super) rw: u64,
    pub(super) rw1c: u64,
    pub(super) hot: u64,
    pub(super) flr: u64,
    pub(super) soft: u64,
    pub(super) aux: u64,
}

impl Attributes {
    /// Creates the attributes of a read-only register that reads zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reset: 0,
            rw: 0,
            rw1c: 0,
            hot: 0,
            flr: 0,
            soft: 0,
            aux: 0,
        }
    }

    /// Sets the value after a reset.
    #[must_use]
    pub const fn reset(mut self, value: u64) -> Self {
        self.reset = value;
        self
    }

    /// Makes bits readable and writable (RW).
    #[must_use]
    pub const fn rw(mut self, mask: u64) -> Self {
        self.rw |= mask;
        self
    }

    /// Makes bits status that software clears by writing one (RW1C).
    #[must_use]
    pub const fn rw1c(mut self, mask: u64) -> Self {
        self.rw1c |= mask;
        self
    }

    /// Makes bits sticky (ROS, RWS, RW1CS): only a fundamental reset touches them.
    #[must_use]
    pub const fn sticky(mut self, mask: u64) -> Self {
        self.hot |= mask;
        self.kept_by_flr(mask)
    }

    /// Makes bits survive an FLR although they are not sticky (PCIe Base §6.6.2), and the internal
    /// reset of D3hot→D0 as well.
    #[must_use]
    pub const fn kept_by_flr(mut self, mask: u64) -> Self {
        self.flr |= mask;
        self.kept_by_soft_reset(mask)
    }

    /// Makes bits survive only the internal reset of D3hot→D0, as PME context does.
    #[must_use]
    pub const fn kept_by_soft_reset(mut self, mask: u64) -> Self {
        self.soft |= mask;
        self
    }

    /// Makes bits sticky that survive a fundamental reset as well while auxiliary power lasts.
    #[must_use]
    pub const fn aux_backed(mut self, mask: u64) -> Self {
        self.aux |= mask;
        self.sticky(mask)
    }

    /// Returns the value after a reset.
    #[must_use]
    pub const fn reset_value(self) -> u64 {
        self.reset
    }

    /// Returns the access that software has to bit `bit`.
    #[must_use]
    pub const fn access(self, bit: u32) -> Access {
        if self.rw >> bit & 1 == 1 {
            Access::ReadWrite
        } else if self.rw1c >> bit & 1 == 1 {
            Access::WriteOneToClear
        } else {
            Access::ReadOnly
        }
    }

    /// Returns all bits that the reset value or a mask names.
    pub(super) const fn named(self) -> u64 {
        // What survives a deeper reset survives the milder ones.
        self.reset | self.rw | self.rw1c | self.soft
    }

    /// Returns the attributes with `map` applied to every mask.
    pub(super) fn map(self, map: impl Fn(u64) -> u64) -> Self {
        Self {
            reset: map(self.reset),
            rw: map(self.rw),
            rw1c: map(self.rw1c),
            hot: map(self.hot),
            flr: map(self.flr),
            soft: map(self.soft),
            aux: map(self.aux),
        }
    }
}

/// The access that software has to a bit of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// RO and HwInit: writes are ignored.
    ReadOnly,
    /// RW: storage.
    ReadWrite,
    /// RW1C: writing one clears the bit, writing zero leaves it.
    WriteOneToClear,
}
