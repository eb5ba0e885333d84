//! A PME without a cause.

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, of_function, plain};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "pme-spurious",
    form: "",
    about: "a wake event without a cause: PME_Status is set, and PME signalled if it is armed",
    fits: of_function,
    occasions: ANY,
    parse: |_| plain(Consequence::WakeEvent { again: false }),
};
