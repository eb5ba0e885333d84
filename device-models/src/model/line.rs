//! Character lines: bytes to and from a device, with back pressure both ways.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Context;

/// The device's side of a character line.
///
/// Whoever is at the other end moves characters, of a byte each, when both sides can: nothing is lost
/// on the way, and nothing is kept there but what the other end holds.
pub trait CharacterLine {
    /// A character came over the line. Returns whether there was room for it.
    fn receive(&mut self, cx: &mut Context<'_>, character: u8) -> bool;

    /// The next character for the line, which takes it, if one is to leave now.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<u8>;

    /// Whether somebody is at the other end.
    fn set_carrier(&mut self, cx: &mut Context<'_>, carrier: bool);
}

/// Where a character line leads: the key `line` in the `[model]` of a profile whose model has one, a
/// word and a path with a colon between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum LinePlace {
    /// Nowhere (`none`).
    #[default]
    None,
    /// A pseudo-terminal (`pty`), perhaps with a symbolic link to it (`pty:PATH`).
    Pty(Option<PathBuf>),
    /// A file that gets what the device sends (`file:PATH`); nothing comes back.
    File(PathBuf),
    /// A UNIX socket on which one client at a time is served (`unix:PATH`).
    Unix(PathBuf),
}

impl TryFrom<String> for LinePlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (word, path) = match text.split_once(':') {
            Some((word, path)) if !path.is_empty() => (word, Some(PathBuf::from(path))),
            _ => (text.as_str(), None),
        };
        match (word, path) {
            ("none", None) => Ok(Self::None),
            ("pty", link) => Ok(Self::Pty(link)),
            ("file", Some(path)) => Ok(Self::File(path)),
            ("unix", Some(path)) => Ok(Self::Unix(path)),
            _ => Err(format!(
                "{text:?} is no place for a line; choose none, pty, pty:PATH, file:PATH or unix:PATH"
            )),
        }
    }
}

impl From<LinePlace> for String {
    fn from(place: LinePlace) -> Self {
        match place {
            LinePlace::None => "none".to_owned(),
            LinePlace::Pty(None) => "pty".to_owned(),
            LinePlace::Pty(Some(path)) => format!("pty:{}", path.display()),
            LinePlace::File(path) => format!("file:{}", path.display()),
            LinePlace::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for text in ["none", "pty", "pty:/run/x", "file:a:b", "unix:line.sock"] {
            let place = LinePlace::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(place), text);
        }
        for wrong in ["", "none:x", "pty:", "file", "unix:", "tcp:1", "Pty"] {
            let error = LinePlace::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.starts_with(&format!("{wrong:?}")), "{error}");
        }
    }
}
