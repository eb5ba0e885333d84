//! An operation of the host that fails for good.

use super::fail::errno;
use crate::fault::consequence::{Consequence, Failure};
use crate::fault::form::Kind;
use crate::fault::when::Occasion;

pub(in crate::fault) const KIND: Kind = Kind {
    name: "fail-latched",
    form: "ERRNO",
    about: "the operation of the host fails with this errno, and the host remembers that, even if the errno is \
            EAGAIN or EBUSY",
    fits: |when| matches!(when, Occasion::ResumeCallback | Occasion::PortResume),
    occasions: "when has to be resume-callback or port-resume",
    parse: |words| {
        let errno = errno(words)?;
        let latched = true;
        let failure = Failure { errno, latched };
        Ok((Consequence::Fail(failure), errno.to_string()))
    },
};
