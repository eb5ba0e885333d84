//! The 32-bit unit of storage and access, and blocks of them.

use serde_json::Value;

use super::{Attributes, DwordWrite, Lanes, Register, RegisterBits, ResetKind};
use crate::snapshot::{self, Fingerprint, RestoreError};

/// A DWORD of registers: its value, the bits that software may change, and the bits that each reset
/// keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dword {
    value: u32,
    reset: u32,
    rw: u32,
    rw1c: u32,
    hot: u32,
    flr: u32,
    soft: u32,
    aux: u32,
}

/// The value of a DWORD before and after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Value before.
    pub before: u32,
    /// Value after.
    pub after: u32,
}

impl Written {
    /// Returns the bits that changed.
    #[must_use]
    pub const fn changed(self) -> u32 {
        self.before ^ self.after
    }
}

impl Dword {
    /// Creates four reserved bytes: they read zero and ignore writes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a read-only DWORD.
    #[must_use]
    pub fn read_only(value: u32) -> Self {
        Self::new().with(0, Register::new(value))
    }

    /// Places `register` at byte `byte` (0 to 3). Bits beyond the DWORD are cut off.
    #[must_use]
    pub fn with<T: RegisterBits>(mut self, byte: u32, register: Register<T>) -> Self {
        let shift = 8 * byte.min(3);
        self.place(register.attributes.map(|mask| mask << shift));
        self
    }

    /// Adds bits with these attributes, of which the low 32 are this DWORD's.
    pub(super) fn place(&mut self, attributes: Attributes) {
        self.reset |= attributes.reset as u32;
        self.value = self.reset;
        self.rw |= attributes.rw as u32;
        self.rw1c |= attributes.rw1c as u32;
        self.hot |= attributes.hot as u32;
        self.flr |= attributes.flr as u32;
        self.soft |= attributes.soft as u32;
        self.aux |= attributes.aux as u32;
    }

    /// Returns the current value.
    #[must_use]
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// Returns the register at byte `byte` in its own type.
    #[must_use]
    pub fn get<T: RegisterBits>(&self, byte: u32) -> T {
        T::of_bits(u64::from(self.value >> (8 * byte.min(3))))
    }

    /// Changes the register at byte `byte` as hardware does, without the limits of software.
    pub fn set<T: RegisterBits>(&mut self, byte: u32, register: T) {
        let shift = 8 * byte.min(3);
        let mask = (u64::MAX >> (64 - T::WIDTH)) << shift;
        self.value = (self.value & !(mask as u32)) | (register.to_bits() << shift) as u32;
    }

    /// Makes the bits in `mask` storage where `rw` is set, and read-only zero elsewhere. Resizable
    /// BARs move this boundary.
    pub fn set_writable(&mut self, mask: u32, rw: u32) {
        self.rw = (self.rw & !mask) | (rw & mask);
        self.value &= !(mask & !rw);
    }

    /// Makes the bits in `mask` read-only with these values, permanently.
    pub fn define(&mut self, mask: u32, value: u32) {
        self.reset = (self.reset & !mask) | (value & mask);
        self.value = (self.value & !mask) | (value & mask);
        self.rw &= !mask;
        self.rw1c &= !mask;
    }

    /// Returns whether this value differs from the present one in RW bits only.
    #[must_use]
    pub const fn could_hold(&self, value: u32) -> bool {
        (self.value ^ value) & !self.rw == 0
    }

    fn add_shape(&self, shape: &mut Fingerprint) {
        let Self {
            value: _,
            reset,
            rw,
            rw1c,
            hot,
            flr,
            soft,
            aux,
        } = *self;
        for word in [reset, rw, rw1c, hot, flr, soft, aux] {
            shape.add(&word.to_le_bytes());
        }
    }

    /// Returns the RW bits.
    #[must_use]
    pub const fn rw(&self) -> u32 {
        self.rw
    }

    /// Returns the RW1C bits.
    #[must_use]
    pub const fn rw1c(&self) -> u32 {
        self.rw1c
    }

    /// Writes as software does: stores to RW bits, clears RW1C bits written as one, ignores the rest.
    pub fn write(&mut self, write: DwordWrite) -> Written {
        let before = self.value;
        let rw = self.rw & write.lanes().mask();
        self.value = (self.value & !rw) | (write.value() & rw);
        self.value &= !(write.value() & self.rw1c);
        Written {
            before,
            after: self.value,
        }
    }

    /// Returns the bits that a reset of this kind keeps.
    #[must_use]
    pub const fn kept(&self, kind: ResetKind) -> u32 {
        match kind {
            ResetKind::PowerOn => 0,
            ResetKind::Fundamental => self.aux,
            ResetKind::Hot => self.hot,
            ResetKind::Flr => self.flr,
            ResetKind::SoftD3hot => self.soft,
        }
    }

    /// Restores the reset value, except for the bits that this kind of reset keeps.
    pub fn reset(&mut self, kind: ResetKind) {
        let kept = self.kept(kind);
        self.value = (self.value & kept) | (self.reset & !kept);
    }
}

/// Consecutive DWORDs, for example those of a capability or of a device's register page.
///
/// [`BankDescription::block`](super::BankDescription::block) creates one from a description, and
/// [`Block::new`] from DWORDs whose attributes are known only at run time.
#[derive(Clone, Debug, Default)]
pub struct Block(Vec<Dword>);

impl Block {
    /// Creates a block of these DWORDs.
    #[must_use]
    pub fn new(dwords: impl Into<Vec<Dword>>) -> Self {
        Self(dwords.into())
    }

    /// Returns the length in DWORDs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the block has no DWORD.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of DWORD `index`, zero beyond the end.
    #[must_use]
    pub fn read(&self, index: usize) -> u32 {
        self.0.get(index).map_or(0, Dword::value)
    }

    /// Writes to DWORD `index` as software does. A write beyond the end is ignored.
    pub fn write(&mut self, index: usize, write: DwordWrite) -> Written {
        self.0.get_mut(index).map_or(
            Written {
                before: 0,
                after: 0,
            },
            |dword| dword.write(write),
        )
    }

    /// Returns the DWORD at byte offset `offset`, zero beyond the end.
    #[must_use]
    pub fn read_at(&self, offset: u64) -> u32 {
        self.read(usize::try_from(offset / 4).unwrap_or(usize::MAX))
    }

    /// Writes to the DWORD at byte offset `offset` as software does. A write beyond the end is
    /// ignored.
    pub fn write_at(&mut self, offset: u64, write: DwordWrite) -> Written {
        self.write(usize::try_from(offset / 4).unwrap_or(usize::MAX), write)
    }

    /// Writes to the byte at byte offset `offset` as software does. Use it for registers of one
    /// byte, which an access reaches one after the other.
    pub fn write_byte_at(&mut self, offset: u64, value: u8) -> Written {
        let byte = (offset % 4) as usize;
        let write = DwordWrite::new(u32::from(value) << (8 * byte), Lanes::new(byte, 1));
        self.write_at(offset, write)
    }

    /// Returns the register at byte offset `offset` of the block. One of 64 bits has its low DWORD
    /// first.
    #[must_use]
    pub fn get<T: RegisterBits>(&self, offset: usize) -> T {
        let low = self.read(offset / 4) >> (8 * (offset % 4));
        let high = if T::WIDTH > 32 {
            self.read(offset / 4 + 1)
        } else {
            0
        };
        T::of_bits(u64::from(high) << 32 | u64::from(low))
    }

    /// Changes the register at byte offset `offset` as hardware does, without the limits of
    /// software.
    pub fn set<T: RegisterBits>(&mut self, offset: usize, register: T) {
        if let Some(dword) = self.0.get_mut(offset / 4) {
            dword.set((offset % 4) as u32, register);
        }
        if T::WIDTH > 32
            && let Some(dword) = self.0.get_mut(offset / 4 + 1)
        {
            dword.set(0, (register.to_bits() >> 32) as u32);
        }
    }

    /// Returns DWORD `index`, to change its attributes.
    pub fn dword_mut(&mut self, index: usize) -> Option<&mut Dword> {
        self.0.get_mut(index)
    }

    /// Returns the DWORDs in order.
    pub fn iter(&self) -> impl Iterator<Item = &Dword> {
        self.0.iter()
    }

    /// Returns the values in order.
    #[must_use]
    pub fn values(&self) -> Vec<u32> {
        self.0.iter().map(Dword::value).collect()
    }

    /// Sets the values of all DWORDs to those that [`Self::values`] returned. `at` is the place of
    /// the values in the saved tree, for the message.
    ///
    /// # Errors
    /// There are more or fewer values than DWORDs.
    pub fn set_values(&mut self, at: &str, values: &[u32]) -> Result<(), RestoreError> {
        if values.len() != self.0.len() {
            let (found, len) = (values.len(), self.0.len());
            let reason = format!("there are {found} registers instead of {len}");
            return Err(RestoreError::part(at, reason));
        }
        for (dword, value) in self.0.iter_mut().zip(values) {
            dword.value = *value;
        }
        Ok(())
    }

    /// Returns the values as a tree.
    #[must_use]
    pub fn save(&self) -> Value {
        snapshot::tree(&self.values())
    }

    /// Restores the values that [`Self::save`] returned.
    ///
    /// # Errors
    /// Those of [`Self::set_values`].
    pub fn restore(&mut self, at: &str, saved: &Value) -> Result<(), RestoreError> {
        self.set_values(at, &snapshot::read::<Vec<u32>>(at, saved)?)
    }

    pub(crate) fn add_shape(&self, shape: &mut Fingerprint) {
        for dword in &self.0 {
            dword.add_shape(shape);
        }
    }

    /// Resets every DWORD.
    pub fn reset(&mut self, kind: ResetKind) {
        for dword in &mut self.0 {
            dword.reset(kind);
        }
    }
}
