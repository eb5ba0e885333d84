//! A link that trains with fewer lanes than it has (PCIe Base §4.2.6.2).

use crate::fault::consequence::{Consequence, LinkFailure};
use crate::fault::form::{Kind, LINK, lasting, of_link};

/// The widths of a link, in lanes.
const WIDTHS: [u64; 7] = [1, 2, 4, 8, 12, 16, 32];

pub(in crate::fault) const KIND: Kind = Kind {
    name: "link-narrow",
    form: "LANES DURATION|until-power-off|for-ever",
    about: "the link of the slot has at most so many lanes: Negotiated Link Width of all functions and of \
            the port shows it",
    fits: of_link,
    occasions: LINK,
    parse: |words| {
        let choice = "1, 2, 4, 8, 12, 16 or 32";
        let width = words.number("the width of a link in lanes")?;
        if !WIDTHS.contains(&width) {
            return Err(format!("no link has {width} lanes; write {choice}"));
        }
        let (lasting, word) = lasting(words)?;
        let failure = LinkFailure::Width(width as u8);
        Ok((
            Consequence::Link { failure, lasting },
            format!("{width} {word}"),
        ))
    },
};
