//! What the event loop waits for, as mio's tokens.

use mio::Token;

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// [`crate::Handle::shutdown`].
    Waker,
    /// A descriptor that ends the server.
    Shutdown,
    /// The listener of a function.
    Listener(usize),
    /// The client of a function.
    Client(usize),
    /// The resample eventfd of a function's client.
    Resample(usize),
    /// The listener for control clients of a function.
    ControlListener(usize),
    /// A control client, by its own number.
    Control(usize),
}

const KINDS: usize = 7;

impl From<Source> for Token {
    fn from(source: Source) -> Self {
        let (kind, number) = match source {
            Source::Waker => (0, 0),
            Source::Shutdown => (1, 0),
            Source::Listener(function) => (2, function),
            Source::Client(function) => (3, function),
            Source::Resample(function) => (4, function),
            Source::ControlListener(function) => (5, function),
            Source::Control(client) => (6, client),
        };
        Self(number * KINDS + kind)
    }
}

impl From<Token> for Source {
    fn from(Token(token): Token) -> Self {
        let number = token / KINDS;
        match token % KINDS {
            0 => Self::Waker,
            1 => Self::Shutdown,
            2 => Self::Listener(number),
            3 => Self::Client(number),
            4 => Self::Resample(number),
            5 => Self::ControlListener(number),
            _ => Self::Control(number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_what_they_were() {
        for number in [0, 1, 99] {
            for source in [
                Source::Listener(number),
                Source::Client(number),
                Source::Resample(number),
                Source::ControlListener(number),
                Source::Control(number),
            ] {
                assert_eq!(Source::from(Token::from(source)), source);
            }
        }
        for source in [Source::Waker, Source::Shutdown] {
            assert_eq!(Source::from(Token::from(source)), source);
        }
    }
}
