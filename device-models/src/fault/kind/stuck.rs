//! A change of power state that does not happen.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;
use crate::power::PowerState;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "stuck",
    form: "",
    about: "the function stays in its power state: the write to PowerState is discarded",
    fits: |when| {
        let cold = Some(PowerState::D3cold);
        matches!(when, Occasion::DState { from, to } if *from != cold && *to != cold)
    },
    occasions: "when has to be d-state without d3cold, such as d-state d3hot d0",
    parse: |_| plain(Consequence::Prevent),
};
