//! The destination of a model's back end.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::model::backend::BackendKind;

/// The destination of a back end: the key `backend` in the `[model]` of a profile whose model has
/// one. It is a word, and a path after a colon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendPlace {
    /// No destination (`none`).
    #[default]
    None,
    /// A pseudo-terminal (`pty`), optionally with a symbolic link to it (`pty:PATH`).
    Pty(Option<PathBuf>),
    /// A file (`file:PATH`): the output of a serial port, or the medium of a disk.
    File(PathBuf),
    /// A UNIX socket that serves one client at a time (`unix:PATH`).
    Unix(PathBuf),
    /// A UNIX socket to which the server connects when it starts (`unix-connect:PATH`).
    UnixConnect(PathBuf),
}

impl BackendPlace {
    /// Parses the destination of a back end of this kind. `what` is its name in the message.
    pub(super) fn parse(text: &str, kind: BackendKind, what: &str) -> Result<Self, String> {
        let choices = match kind {
            BackendKind::Serial => "none, pty, pty:PATH, file:PATH or unix:PATH",
            BackendKind::Packet => "none, unix:PATH or unix-connect:PATH",
            BackendKind::Block => "none or file:PATH",
            BackendKind::Platform => "none",
        };
        let place = Self::read(text).filter(|place| match kind {
            BackendKind::Serial => !matches!(place, Self::UnixConnect(_)),
            BackendKind::Packet => !matches!(place, Self::Pty(_) | Self::File(_)),
            BackendKind::Block => matches!(place, Self::None | Self::File(_)),
            BackendKind::Platform => matches!(place, Self::None),
        });
        place.ok_or_else(|| format!("{text:?} is no place for a {what}; choose {choices}"))
    }

    fn read(text: &str) -> Option<Self> {
        let (word, path) = match text.split_once(':') {
            Some((word, path)) if !path.is_empty() => (word, Some(PathBuf::from(path))),
            _ => (text, None),
        };
        match (word, path) {
            ("none", None) => Some(Self::None),
            ("pty", link) => Some(Self::Pty(link)),
            ("file", Some(path)) => Some(Self::File(path)),
            ("unix", Some(path)) => Some(Self::Unix(path)),
            ("unix-connect", Some(path)) => Some(Self::UnixConnect(path)),
            _ => None,
        }
    }
}

impl FromStr for BackendPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| format!("{text:?} is no place for a back end"))
    }
}

impl fmt::Display for BackendPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Pty(None) => write!(f, "pty"),
            Self::Pty(Some(path)) => write!(f, "pty:{}", path.display()),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixConnect(path) => write!(f, "unix-connect:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["none", "pty", "pty:/run/x", "file:a:b", "unix:line.sock"] {
            let place = BackendPlace::from_str(text).unwrap();
            assert_eq!(place.to_string(), text);
        }
        for wrong in ["", "none:x", "pty:", "file", "unix:", "tcp:1", "Pty"] {
            let error = BackendPlace::from_str(wrong).unwrap_err();
            assert!(error.starts_with(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn each_kind_has_places_of_its_own() {
        use BackendKind::{Block, Packet, Platform, Serial};
        for (text, kinds) in [
            ("none", &[Serial, Packet, Block, Platform][..]),
            ("pty", &[Serial]),
            ("file:x", &[Serial, Block]),
            ("unix:x", &[Serial, Packet]),
            ("unix-connect:x", &[Packet]),
            ("tcp:x", &[]),
        ] {
            for kind in [Serial, Packet, Block, Platform] {
                let place = BackendPlace::parse(text, kind, "back end");
                assert_eq!(place.is_ok(), kinds.contains(&kind), "{text} {kind:?}");
            }
        }
    }
}
