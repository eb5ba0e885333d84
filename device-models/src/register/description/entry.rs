//! The form of a register in TOML.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{FieldDescription, RegisterDescription};
use crate::register::Attributes;

/// A table `[[register]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Register {
    name: String,
    offset: u64,
    #[serde(default = "dword")]
    width: u32,
    #[serde(default)]
    reset: u64,
    #[serde(default)]
    rw: Mask,
    #[serde(default)]
    rw1c: Mask,
    #[serde(default)]
    sticky: Mask,
    #[serde(default)]
    kept_by_flr: Mask,
    #[serde(default)]
    kept_by_soft_reset: Mask,
    #[serde(default)]
    aux_backed: Mask,
    #[serde(default)]
    fields: BTreeMap<String, Place>,
}

const fn dword() -> u32 {
    32
}

/// Bits of a register, or `"all"`.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "a mask is a number or \"all\"")]
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

impl Mask {
    fn bits(self, width: u32) -> u64 {
        match self {
            Self::These(bits) => bits,
            Self::Word(Word::All) => u64::MAX
                .checked_shr(64_u32.saturating_sub(width))
                .unwrap_or(0),
        }
    }
}

/// The place of a field: a bit, or `"HIGH:LOW"`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Bits")]
struct Place {
    low: u32,
    width: u32,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the place of a field is a bit or \"HIGH:LOW\"")]
enum Bits {
    One(u32),
    Range(String),
}

impl TryFrom<Bits> for Place {
    type Error = &'static str;

    fn try_from(bits: Bits) -> Result<Self, Self::Error> {
        let text = match bits {
            Bits::One(low) => return Ok(Self { low, width: 1 }),
            Bits::Range(text) => text,
        };
        let place = text.split_once(':').and_then(|(high, low)| {
            let (high, low): (u32, u32) = (high.parse().ok()?, low.parse().ok()?);
            let width = high.checked_sub(low)?.checked_add(1)?;
            Some(Self { low, width })
        });
        place.ok_or("the place of a field is a bit or \"HIGH:LOW\"")
    }
}

impl From<Register> for RegisterDescription {
    fn from(entry: Register) -> Self {
        let [rw, rw1c, sticky, flr, soft, aux] = [
            entry.rw,
            entry.rw1c,
            entry.sticky,
            entry.kept_by_flr,
            entry.kept_by_soft_reset,
            entry.aux_backed,
        ]
        .map(|mask| mask.bits(entry.width));
        let field = |(name, Place { low, width })| FieldDescription {
            name: Cow::Owned(name),
            low,
            width,
        };
        let mut fields: Vec<_> = entry.fields.into_iter().map(field).collect();
        fields.sort_by_key(FieldDescription::low);
        Self {
            name: entry.name.into(),
            offset: entry.offset,
            width: entry.width,
            attributes: Attributes::new()
                .reset(entry.reset)
                .rw(rw)
                .rw1c(rw1c)
                .sticky(sticky)
                .kept_by_flr(flr)
                .kept_by_soft_reset(soft)
                .aux_backed(aux),
            fields: fields.into(),
        }
    }
}
