//! PME messages without end.

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, of_function, plain};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "pme-storm",
    form: "",
    about: "a wake event without a cause that is signalled even if software has not cleared the last one: with every, a storm of PM_PME messages",
    fits: of_function,
    occasions: ANY,
    parse: |_| plain(Consequence::WakeEvent { again: true }),
};
