//! Replies that leave together.
//!
//! A reply that leaves wakes its client. Where that runs on the server's CPU it takes it over, often
//! only to wait for something else again, and the next request is taken with cold caches. So when
//! several clients have asked for something, the replies to a few of them leave one right after the
//! other, once all of these have been served.

use std::collections::VecDeque;

use super::source::ClientId;

/// Clients whose replies leave together at most. The first of them waits some ten microseconds, as the
/// last one does in any case.
const MOST: usize = 16;

/// Clients of which each has a reply that has not left yet.
#[derive(Debug, Default)]
pub(crate) struct Together {
    clients: VecDeque<ClientId>,
    gathers: bool,
}

impl Together {
    /// From now on replies are gathered, or leave at once.
    pub(super) fn gather(&mut self, gathers: bool) {
        self.gathers = gathers;
    }

    /// Whether a reply may wait for others.
    pub(super) const fn gathers(&self) -> bool {
        self.gathers
    }

    /// A client has a reply that waits.
    pub(super) fn add(&mut self, client: ClientId) {
        self.clients.push_back(client);
    }

    /// Whether somebody's reply waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Whether these are as many as may be.
    pub(super) fn is_full(&self) -> bool {
        self.clients.len() >= MOST
    }

    /// The client whose reply has waited longest, whose turn it is now.
    pub(super) fn next(&mut self) -> Option<ClientId> {
        self.clients.pop_front()
    }
}
