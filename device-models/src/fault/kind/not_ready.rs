//! A function that is late, or never ready (PCIe Base §2.3.1, §6.6.1).

use crate::fault::consequence::Consequence;
use crate::fault::form::{ANY, Kind, lasting, of_function};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "not-ready",
    form: "DURATION|until-power-off|for-ever [rrs]",
    about: "the function does not answer: reads return all ones and writes are lost. With rrs a read of \
            Vendor ID returns 0001h, as with RRS Software Visibility",
    fits: of_function,
    occasions: ANY,
    parse: |words| {
        let (lasting, mut text) = lasting(words)?;
        let retry = words.take("rrs");
        if retry {
            text.push_str(" rrs");
        }
        Ok((Consequence::Silence { lasting, retry }, text))
    },
};
