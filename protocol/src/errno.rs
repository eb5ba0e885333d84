//! Error numbers as they stand in the `error` field of a reply.

use std::fmt;

/// A Linux error number. The wire carries the generic (x86, Arm) values; other architectures' own
/// numbering is not used.
///
/// Any number is kept, also one without a name here: a device's errno reaches the client unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

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

        #[cfg(test)]
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
}
