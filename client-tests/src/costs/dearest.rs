//! The search for the dearest message of a kind.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Answer, Ask, Kind};

/// A message that takes longer is dear enough: larger ones are not tried.
const LONG_ENOUGH: Duration = Duration::from_secs(20);

/// The dearest message of a kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dearest {
    pub(super) size: u64,
    pub(super) time: Duration,
    /// The first size that the server refused, and the errno.
    pub(super) refused: Option<(u64, u32)>,
}

impl Dearest {
    /// Doubles the size from 1 on until the server refuses it, or it is the largest that the kind knows.
    pub(super) fn find(kind: &Kind, ask: &mut Ask) -> Result<Self> {
        let mut dearest = Self {
            size: 1,
            time: Duration::ZERO,
            refused: None,
        };
        let mut size = 1;
        loop {
            let begun = Instant::now();
            let answer = ask(size)?;
            let time = begun.elapsed();
            if time > dearest.time {
                (dearest.size, dearest.time) = (size, time);
            }
            if let Answer::Refused(errno) = answer {
                dearest.refused = Some((size, errno));
                return Ok(dearest);
            }
            if size >= kind.largest || time > LONG_ENOUGH {
                return Ok(dearest);
            }
            size = (size * 2).min(kind.largest);
        }
    }
}
