//! The table that the demo prints.

use std::fmt;
use std::time::Duration;

/// The actor of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Client,
    Device,
    Host,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Device => "device",
            Self::Host => "host",
        }
    }
}

/// One thing that was done and where it led.
pub struct Row {
    pub at: Duration,
    pub who: Who,
    pub what: String,
    /// Power states that the device went through; the last is the one it is in.
    pub states: Vec<String>,
    pub usage: u32,
}

#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    pub fn push(&mut self, row: Row) {
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.what.len()).max().unwrap_or(0);
        writeln!(
            f,
            "   time  {:6}  {:width$}  usage  D-state",
            "who", "event"
        )?;
        for row in &self.0 {
            writeln!(
                f,
                "{:4} ms  {:6}  {:width$}  {:5}  {}",
                row.at.as_millis(),
                row.who.name(),
                row.what,
                row.usage,
                row.states.join(" > "),
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let row = |at, what: &str, states: &[&str]| Row {
            at: Duration::from_millis(at),
            who: Who::Client,
            what: what.to_owned(),
            states: states.iter().map(ToString::to_string).collect(),
            usage: 1,
        };
        let mut table = Table::default();
        table.push(row(0, "goes", &["D0"]));
        table.push(row(1500, "goes on", &["D0", "D3hot"]));
        assert_eq!(
            table.to_string(),
            "   time  who     event    usage  D-state\n\
             \u{20}  0 ms  client  goes         1  D0\n\
             1500 ms  client  goes on      1  D0 > D3hot\n"
        );
    }
}
