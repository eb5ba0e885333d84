//! An operation of the host that fails.

use vfio_user_protocol::Errno;

use crate::fault::consequence::{Consequence, Failure};
use crate::fault::form::Kind;
use crate::fault::when::Occasion;
use crate::fault::words::Words;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "fail",
    form: "ERRNO",
    about: "the operation of the host fails with this errno, by name or number",
    fits: Occasion::is_of_host,
    occasions: "when has to be resume, resume-callback, port-resume, device-reset or device-lock",
    parse: |words| {
        let errno = errno(words)?;
        let latched = false;
        let failure = Failure { errno, latched };
        Ok((Consequence::Fail(failure), errno.to_string()))
    },
};

/// Parses an errno.
pub(super) fn errno(words: &mut Words<'_>) -> Result<Errno, String> {
    let word = words.need("an errno such as EBUSY")?;
    word.parse()
        .map_err(|_| format!("'{word}' is no errno; write one such as EBUSY"))
}
