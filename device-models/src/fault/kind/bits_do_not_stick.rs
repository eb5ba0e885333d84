//! Bits of config space that a write does not change.

use crate::fault::consequence::Consequence;
use crate::fault::form::Kind;
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "bits-do-not-stick",
    form: "OFFSET MASK",
    about: "the write leaves these bits of the DWORD at OFFSET as they were",
    fits: |when| matches!(when, Occasion::ConfigWrite(_)),
    occasions: "when has to be config-write",
    parse: |words| {
        let offset = words.number("the offset of a DWORD in config space")?;
        if !offset.is_multiple_of(4) || offset > 0xffc {
            return Err(format!(
                "{offset:#x} is no offset of a DWORD; write a multiple of 4 up to 0xffc"
            ));
        }
        let mask = words.number("a mask of 32 bits")?;
        let mask = u32::try_from(mask)
            .map_err(|_| "the mask has more than 32 bits; write a smaller one")?;
        Ok((
            Consequence::KeepBits { offset, mask },
            format!("{offset:#x} {mask:#x}"),
        ))
    },
};
