//! A message signalled interrupt that arrives twice.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;
pub(in crate::fault) const KIND: Kind = Kind {
    name: "msi-doubled",
    form: "",
    about: "the message of an MSI or MSI-X interrupt arrives twice",
    fits: |when| matches!(when, Occasion::Message(_)),
    occasions: "when has to be interrupt",
    parse: |_| plain(Consequence::Double),
};
