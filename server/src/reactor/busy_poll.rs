//! Decides whether to busy-poll for the next request before going to sleep.
//!
//! A sleep and a wake-up cost more than a whole request. A server that busy-polls therefore serves a
//! client on another CPU with short intervals between requests several times as fast. On a shared CPU,
//! or with a client that rarely sends requests, polling only wastes time. The measured waits decide:
//! many short waits in a row switch polling on. Polling in vain switches it off and makes it harder to
//! switch on again; polling with success makes it easier.

use std::time::Duration;

/// Number of short waits that switch polling on: initially, and at the extremes.
const NEEDED_AT_FIRST: u32 = 16;
const NEEDED_AT_LEAST: u32 = 4;
const NEEDED_AT_MOST: u32 = 4096;
/// Busy-polling in vain multiplies the number by this.
const PENALTY: u32 = 4;

#[derive(Debug)]
pub(super) struct BusyPoll {
    window: Duration,
    on: bool,
    short_waits: u32,
    needed: u32,
}

impl BusyPoll {
    /// Busy-polls for at most `window`; zero: never.
    pub(super) const fn new(window: Duration) -> Self {
        Self {
            window,
            on: false,
            short_waits: 0,
            needed: NEEDED_AT_FIRST,
        }
    }

    /// Returns how long to poll now, or `None` to sleep.
    pub(super) fn window(&self) -> Option<Duration> {
        self.on.then_some(self.window)
    }

    /// A request was slept for, and came this long after the one before.
    pub(super) fn waited(&mut self, wait: Duration) {
        if wait >= self.window * 2 {
            self.short_waits = 0;
            return;
        }
        self.short_waits += 1;
        if self.short_waits >= self.needed {
            self.short_waits = 0;
            self.on = true;
        }
    }

    /// Busy-polling found a request.
    pub(super) fn hit(&mut self) {
        self.needed = (self.needed / 2).max(NEEDED_AT_LEAST);
    }

    /// Busy-polling found nothing.
    pub(super) fn miss(&mut self) {
        self.on = false;
        self.needed = (self.needed * PENALTY).min(NEEDED_AT_MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(50);
    const SHORT: Duration = Duration::from_micros(99);
    const LONG: Duration = Duration::from_micros(100);

    /// Short waits until it is on.
    fn waits_until_on(spin: &mut BusyPoll) -> u32 {
        (1..)
            .find(|_| {
                spin.waited(SHORT);
                spin.window().is_some()
            })
            .unwrap()
    }

    #[test]
    fn short_waits_in_a_row_switch_it_on() {
        let mut spin = BusyPoll::new(WINDOW);
        for _ in 0..100 {
            for _ in 1..NEEDED_AT_FIRST {
                spin.waited(SHORT);
            }
            spin.waited(LONG);
        }
        assert_eq!(spin.window(), None);
        assert_eq!(waits_until_on(&mut spin), NEEDED_AT_FIRST);
        assert_eq!(spin.window(), Some(WINDOW));
    }

    #[test]
    fn misses_make_it_rarer_and_hits_more_frequent() {
        let mut spin = BusyPoll::new(WINDOW);
        waits_until_on(&mut spin);
        for needed in [64, 256, 1024, 4096, 4096] {
            spin.miss();
            assert_eq!(spin.window(), None);
            assert_eq!(waits_until_on(&mut spin), needed);
        }
        (0..20).for_each(|_| spin.hit());
        assert_eq!(spin.window(), Some(WINDOW));
        spin.miss();
        assert_eq!(waits_until_on(&mut spin), NEEDED_AT_LEAST * PENALTY);
    }

    #[test]
    fn without_a_window_it_never_polls() {
        let mut spin = BusyPoll::new(Duration::ZERO);
        (0..10_000).for_each(|_| spin.waited(Duration::ZERO));
        assert_eq!(spin.window(), None);
    }
}
