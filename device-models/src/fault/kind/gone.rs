//! A function that falls off the bus.

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, lasting, of_function};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "gone",
    form: "DURATION|until-power-off|for-ever",
    about: "the function falls off the bus (surprise removal) and comes back as after power-on: it reads \
            all ones, its interrupts and transfers end",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let (lasting, word) = lasting(words)?;
        Ok((Consequence::Gone { lasting }, word))
    },
};
