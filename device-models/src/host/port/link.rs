//! Waiting for the bus below a port (`pci_bridge_wait_for_secondary_bus`, `pci_dev_wait`).

use std::time::Duration;

use super::options::{LinkSpeed, PortOptions};
use crate::host::readiness::{READY_POLL, RESET_WAIT, Waited, wait_for_function};

/// Time in which a component leaves reset, before the host looks at the link.
const LEAVE_RESET: Duration = Duration::from_millis(20);
/// Interval between two looks at the link.
const LINK_POLL: Duration = Duration::from_millis(10);
/// Time after which a link has not trained (`PCIE_LINK_RETRAIN_TIMEOUT_MS`).
const LINK_TIMEOUT: Duration = Duration::from_millis(1000);

/// As [`wait`], for a bus whose first function the host takes for disconnected: it waits for the link, and
/// then does not look for the function.
pub(in crate::host) fn wait_without_function(
    options: &PortOptions,
    link: Option<Duration>,
) -> Waited {
    let delay = options.d3cold_delay;
    if delay.is_zero() || options.link_speed == LinkSpeed::UpTo5Gt {
        let ready = delay.is_zero();
        return Waited { span: delay, ready };
    }
    // It is as if the function answered at once, since nothing is waited for then.
    let waited = wait(options, link, Some(Duration::ZERO));
    Waited {
        ready: false,
        ..waited
    }
}

/// Waits for the bus below a port after power on, or after a reset of the bus. The link is active
/// after `link` and the first function answers after `answers`, each since then; `None` is never.
pub(in crate::host) fn wait(
    options: &PortOptions,
    link: Option<Duration>,
    answers: Option<Duration>,
) -> Waited {
    let delay = options.d3cold_delay;
    let over = |span, ready| Waited { span, ready };
    if delay.is_zero() {
        return over(delay, true);
    }
    let is_active = |span: Duration| link.is_some_and(|link| link <= span);
    match options.link_speed {
        LinkSpeed::UpTo5Gt => {
            let first = wait_for_function(delay, answers, RESET_WAIT.saturating_sub(delay));
            if first.ready || !options.link_active_reporting || !is_active(first.span) {
                return first;
            }
            wait_for_function(first.span, answers, READY_POLL - RESET_WAIT)
        }
        LinkSpeed::From8Gt => {
            let mut span = LEAVE_RESET;
            if options.link_active_reporting {
                while !is_active(span) {
                    if span >= LEAVE_RESET + LINK_TIMEOUT {
                        return over(span, false);
                    }
                    span += LINK_POLL;
                }
            } else {
                span = LINK_TIMEOUT;
            }
            wait_for_function(span + delay, answers, READY_POLL.saturating_sub(delay))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn waited(speed: LinkSpeed, link: Option<u64>, answers: Option<u64>) -> (u128, bool) {
        let options = PortOptions {
            link_speed: speed,
            ..PortOptions::default()
        };
        let Waited { span, ready } = wait(&options, link.map(ms), answers.map(ms));
        (span.as_millis(), ready)
    }

    #[test]
    fn a_slow_port_waits_for_the_delay_and_then_for_the_function() {
        let slow = |link, answers| waited(LinkSpeed::UpTo5Gt, link, answers);
        assert_eq!(slow(Some(0), Some(100)), (100, true));
        // 1 + 2 + 4 + 8 + 16 ms later.
        assert_eq!(slow(Some(0), Some(120)), (131, true));
        // Beyond a second only if the link is active.
        assert_eq!(slow(Some(50), Some(3000)), (1123 + 2047, true));
        assert_eq!(slow(None, None), (1123, false));
        assert_eq!(slow(Some(0), None), (1123 + 65_535, false));
    }

    #[test]
    fn a_fast_port_waits_for_the_link_first() {
        let fast = |link, answers| waited(LinkSpeed::From8Gt, link, answers);
        assert_eq!(fast(Some(0), Some(100)), (120, true));
        assert_eq!(fast(Some(45), Some(145)), (150, true));
        assert_eq!(fast(None, None), (1020, false));
        assert_eq!(fast(Some(0), None), (120 + 65_535, false));
    }

    #[test]
    fn without_a_delay_nobody_waits() {
        let options = PortOptions {
            d3cold_delay: Duration::ZERO,
            ..PortOptions::default()
        };
        let Waited { span, ready } = wait(&options, Some(ms(50)), Some(ms(150)));
        assert_eq!((span, ready), (Duration::ZERO, true));
    }

    #[test]
    fn a_port_that_does_not_report_its_link_waits_a_second_for_it() {
        let with = |link_speed| PortOptions {
            link_speed,
            link_active_reporting: false,
            ..PortOptions::default()
        };
        let of = |options: &PortOptions, answers: Option<u64>| {
            let Waited { span, ready } = wait(options, None, answers.map(ms));
            (span.as_millis(), ready)
        };
        assert_eq!(of(&with(LinkSpeed::From8Gt), Some(100)), (1100, true));
        assert_eq!(of(&with(LinkSpeed::UpTo5Gt), None), (1123, false));
    }
}
