//! A BAR that does not decode.

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, lasting, of_function};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "bar-off",
    form: "BAR DURATION|until-power-off|for-ever",
    about: "BAR 0 to 5 does not decode: reads return all ones, writes are lost",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let bar = match words.number("the number of a BAR, 0 to 5")? {
            bar @ 0..=5 => bar as u8,
            bar => return Err(format!("there is no BAR {bar}; write 0 to 5")),
        };
        let (lasting, word) = lasting(words)?;
        Ok((
            Consequence::BarOff { bar, lasting },
            format!("{bar} {word}"),
        ))
    },
};
