//! Replies that are sent together.
//!
//! Sending a reply wakes its client. A client on the server's CPU preempts the server, often only to
//! wait again, and the server continues with cold caches. When several clients have sent requests, the
//! server therefore serves a few of them first and then sends their replies one after the other.

use std::collections::VecDeque;

use super::source::ClientId;

/// Maximum number of clients whose replies are sent together. The first of them waits some ten
/// microseconds, as the last one does in any case.
const MOST: usize = 16;

/// Clients with an unsent reply.
#[derive(Debug, Default)]
pub(crate) struct Together {
    clients: VecDeque<ClientId>,
    gathers: bool,
}

impl Together {
    /// Sets whether replies are gathered or sent at once from now on.
    pub(super) fn gather(&mut self, gathers: bool) {
        self.gathers = gathers;
    }

    /// Returns whether a reply may wait for others.
    pub(super) const fn gathers(&self) -> bool {
        self.gathers
    }

    /// Adds a client with a waiting reply.
    pub(super) fn add(&mut self, client: ClientId) {
        self.clients.push_back(client);
    }

    /// Returns whether a reply waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Returns whether the maximum number of clients is reached.
    pub(super) fn is_full(&self) -> bool {
        self.clients.len() >= MOST
    }

    /// Removes and returns the client whose reply has waited longest.
    pub(super) fn next(&mut self) -> Option<ClientId> {
        self.clients.pop_front()
    }
}
