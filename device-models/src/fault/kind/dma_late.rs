//! A transfer that starts late.

use crate::fault::form::{Kind, late};
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "dma-late",
    form: "DURATION",
    about: "the transfer starts so much later; Transactions Pending is set meanwhile. A reset forgets it, and leaving D0 ends it with an error. At most 256 transfers wait; another starts at once",
    fits: |when| matches!(when, Occasion::Dma),
    occasions: "when has to be dma",
    parse: late,
};
