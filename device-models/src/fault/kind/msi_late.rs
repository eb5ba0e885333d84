//! A message signalled interrupt that arrives late.

use crate::fault::form::{Kind, late};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "msi-late",
    form: "DURATION",
    about: "the message of an MSI or MSI-X interrupt goes out so much later, as the state of the function then allows: one that is masked or may not be sent becomes pending, and a reset or a loss of power loses it. At most 256 messages wait; another goes out at once",
    fits: |when| matches!(when, Occasion::Message(_)),
    occasions: "when has to be interrupt",
    parse: late,
};
