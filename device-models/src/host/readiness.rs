//! Waiting until a function answers (`pci_dev_wait`).

use std::time::Duration;

/// Time within which a function has to answer after a reset (`PCI_RESET_WAIT`).
pub(super) const RESET_WAIT: Duration = Duration::from_millis(1000);
/// Time after which a function is given up (`PCIE_RESET_READY_POLL_MS`).
pub(super) const READY_POLL: Duration = Duration::from_millis(60_000);

/// The outcome of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waited {
    /// Time that the host has waited.
    pub(super) span: Duration,
    /// The function answers.
    pub(super) ready: bool,
}

/// Reads config space until the function answers, at intervals that double. The function answers
/// `answers` after the same time from which `begun` counts; `None` is never.
pub(super) fn wait_for_function(
    begun: Duration,
    answers: Option<Duration>,
    timeout: Duration,
) -> Waited {
    let mut span = begun;
    let mut pause = Duration::from_millis(1);
    loop {
        let ready = answers.is_some_and(|answers| answers <= span);
        if ready || pause > timeout {
            return Waited { span, ready };
        }
        span += pause;
        pause *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_one_is_longer_than_the_limit() {
        let ms = Duration::from_millis;
        let waited = |answers: Option<u64>, limit| {
            let waited = wait_for_function(ms(100), answers.map(ms), ms(limit));
            (waited.span.as_millis(), waited.ready)
        };
        assert_eq!(waited(Some(0), 60_000), (100, true));
        assert_eq!(waited(Some(101), 60_000), (101, true));
        // 1 + 2 + 4 + ... + 256 ms later.
        assert_eq!(waited(Some(400), 60_000), (100 + 511, true));
        // 32768 ms is the last pause.
        assert_eq!(waited(Some(65_000), 60_000), (100 + 65_535, true));
        assert_eq!(waited(None, 60_000), (100 + 65_535, false));
        assert_eq!(waited(None, 900), (100 + 1023, false));
    }
}
