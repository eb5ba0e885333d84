//! A transfer that ends with an error.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "dma-error",
    form: "",
    about: "the transfer does not reach memory and ends as an Unsupported Request",
    fits: |when| matches!(when, Occasion::Dma),
    occasions: "when has to be dma",
    parse: |_| plain(Consequence::RefuseTransfer),
};
