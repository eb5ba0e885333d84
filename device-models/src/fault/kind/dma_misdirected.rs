//! A transfer to a wrong address.

use crate::fault::consequence::Consequence;
use crate::fault::form::Kind;
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "dma-misdirected",
    form: "OFFSET",
    about: "the transfer goes to an address that is OFFSET higher, modulo 2^64: reads its data there, or writes them \
            there. It destroys memory that the client did not offer, so host.misdirected-dma has to permit it",
    fits: |when| matches!(when, Occasion::Dma),
    occasions: "when has to be dma",
    parse: |words| {
        let offset = words.number("the number of bytes by which the address is wrong")?;
        Ok((Consequence::Misdirect { offset }, format!("{offset:#x}")))
    },
};
