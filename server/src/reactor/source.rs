//! Event sources of the event loop, as mio's tokens.

use mio::Token;

/// Which client of which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientId {
    /// Place of the function in the reactor's list.
    pub(super) function: usize,
    /// Place of the client among those of the function, below [`MAX_CLIENTS`].
    pub(super) index: usize,
}

/// Clients that a function may have at once, whatever its profile says.
pub(super) const MAX_CLIENTS: usize = 1 << 12;

/// The source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// [`crate::Handle::shutdown`].
    Waker,
    /// A descriptor that ends the server.
    Shutdown,
    /// The listener of a function.
    Listener(usize),
    /// A client of a function.
    Client(ClientId),
    /// The twin socket, on which the server sends commands to a client of a function.
    Twin(ClientId),
    /// The resample eventfd of a function.
    Resample(usize),
    /// The doorbells of a function.
    Doorbells(usize),
    /// The listener for control clients of a function.
    ControlListener(usize),
    /// A control client, by its own number.
    Control(usize),
    /// The listener of a slot's rail socket.
    RailListener(usize),
    /// The connection to a slot's rail socket.
    Rail(usize),
    /// The listener of a function's back end.
    BackendListener(usize),
    /// The peer of a function's back end.
    Backend(usize),
}

/// At least as many as there are kinds, and a power of two, by which division is cheap.
const KINDS: usize = 16;

impl From<Source> for Token {
    fn from(source: Source) -> Self {
        let (kind, number) = match source {
            Source::Waker => (0, 0),
            Source::Shutdown => (1, 0),
            Source::Listener(function) => (2, function),
            Source::Client(ClientId { function, index }) => (3, function * MAX_CLIENTS + index),
            Source::Resample(function) => (4, function),
            Source::ControlListener(function) => (5, function),
            Source::Control(client) => (6, client),
            Source::RailListener(slot) => (7, slot),
            Source::Rail(slot) => (8, slot),
            Source::Doorbells(function) => (9, function),
            Source::Twin(ClientId { function, index }) => (10, function * MAX_CLIENTS + index),
            Source::BackendListener(function) => (11, function),
            Source::Backend(function) => (12, function),
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
            3 => Self::Client(ClientId {
                function: number / MAX_CLIENTS,
                index: number % MAX_CLIENTS,
            }),
            4 => Self::Resample(number),
            5 => Self::ControlListener(number),
            6 => Self::Control(number),
            7 => Self::RailListener(number),
            8 => Self::Rail(number),
            9 => Self::Doorbells(number),
            10 => Self::Twin(ClientId {
                function: number / MAX_CLIENTS,
                index: number % MAX_CLIENTS,
            }),
            11 => Self::BackendListener(number),
            _ => Self::Backend(number),
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
                Source::Client(ClientId {
                    function: number,
                    index: 0,
                }),
                Source::Client(ClientId {
                    function: number,
                    index: MAX_CLIENTS - 1,
                }),
                Source::Twin(ClientId {
                    function: number,
                    index: 1,
                }),
                Source::Resample(number),
                Source::Doorbells(number),
                Source::ControlListener(number),
                Source::Control(number),
                Source::RailListener(number),
                Source::Rail(number),
                Source::BackendListener(number),
                Source::Backend(number),
            ] {
                assert_eq!(Source::from(Token::from(source)), source);
            }
        }
        for source in [Source::Waker, Source::Shutdown] {
            assert_eq!(Source::from(Token::from(source)), source);
        }
    }
}
