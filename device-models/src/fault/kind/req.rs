//! The host asks for its device back.

use crate::effect::Notice;
use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "req",
    form: "",
    about: "the host asks the clients for its device by the irq index REQ, as by the verb req",
    fits: |_| true,
    occasions: "any occasion fits",
    parse: |_| plain(Consequence::Notice(Notice::Request)),
};
