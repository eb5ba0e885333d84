//! The description of registers: names, places, attributes and fields, as a data sheet has them.
//!
//! A Rust model declares its registers with [`registers!`](crate::registers), which describes them
//! in constants and checks the description when the model is compiled. Descriptions made at run
//! time have the same types: a [`RegisterDescription`] can be deserialized, and
//! [`BankDescription::new`] checks its arguments.

mod entry;
mod mistake;

use std::borrow::Cow;

use serde::Deserialize;

pub use mistake::{DescriptionError, Problem};

use super::{Access, Attributes, Block, Dword};

/// The registers of a bank: those of a BAR, or of a page of it.
///
/// ```
/// use pci_device_models::register::{BankDescription, RegisterDescription};
///
/// #[derive(serde::Deserialize)]
/// struct Profile {
///     register: Vec<RegisterDescription>,
/// }
///
/// let profile: Profile = toml::from_str(
///     r#"
///     [[register]]
///     offset = 0x04
///     name = "STATUS"
///     width = 8
///     reset = 0x10
///     rw1c = 0x06
///     fields = { busy = 0, done = 1, error = 2, state = "5:4" }
///     "#,
/// )?;
/// let bank = BankDescription::new("bar0", 0x10, profile.register)?;
/// let status = bank.register_at(0x04).ok_or("there is a register")?;
/// assert_eq!(status.name(), "STATUS");
/// assert_eq!(bank.block().read_at(0x04), 0x10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankDescription {
    name: Cow<'static, str>,
    size: u64,
    registers: Cow<'static, [RegisterDescription]>,
}

impl BankDescription {
    /// Creates the description of a bank of `size` bytes.
    ///
    /// # Errors
    /// The description has a mistake.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        size: u64,
        registers: Vec<RegisterDescription>,
    ) -> Result<Self, DescriptionError> {
        let bank = Self {
            name: name.into(),
            size,
            registers: registers.into(),
        };
        match bank.mistake() {
            None => Ok(bank),
            Some(mistake) => Err(mistake.into()),
        }
    }

    /// Creates a description without a check, for [`registers!`](crate::registers).
    #[doc(hidden)]
    #[must_use]
    pub const fn unchecked(
        name: &'static str,
        size: u64,
        registers: &'static [RegisterDescription],
    ) -> Self {
        Self {
            name: Cow::Borrowed(name),
            size,
            registers: Cow::Borrowed(registers),
        }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &str {
        mistake::text(&self.name)
    }

    /// Returns the length in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the registers in the order of the description.
    #[must_use]
    pub const fn registers(&self) -> &[RegisterDescription] {
        match &self.registers {
            Cow::Borrowed(registers) => registers,
            Cow::Owned(registers) => registers.as_slice(),
        }
    }

    /// Returns the register that covers the byte at `offset`.
    #[must_use]
    pub fn register_at(&self, offset: u64) -> Option<&RegisterDescription> {
        let covers = |register: &&RegisterDescription| {
            let byte = offset.checked_sub(register.offset);
            byte.is_some_and(|byte| byte < register.bytes())
        };
        self.registers().iter().find(covers)
    }

    /// Returns the registers with their reset values.
    #[must_use]
    pub fn block(&self) -> Block {
        let mut dwords = vec![Dword::new(); self.size as usize / 4];
        for register in self.registers() {
            let (index, shift) = (register.offset as usize / 4, 8 * (register.offset % 4));
            let parts = [
                register.attributes.map(|mask| mask << shift),
                register.attributes.map(|mask| mask >> 32),
            ];
            let covered = register.width.div_ceil(32) as usize;
            let dwords = dwords.iter_mut().skip(index).take(covered);
            for (dword, part) in dwords.zip(parts) {
                dword.place(part);
            }
        }
        Block::new(dwords)
    }
}

/// A register of a bank.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "entry::Register")]
pub struct RegisterDescription {
    name: Cow<'static, str>,
    offset: u64,
    width: u32,
    attributes: Attributes,
    fields: Cow<'static, [FieldDescription]>,
}

impl RegisterDescription {
    /// Creates the description of a register of `width` bits at byte `offset` of its bank.
    #[must_use]
    pub const fn new(
        name: &'static str,
        offset: u64,
        width: u32,
        attributes: Attributes,
        fields: &'static [FieldDescription],
    ) -> Self {
        Self {
            name: Cow::Borrowed(name),
            offset,
            width,
            attributes,
            fields: Cow::Borrowed(fields),
        }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &str {
        mistake::text(&self.name)
    }

    /// Returns the byte offset in the bank.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the width in bits.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Returns the reset value and the attributes of the bits.
    #[must_use]
    pub const fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Returns the access that software has to bit `bit`.
    #[must_use]
    pub const fn access(&self, bit: u32) -> Access {
        self.attributes.access(bit)
    }

    /// Returns the named fields.
    #[must_use]
    pub const fn fields(&self) -> &[FieldDescription] {
        match &self.fields {
            Cow::Borrowed(fields) => fields,
            Cow::Owned(fields) => fields.as_slice(),
        }
    }

    const fn bytes(&self) -> u64 {
        (self.width / 8) as u64
    }
}

/// A named field of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDescription {
    name: Cow<'static, str>,
    low: u32,
    width: u32,
}

impl FieldDescription {
    /// Creates the description of the field of `width` bits from bit `low` on.
    #[must_use]
    pub const fn new(name: &'static str, low: u32, width: u32) -> Self {
        Self {
            name: Cow::Borrowed(name),
            low,
            width,
        }
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &str {
        mistake::text(&self.name)
    }

    /// Returns the number of the lowest bit.
    #[must_use]
    pub const fn low(&self) -> u32 {
        self.low
    }

    /// Returns the width in bits.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Returns the field's part of a register's value.
    ///
    /// ```
    /// use pci_device_models::register::FieldDescription;
    /// assert_eq!(FieldDescription::new("protocol", 2, 3).value(0b1_1010), 0b110);
    /// ```
    #[must_use]
    pub const fn value(&self, register: u64) -> u64 {
        (register & self.mask()) >> self.low
    }

    /// Returns the field's bits in the register. The description has been checked.
    const fn mask(&self) -> u64 {
        match (
            u64::MAX.checked_shr(64_u32.saturating_sub(self.width)),
            self.low,
        ) {
            (Some(ones), 0..64) => ones << self.low,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
