//! Containment by the port above (PCIe Base §6.2.11).

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, lasting, of_function};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "dpc",
    form: "DURATION|until-power-off|for-ever",
    about: "the port above contains an error: the link goes down, which resets all functions of the slot, \
            and they read all ones until it is up again",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let (lasting, word) = lasting(words)?;
        Ok((Consequence::Contain { lasting }, word))
    },
};
