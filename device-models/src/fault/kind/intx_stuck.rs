//! An INTx wire that stays asserted.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "intx-stuck",
    form: "",
    about: "the INTx wire is not released: it stays asserted until the next change",
    fits: |when| matches!(when, Occasion::Intx { asserted: false }),
    occasions: "when has to be intx-release",
    parse: |_| plain(Consequence::Prevent),
};
