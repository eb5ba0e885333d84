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

/// Declares the kinds once, with the list by which a token is read.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident,)*) => {
        /// The kind of an event source, and with it the meaning of its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            const ALL: &[Self] = &[$(Self::$kind,)*];
        }
    };
}

kinds! {
    /// [`crate::Handle::shutdown`]; no number.
    Waker,
    /// A descriptor that ends the server; no number.
    Shutdown,
    /// A client of a function: [`Source::client`].
    Client,
    /// A client that is refused, by its own number.
    Refused,
    /// The twin socket, on which the server sends commands to a client: [`Source::client`].
    Twin,
    /// A control client, by its own number.
    Control,
    /// The listener for control clients of a function.
    ControlListener,
    /// The listener of a slot's rail socket.
    RailListener,
    /// The connection to a slot's rail socket.
    Rail,
    /// The listener of a function.
    Listener,
    /// The resample eventfd of a function.
    Resample,
    /// The doorbells of a function.
    Doorbells,
    /// The listener of a function's back end.
    BackendListener,
    /// The peer of a function's back end.
    Backend,
}

/// A power of two that leaves room for all kinds, by which division is cheap.
const KINDS: usize = 16;

const _: () = assert!(Kind::ALL.len() <= KINDS, "a kind has no token");

/// The source of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) number: usize,
}

impl Source {
    pub(super) const fn new(kind: Kind, number: usize) -> Self {
        Self { kind, number }
    }

    /// A source that is a client's own.
    pub(super) const fn of_client(kind: Kind, id: ClientId) -> Self {
        Self::new(kind, id.function * MAX_CLIENTS + id.index)
    }

    /// The client, of a source that is a client's own.
    pub(super) const fn client(self) -> ClientId {
        ClientId {
            function: self.number / MAX_CLIENTS,
            index: self.number % MAX_CLIENTS,
        }
    }
}

impl From<Source> for Token {
    fn from(source: Source) -> Self {
        Self(source.number * KINDS + source.kind as usize)
    }
}

impl From<Token> for Source {
    fn from(Token(token): Token) -> Self {
        // Only tokens that were made of sources come back.
        let kind = Kind::ALL.get(token % KINDS).copied();
        Self::new(kind.unwrap_or(Kind::Waker), token / KINDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_what_they_were() {
        for &kind in Kind::ALL {
            for number in [0, 1, 99] {
                let source = Source::new(kind, number);
                assert_eq!(Source::from(Token::from(source)), source);
            }
        }
        for (function, index) in [(0, 0), (99, MAX_CLIENTS - 1), (1, 1)] {
            let id = ClientId { function, index };
            let source = Source::of_client(Kind::Twin, id);
            assert_eq!(Source::from(Token::from(source)).client(), id);
        }
    }
}
