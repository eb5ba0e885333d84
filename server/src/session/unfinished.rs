//! Requests that are not finished within one turn of their client.
//!
//! A request whose work can be long does a part of it, keeps how far it came in the session's
//! [`Progress`], sets [`super::Context::unfinished`] and returns `Ok`. The server drops what it has
//! encoded of a reply, and puts the message in front of everything else that the client has sent. When
//! the time for it has come, which [`Unfinished`] says, the server dispatches the same message again.
//! Meanwhile others are served. The reply leaves when the request returns without setting it.
//!
//! * The next messages of the client are deferred until the request is finished, but for replies to DMA
//!   commands.
//! * A request that takes descriptors has to take them the first time: they do not come again.
//! * The progress is that of the present request only, and begins anew with the next one.
//! * Nothing may rely on the device between two steps: other clients of the function, control clients
//!   and time go on.
//! * If the client hangs up, the request ends where it is.
//!
//! [`super::Context::budget`] tells when a turn is over. A request counts the work it does in units of an
//! ordinary message, and stops when the budget is spent.

/// The time at which an unfinished request is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// When transfers have come to rest.
    UntilRest,
    /// In the client's next turn.
    UntilNextTurn,
}

/// The progress of a request over several turns.
#[derive(Debug, Default)]
pub(super) enum Progress {
    /// It has not begun.
    #[default]
    None,
    /// REGION_WRITE_MULTI has done so many writes.
    Writes(usize),
    /// DMA_UNMAP has been checked, and removes maps.
    Unmapping,
    /// So many bytes of MIG_DATA_WRITE have been taken.
    Taken(usize),
}
