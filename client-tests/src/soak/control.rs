//! Observers: every read-only verb, on every function's control socket, while its client is busy.

use std::time::Instant;

use anyhow::Result;

use super::{Place, Tally};
use crate::control::Control;

pub(super) fn run(place: &Place, tally: &mut Tally, until: Instant) -> Result<()> {
    let folder = place.control.parent().unwrap_or(&place.control);
    while Instant::now() < until {
        for load in super::LOADS {
            let path = folder.join(load.name).with_extension("ctl");
            let mut control = Control::connect(&path)?;
            for verb in ["status", "inspect", "violations", "subscribe", "status"] {
                tally.sent("answers on control sockets", 1);
                control.command(&[verb])?;
                tally.arrived("answers on control sockets", 1);
            }
        }
    }
    Ok(())
}
