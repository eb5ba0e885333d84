//! A message signalled interrupt that does not arrive.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "msi-lost",
    form: "",
    about: "the message of an MSI or MSI-X interrupt is lost; its pending bit is clear",
    fits: |when| matches!(when, Occasion::Message(_)),
    occasions: "when has to be interrupt",
    parse: |_| plain(Consequence::Prevent),
};
