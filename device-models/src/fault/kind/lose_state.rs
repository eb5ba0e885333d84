//! `No_Soft_Reset` that lies.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, RETURN, of_return, plain};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "lose-state",
    form: "",
    about: "the function resets itself on its way to D0, although No_Soft_Reset says that it does not",
    fits: of_return,
    occasions: RETURN,
    parse: |_| plain(Consequence::LoseState),
};
