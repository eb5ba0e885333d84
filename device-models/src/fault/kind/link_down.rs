//! A link that does not train (PCIe Base §4.2.6, §6.6.1).

use crate::fault::consequence::{Consequence, LinkFailure};
use crate::fault::form::{Kind, LINK, lasting, of_link};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "link-down",
    form: "DURATION|until-power-off|for-ever",
    about: "the link of the slot does not train: all functions behind it are reset, read all ones and send \
            nothing; Data Link Layer Link Active of the port is clear",
    fits: of_link,
    occasions: LINK,
    parse: |words| {
        let (lasting, word) = lasting(words)?;
        let failure = LinkFailure::Down;
        Ok((Consequence::Link { failure, lasting }, word))
    },
};
