//! The well-behaved: a neighbour in the same process, and a control client.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::server::Served;
use crate::control::Control;
use crate::raw::RawClient;
use crate::raw::wire::region;

/// Pause between two requests.
const PAUSE: Duration = Duration::from_millis(1);
/// Longest time that a probe waits for a reply.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// The longest wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Longest(pub(super) Duration);

/// A request with its reply.
pub(super) type Request = Box<dyn FnMut() -> Result<()> + Send>;

/// Returns the neighbour's request: a read of config space.
pub(super) fn neighbour(served: &Served) -> Result<Request> {
    let stream = UnixStream::connect(&served.neighbour.socket)?;
    let mut client = RawClient::waiting(stream, PATIENCE)?;
    client.version(0, 1, None)?.success()?;
    Ok(Box::new(move || {
        client.read(region::CONFIG, 0, 4).map(drop)
    }))
}

/// Returns the control client's request: the status of the neighbour's function.
pub(super) fn status(served: &Served) -> Result<Request> {
    let mut control = Control::waiting(&served.neighbour.control, PATIENCE)?;
    Ok(Box::new(move || control.command(&["status"]).map(drop)))
}

/// Repeats a request until it is to stop, and returns the longest wait.
pub(super) fn longest(stop: &AtomicBool, request: &mut Request) -> Result<Longest> {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        request()?;
        longest = longest.max(begun.elapsed());
        sleep(PAUSE);
    }
    Ok(Longest(longest))
}
