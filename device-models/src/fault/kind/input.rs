//! The error inputs of a device model.

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, of_function};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "input",
    form: "NAME",
    about: "an input of the device model is driven, as by the verb input",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let name = words.need("the name of an input")?.to_owned();
        Ok((Consequence::Input { name: name.clone() }, name))
    },
};
