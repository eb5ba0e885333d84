//! Error numbers as they stand in the `error` field of a reply.
//!
//! # Example
//!
//! A reply carries the number; the name is for people:
//!
//! ```
//! use vfio_user_protocol::Errno;
//!
//! assert_eq!(Errno::EBUSY.0, 16);
//! assert_eq!(Errno(16).to_string(), "EBUSY");
//! // A number without a name here is kept.
//! assert_eq!(Errno(500).name(), None);
//! assert_eq!(Errno(500).to_string(), "errno 500");
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Linux error number. The wire carries the generic (x86, Arm) values; other architectures' own
/// numbering is not used.
///
/// Any number is kept, also one without a name here: a device's errno reaches the client unchanged.
/// `FromStr` accepts the errnos that Linux can return: a number from 1 to [`Self::MAX`], or the name
/// of one that this crate knows. Serialized it is the number.
///
/// ```
/// use vfio_user_protocol::Errno;
///
/// assert_eq!("EBUSY".parse(), Ok(Errno::EBUSY));
/// assert_eq!("16".parse(), Ok(Errno::EBUSY));
/// assert!("0".parse::<Errno>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "i32")]
pub struct Errno(pub i32);

/// The forms in a document.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an errno is a name such as \"EBUSY\" or a number"
)]
enum Written {
    Number(i32),
    Name(String),
}

impl Errno {
    /// The largest number that Linux gives (`MAX_ERRNO`).
    pub const MAX: i32 = 4095;

    fn checked(number: i32) -> Result<Self, String> {
        if (1..=Self::MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("an errno is 1 to {}, not {number}", Self::MAX))
        }
    }
}

impl FromStr for Errno {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(number) = text.parse() {
            return Self::checked(number);
        }
        let found = NAMED.iter().find(|(name, _)| *name == text);
        found.map(|(_, errno)| *errno).ok_or_else(|| {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            let (max, names) = (Self::MAX, names.join(", "));
            format!("'{text}' is not an errno; write a number from 1 to {max} or one of {names}")
        })
    }
}

impl TryFrom<Written> for Errno {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        match written {
            Written::Number(number) => Self::checked(number),
            Written::Name(name) => name.parse(),
        }
    }
}

impl From<Errno> for i32 {
    fn from(Errno(number): Errno) -> Self {
        number
    }
}

macro_rules! errnos {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        impl Errno {
            $(#[doc = $meaning] pub const $name: Self = Self($number);)*

            /// The symbolic name, where this crate knows one.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        const NAMED: &[(&str, Errno)] = &[$((stringify!($name), Errno::$name)),*];
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such entry.";
    EIO = 5, "Input/output error.";
    ENXIO = 6, "No such device or address.";
    E2BIG = 7, "Argument list too long.";
    EBADF = 9, "Bad file descriptor.";
    EAGAIN = 11, "Try again.";
    ENOMEM = 12, "Out of memory.";
    EACCES = 13, "Permission denied.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "Device or resource busy.";
    EEXIST = 17, "Already exists.";
    ENODEV = 19, "No such device.";
    EINVAL = 22, "Invalid argument.";
    ENFILE = 23, "File table overflow.";
    EMFILE = 24, "Too many open files.";
    ENOTTY = 25, "Not supported by this kind of device.";
    EFBIG = 27, "File too large.";
    ENOSPC = 28, "No space left.";
    EROFS = 30, "Read-only file system.";
    ERANGE = 34, "Numerical result out of range.";
    ENOSYS = 38, "Function not implemented.";
    EPROTO = 71, "Protocol error.";
    EOVERFLOW = 75, "Value too large for its type.";
    EMSGSIZE = 90, "Message too long.";
    EOPNOTSUPP = 95, "Operation not supported.";
    ENOBUFS = 105, "No buffer space available.";
    ENOTCONN = 107, "Not connected.";
    ETIMEDOUT = 110, "Timed out.";
    ECANCELED = 125, "Operation cancelled.";
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_linux() {
        use rustix::io::Errno as Linux;
        let linux = [
            Linux::PERM,
            Linux::NOENT,
            Linux::IO,
            Linux::NXIO,
            Linux::TOOBIG,
            Linux::BADF,
            Linux::AGAIN,
            Linux::NOMEM,
            Linux::ACCESS,
            Linux::FAULT,
            Linux::BUSY,
            Linux::EXIST,
            Linux::NODEV,
            Linux::INVAL,
            Linux::NFILE,
            Linux::MFILE,
            Linux::NOTTY,
            Linux::FBIG,
            Linux::NOSPC,
            Linux::ROFS,
            Linux::RANGE,
            Linux::NOSYS,
            Linux::PROTO,
            Linux::OVERFLOW,
            Linux::MSGSIZE,
            Linux::OPNOTSUPP,
            Linux::NOBUFS,
            Linux::NOTCONN,
            Linux::TIMEDOUT,
            Linux::CANCELED,
        ];
        let ours: Vec<i32> = NAMED.iter().map(|(_, errno)| errno.0).collect();
        assert_eq!(ours, linux.map(Linux::raw_os_error));
    }

    #[test]
    fn display_names_the_number() {
        for &(name, errno) in NAMED {
            assert_eq!(errno.to_string(), name);
        }
        assert_eq!(Errno(0xbeef).to_string(), "errno 48879");
    }

    #[test]
    fn names_and_numbers_are_read() {
        for (text, number) in [
            ("EBUSY", 16),
            ("EIO", 5),
            ("ETIMEDOUT", 110),
            ("16", 16),
            ("4095", 4095),
        ] {
            assert_eq!(text.parse(), Ok(Errno(number)), "{text}");
        }
        for (json, number) in [("16", 16), (r#""EBUSY""#, 16), (r#""16""#, 16)] {
            assert_eq!(serde_json::from_str::<Errno>(json).unwrap(), Errno(number));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, expected) in [
            ("0", "1 to 4095, not 0"),
            ("-16", "not -16"),
            ("4096", "not 4096"),
            ("", "'' is not an errno"),
            ("ebusy", "or one of EPERM"),
            ("99999999999", "is not an errno"),
        ] {
            let error = text.parse::<Errno>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = serde_json::from_str::<Errno>("true").unwrap_err();
        assert!(error.to_string().contains("an errno is a name"), "{error}");
    }
}
