//! Counts of sent and received items.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, ensure};

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<&'static str, Count>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u64,
    arrived: u64,
}

impl Tally {
    /// Adds `count` sent items of the kind `what`.
    pub fn sent(&mut self, what: &'static str, count: u64) {
        self.0.entry(what).or_default().sent += count;
    }

    /// Adds `count` received items of the kind `what`.
    pub fn arrived(&mut self, what: &'static str, count: u64) {
        self.0.entry(what).or_default().arrived += count;
    }

    /// Returns the number of received items of the kind `what`.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).map_or(0, |count| count.arrived)
    }

    /// Adds another's counts.
    pub fn absorb(&mut self, other: Self) {
        for (what, count) in other.0 {
            self.sent(what, count.sent);
            self.arrived(what, count.arrived);
        }
    }

    /// Checks that for every kind as much arrived as was sent, and that something was.
    ///
    /// # Errors
    /// The kind for which this is not true.
    pub fn judge(&self) -> Result<()> {
        for (what, Count { sent, arrived }) in &self.0 {
            ensure!(sent == arrived, "{what}: {sent} sent, {arrived} arrived");
            ensure!(*sent > 0, "{what}: none");
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32}{:>14}{:>14}", "what", "sent", "arrived")?;
        for (what, Count { sent, arrived }) in &self.0 {
            writeln!(f, "{what:<32}{sent:>14}{arrived:>14}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_or_missing_shows() {
        for (sent, arrived, good) in [(1, 1, true), (2, 1, false), (1, 2, false), (0, 0, false)] {
            let mut tally = Tally::default();
            tally.sent("interrupts", sent);
            tally.arrived("interrupts", arrived);
            let mut all = tally.clone();
            all.absorb(tally);
            assert_eq!(all.judge().is_ok(), good, "{sent} {arrived}");
            assert_eq!(all.count("interrupts"), 2 * arrived);
        }
    }
}
