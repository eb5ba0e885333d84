//! An INTx level that does not arrive.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "intx-lost",
    form: "",
    about: "the INTx wire is not asserted; Interrupt Status is set all the same",
    fits: |when| matches!(when, Occasion::Intx { asserted: true }),
    occasions: "when has to be intx-assert",
    parse: |_| plain(Consequence::Prevent),
};
