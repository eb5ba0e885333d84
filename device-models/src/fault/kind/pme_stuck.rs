//! A PME_Status that cannot be cleared.

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, lasting, of_function};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "pme-stuck",
    form: "DURATION|until-power-off|for-ever",
    about: "PME_Status cannot be cleared: a write of one leaves it set, and PME is signalled again and again",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let (lasting, word) = lasting(words)?;
        Ok((Consequence::KeepPmeStatus { lasting }, word))
    },
};
