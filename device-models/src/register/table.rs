//! The register table of a data sheet, and what it is in Rust.
//!
//! A table is a TOML file that reads as the summary of registers in a data sheet does:
//!
//! ```toml
//! size = 0x20             # bytes of the page
//! type = "u8"             # of registers that do not say another one
//!
//! [registers]
//! HSTSTS = { at = 0x00, type = "HostStatus", rw1c = 0xfe }
//! DAT0   = { at = 0x05, rw = "all" }
//!
//! [u8.HostStatus]
//! busy = 0                # a bit
//! protocol = "4:2"        # several
//! ```
//!
//! What is in no mask is read-only, what no register covers is reserved. [`rust`] makes of it a module with
//!
//! * a constant with the offset of each register: `HSTSTS`;
//! * a type for each set of bits: `HostStatus`, with `status.busy()`, `status.with_busy(true)`, and `HostStatus::BUSY` for
//!   a bit alone;
//! * `Registers`, a [`Block`](super::Block) that knows each register in its own type, `registers.hststs()`,
//!   `registers.set_hststs(…)`, `registers.raise_hststs(…)`, `registers.clear_hststs(…)`, and is saved as its values.
//!
//! A build script writes that to a file, and the model takes it in:
//!
//! ```text
//! include!(concat!(env!("OUT_DIR"), "/smbus.rs"));
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// Why a table is none.
#[derive(Debug, Error)]
pub enum TableError {
    /// It is not in the form of one.
    #[error(transparent)]
    Form(#[from] toml::de::Error),
    /// Something in it is wrong.
    #[error("{at}: {reason}")]
    Entry {
        /// The register, or the bits.
        at: String,
        /// What is wrong.
        reason: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    size: usize,
    #[serde(rename = "type")]
    default_type: String,
    registers: BTreeMap<String, Entry>,
    #[serde(default)]
    u8: BTreeMap<String, Bits>,
    #[serde(default)]
    u16: BTreeMap<String, Bits>,
    #[serde(default)]
    u32: BTreeMap<String, Bits>,
}

/// One register.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: usize,
    #[serde(rename = "type")]
    of_type: Option<String>,
    #[serde(default)]
    reset: u64,
    #[serde(default)]
    rw: Mask,
    #[serde(default)]
    rw1c: Mask,
}

/// Bits of a register, or `"all"`.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Mask {
    These(u64),
    Word(Word),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    All,
}

impl Default for Mask {
    fn default() -> Self {
        Self::These(0)
    }
}

/// What the bits of a register are called.
type Bits = BTreeMap<String, Field>;

/// A bit, or several as data sheets write them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Bit(u32),
    Range(String),
}

impl Field {
    /// The highest bit and the lowest one.
    fn place(&self) -> Option<(u32, u32)> {
        match self {
            Self::Bit(bit) => Some((*bit, *bit)),
            Self::Range(text) => {
                let (high, low) = text.split_once(':')?;
                Some((high.parse().ok()?, low.parse().ok()?))
            }
        }
    }
}

/// What a DWORD is made of.
#[derive(Clone, Copy, Default)]
struct Masks {
    reset: u32,
    rw: u32,
    rw1c: u32,
    covered: u32,
}

/// The types of registers whose bits have no names.
const BARE: [&str; 4] = ["u8", "u16", "u32", "u64"];

/// Bytes of the largest page.
const LARGEST: usize = 0x1_0000;

/// The table as Rust: a module of this name.
///
/// # Errors
/// It is no table, or what it says of a register or of bits cannot be.
pub fn rust(module: &str, table: &str) -> Result<String, TableError> {
    let table: Table = toml::from_str(table)?;
    if !table.size.is_multiple_of(4) || table.size > LARGEST {
        return Err(error("size", "a page is DWORDs, at most 64 KiB"));
    }
    // The types that a register can have, and how many bits they are wide.
    let mut types: BTreeMap<&str, u32> = BARE.into_iter().zip([8, 16, 32, 64]).collect();
    let mut text = String::new();
    for (width, named) in [(8, &table.u8), (16, &table.u16), (32, &table.u32)] {
        for (name, bits) in named {
            types.insert(name, width);
            text.push_str(&bits_type(name, width, bits)?);
        }
    }
    let mut dwords = vec![Masks::default(); table.size / 4];
    let mut accessors = String::new();
    for (name, entry) in &table.registers {
        let wrong = |reason| error(name, reason);
        let of_type = entry.of_type.as_ref().unwrap_or(&table.default_type);
        let width = types.get(of_type.as_str());
        let width = *width.ok_or_else(|| wrong("there is no such type"))?;
        place(&mut dwords, entry, width).map_err(wrong)?;
        let offset = format!(
            "/// Offset of `{name}`.\npub const {name}: u64 = {:#04x};\n",
            entry.at
        );
        text.push_str(&offset);
        let of_bits = if BARE.contains(&of_type.as_str()) {
            ""
        } else {
            BIT_ACCESSORS
        };
        let accessor = (ACCESSORS.to_owned() + of_bits)
            .replace("$WIDE", if width == 64 { "_u64" } else { "" })
            .replace("$FN", &name.to_lowercase())
            .replace("$NAME", name)
            .replace("$TYPE", of_type);
        accessors.push_str(&accessor);
    }
    let masks = dwords.iter().map(|dword| {
        let Masks {
            reset, rw, rw1c, ..
        } = dword;
        format!("({reset:#x}, {rw:#x}, {rw1c:#x}), ")
    });
    let page = PAGE
        .replace("$MASKS", &masks.collect::<String>())
        .replace("$ACCESSORS", &accessors);
    Ok(MODULE
        .replace("$MODULE", module)
        .replace("$TEXT", &(text + &page)))
}

fn error(at: &str, reason: &'static str) -> TableError {
    let at = at.to_owned();
    TableError::Entry { at, reason }
}

/// Puts a register where it says, if it can be there.
fn place(dwords: &mut [Masks], entry: &Entry, width: u32) -> Result<(), &'static str> {
    let (at, ones) = (entry.at, u64::MAX >> (64 - width));
    let [rw, rw1c] = [entry.rw, entry.rw1c].map(|mask| match mask {
        Mask::These(bits) => bits,
        Mask::Word(Word::All) => ones,
    });
    if (entry.reset | rw | rw1c) & !ones != 0 {
        return Err("a bit is beyond the register's type");
    }
    if rw & rw1c != 0 {
        return Err("a bit is either rw or rw1c");
    }
    if at % (width as usize / 8).min(4) != 0 {
        return Err("a register stands at a multiple of its size, or of four");
    }
    for half in 0..width.div_ceil(32) {
        let dword = dwords.get_mut(at / 4 + half as usize);
        let dword = dword.ok_or("it is beyond the page")?;
        let bits = |mask: u64| ((mask >> (32 * half)) as u32) << (8 * (at % 4));
        if dword.covered & bits(ones) != 0 {
            return Err("another register is there");
        }
        dword.covered |= bits(ones);
        dword.reset |= bits(entry.reset);
        dword.rw |= bits(rw);
        dword.rw1c |= bits(rw1c);
    }
    Ok(())
}

/// A type with a name for each of its bits.
fn bits_type(name: &str, width: u32, bits: &Bits) -> Result<String, TableError> {
    let mut methods = String::new();
    let mut covered = 0;
    for (field, place) in bits {
        let (high, low) = place
            .place()
            .filter(|(high, low)| low <= high && *high < width)
            .ok_or_else(|| error(field, "bits are BIT or \"HIGH:LOW\", within the type"))?;
        let ones = u64::MAX >> (63 - (high - low));
        if covered & ones << low != 0 {
            return Err(error(field, "another name has these bits"));
        }
        covered |= ones << low;
        let method = if high == low { BIT } else { FIELD };
        let of = (high - low + 1).next_power_of_two().max(8);
        let method = method
            .replace("$FIELD", field)
            .replace("$CONSTANT", &field.to_uppercase())
            .replace("$HIGH", &high.to_string())
            .replace("$LOW", &low.to_string())
            .replace("$ONES", &format!("{ones:#x}"))
            .replace("$OF", &format!("u{of}"));
        methods.push_str(&method);
    }
    Ok(TYPE
        .replace("$METHODS", &methods)
        .replace("$NAME", name)
        .replace("$WHOLE", &format!("u{width}")))
}

/// Shifts by zero and casts to the same type are not worth telling apart.
const MODULE: &str = "
/// The registers and their bits.
#[allow(clippy::all)]
pub mod $MODULE {
$TEXT}
";

const BIT: &str = "
    /// Bit $LOW alone.
    pub const $CONSTANT: Self = Self(1 << $LOW);

    /// Bit $LOW.
    #[must_use]
    pub const fn $FIELD(self) -> bool {
        self.0 >> $LOW & 1 == 1
    }

    /// The same with bit $LOW so.
    #[must_use]
    pub const fn with_$FIELD(self, value: bool) -> Self {
        Self(self.0 & !(1 << $LOW) | (value as $WHOLE) << $LOW)
    }
";

const FIELD: &str = "
    /// Bits $HIGH:$LOW.
    #[must_use]
    pub const fn $FIELD(self) -> $OF {
        (self.0 >> $LOW & $ONES) as $OF
    }

    /// The same with bits $HIGH:$LOW so.
    #[must_use]
    pub const fn with_$FIELD(self, value: $OF) -> Self {
        Self(self.0 & !($ONES << $LOW) | (value as $WHOLE & $ONES) << $LOW)
    }
";

const TYPE: &str = "
/// The bits of `$NAME`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
#[serde(transparent)]
pub struct $NAME($WHOLE);

impl $NAME {
    /// No bit is set.
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// These bits are set.
    #[must_use]
    pub const fn from_bits(bits: $WHOLE) -> Self {
        Self(bits)
    }

    /// All of the bits.
    #[must_use]
    pub const fn into_bits(self) -> $WHOLE {
        self.0
    }

    /// Whether any of these bits is set.
    #[must_use]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 != 0
    }
$METHODS}

impl ::std::ops::BitOr for $NAME {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ::std::ops::BitAnd for $NAME {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl ::std::ops::Not for $NAME {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl From<$WHOLE> for $NAME {
    fn from(bits: $WHOLE) -> Self {
        Self(bits)
    }
}

impl From<$NAME> for $WHOLE {
    fn from(bits: $NAME) -> Self {
        bits.0
    }
}

impl ::pci_device_models::register::RegisterBits for $NAME {
    const WIDTH: u32 = $WHOLE::BITS;
    fn to_bits(self) -> u32 {
        self.0.into()
    }
    fn of_bits(bits: u32) -> Self {
        Self(bits as $WHOLE)
    }
}

";

const ACCESSORS: &str = "
    /// `$NAME`.
    #[must_use]
    pub fn $FN(&self) -> $TYPE {
        self.0.get$WIDE($NAME as usize)
    }

    /// Hardware's own change of `$NAME`.
    pub fn set_$FN(&mut self, value: $TYPE) {
        self.0.set$WIDE($NAME as usize, value);
    }

";

const BIT_ACCESSORS: &str = "
    /// Sets these bits of `$NAME`.
    pub fn raise_$FN(&mut self, bits: $TYPE) {
        self.set_$FN(self.$FN() | bits);
    }

    /// Clears these bits of `$NAME`.
    pub fn clear_$FN(&mut self, bits: $TYPE) {
        self.set_$FN(self.$FN() & !bits);
    }
";

const PAGE: &str = "
/// The registers, each in its own type.
#[derive(Clone, Debug, ::serde::Serialize, ::serde::Deserialize)]
#[serde(try_from = \"Vec<u32>\", into = \"Vec<u32>\")]
pub struct Registers(::pci_device_models::register::Block);

impl Registers {$ACCESSORS}

impl Default for Registers {
    fn default() -> Self {
        Self(::pci_device_models::register::Block::of_masks(&[$MASKS]))
    }
}

impl ::std::ops::Deref for Registers {
    type Target = ::pci_device_models::register::Block;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl ::std::ops::DerefMut for Registers {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl TryFrom<Vec<u32>> for Registers {
    type Error = ::pci_device_models::snapshot::RestoreError;
    fn try_from(values: Vec<u32>) -> Result<Self, Self::Error> {
        let mut registers = Self::default();
        registers.0.set_values(\"registers\", &values)?;
        Ok(registers)
    }
}

impl From<Registers> for Vec<u32> {
    fn from(registers: Registers) -> Self {
        registers.0.values()
    }
}
";

#[cfg(test)]
mod tests;
