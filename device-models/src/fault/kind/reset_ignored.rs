//! A reset without effect.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;
use crate::register::ResetKind;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "reset-ignored",
    form: "",
    about: "the reset has no effect: registers and device keep their state",
    fits: |when| matches!(when, Occasion::Reset(kind) if *kind != Some(ResetKind::PowerOn)),
    occasions: "when has to be reset, but not reset power-on",
    parse: |_| plain(Consequence::Prevent),
};
