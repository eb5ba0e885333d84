//! An MSI-X table that does not survive a low-power state.

use crate::fault::consequence::Consequence;
use crate::fault::form::{Kind, RETURN, of_return, plain};

pub(in crate::fault) const KIND: Kind = Kind {
    name: "msix-table-lost",
    form: "",
    about: "the MSI-X table and the pending bits lose their content on the way to D0, although No_Soft_Reset says that they keep it: every vector is masked",
    fits: of_return,
    occasions: RETURN,
    parse: |_| plain(Consequence::LoseTable),
};
