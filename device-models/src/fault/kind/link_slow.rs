//! A link that trains at a lower speed than it has (PCIe Base §4.2.6.2).

use crate::fault::consequence::{Consequence, LinkFailure};
use crate::fault::form::{Kind, LINK, lasting, of_link};

/// The speeds of a link, in the order of their encodings from 1 on.
const SPEEDS: [&str; 6] = ["2.5gt", "5gt", "8gt", "16gt", "32gt", "64gt"];

pub(in crate::fault) const KIND: Kind = Kind {
    name: "link-slow",
    form: "SPEED DURATION|until-power-off|for-ever",
    about: "the link of the slot has at most this speed, such as 2.5gt: Current Link Speed of all functions \
            and of the port shows it",
    fits: of_link,
    occasions: LINK,
    parse: |words| {
        let choice = SPEEDS.join(", ");
        let speed = words.need(&format!("one of {choice}"))?;
        let found = (1..).zip(SPEEDS).find(|(_, name)| *name == speed);
        let (encoding, _) = found
            .ok_or_else(|| format!("'{speed}' is no speed of a link; write one of {choice}"))?;
        let (lasting, word) = lasting(words)?;
        let failure = LinkFailure::Speed(encoding);
        Ok((
            Consequence::Link { failure, lasting },
            format!("{speed} {word}"),
        ))
    },
};
