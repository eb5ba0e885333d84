//! `dormouse demo`: a walk of the built-in testdev, or of a graphics card, through its power states.
//!
//! The walk is an ordinary client: it speaks vfio-user, and the control socket's language for
//! the host's part, to a server in another thread. The server's clock moves only when told to, so
//! the walk takes no time and comes out the same every time.

mod card;
mod stage;
mod table;
mod walk;

use std::time::Duration;

use super::failure::Failure;

/// Time limit for the server's answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(card: bool) -> Result<(), Failure> {
    if card {
        let stage = stage::Stage::card()?;
        super::print(card::walk(&stage)?)
    } else {
        let stage = stage::Stage::testdev()?;
        super::print(walk::walk(&stage)?.to_string())
    }
}
