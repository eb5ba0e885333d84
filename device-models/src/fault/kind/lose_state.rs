//! `No_Soft_Reset` that lies.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, plain};
use crate::fault::when::Occasion;
use crate::power::PowerState;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "lose-state",
    form: "",
    about: "the function resets itself on its way to D0, although No_Soft_Reset says that it does not",
    fits: |when| {
        let Occasion::DState { from, to } = when else {
            return false;
        };
        *to == Some(PowerState::D0) && *from != Some(PowerState::D3cold)
    },
    occasions: "when has to be d-state with to = d0, such as d-state d3hot d0",
    parse: |_| plain(Consequence::LoseState),
};
