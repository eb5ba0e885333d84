//! Log output on standard error, one line per event, as text or JSON.

mod line;

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt;

use line::{JsonLines, TextFields};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, coloured if standard error is a terminal and `NO_COLOR` is unset.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging for the whole process. `RUST_LOG`, if set, overrides `level`.
///
/// # Errors
/// Fails if `RUST_LOG` is invalid.
pub fn init(level: LevelFilter, format: Format) -> Result<(), ParseError> {
    let directives = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = if directives.is_empty() {
        EnvFilter::default().add_directive(level.into())
    } else {
        directives.parse()?
    };
    // A line that finds no room on the disk, or no reader, is lost: what would be said of that on the
    // same standard error ends the process when it cannot be said either.
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match format {
        Format::Text => lines
            .with_ansi(wants_colour())
            .fmt_fields(TextFields)
            .init(),
        Format::Json => lines.event_format(JsonLines).init(),
    }
    Ok(())
}

/// Sets the maximum log lines per client-triggerable call site in ten seconds; 5 by default. Levels below
/// info have no limit.
pub fn limit_bursts(lines: u32) {
    crate::ratelimit::set_burst(lines);
}

fn wants_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
