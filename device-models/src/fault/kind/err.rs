//! The host reports an error of the device.

use crate::effect::Notice;
use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "err",
    form: "",
    about: "the host reports an uncorrectable error to the clients by the irq index ERR, as by the verb err",
    fits: |_| true,
    occasions: "any occasion fits",
    parse: |_| plain(Consequence::Notice(Notice::Error)),
};
