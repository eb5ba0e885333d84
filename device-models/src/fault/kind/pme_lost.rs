//! A PME that nobody hears.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "pme-lost",
    form: "",
    about: "the PM_PME message is lost, or the wake signal not asserted; PME_Status is set all the same",
    fits: |when| matches!(when, Occasion::Pme),
    occasions: "when has to be pme",
    parse: |_| plain(Consequence::Prevent),
};
