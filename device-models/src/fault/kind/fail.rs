//! An operation of the host that fails.

use vfio_user_protocol::Errno;

use crate::fault::consequence::Consequence;
use crate::fault::form::Kind;
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "fail",
    form: "ERRNO",
    about: "the operation of the host fails with this errno, by name or number",
    fits: Occasion::is_of_host,
    occasions: "when has to be resume, resume-callback, port-resume or device-reset",
    parse: |words| {
        let word = words.need("an errno such as EBUSY")?;
        let errno: Errno = word
            .parse()
            .map_err(|_| format!("'{word}' is no errno; write one such as EBUSY"))?;
        Ok((Consequence::Fail { errno }, errno.to_string()))
    },
};
