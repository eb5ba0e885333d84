//! REGION_WRITE_MULTI: several small writes, each as if it had come alone. Nothing here allocates.

use vfio_user_protocol::messages::write_multi::{Reply, Request, Write};

use super::error::RequestError;
use super::unfinished::Progress;
use super::{Context, Session, Unfinished, cost, region};
use crate::ratelimit::limited;

/// Does the writes in order, up to the first that fails or comes out short. The reply is a success
/// in any case and counts those before it; a message that is malformed anywhere writes nothing. What
/// does not fit into a turn is done in the next ones.
pub(super) fn write(
    session: &mut Session,
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let (mut completed, request) = match session.progress {
        Progress::Writes(done) => (done, Request::rest(payload, done)?),
        _ => (0, Request::parse(payload)?),
    };
    for write in request.writes() {
        if completed > 0 {
            // What lies between two requests: interrupts go out, and an unused device may sleep.
            cx.settle();
        }
        if cx.budget.is_spent() {
            session.progress = Progress::Writes(completed);
            cx.unfinished = Some(Unfinished::UntilNextTurn);
            return Ok(());
        }
        match complete(cx, &write) {
            Ok(true) => completed += 1,
            Ok(false) => break,
            Err(error) => {
                limited!(warn, completed, %error, "a write among several refused");
                break;
            }
        }
        cx.budget.spend(1 + cost::of_write(write.region));
    }
    let completed = completed as u64;
    Reply { completed }.encode(reply);
    Ok(())
}

/// Performs a write. Returns whether all of its bytes were written.
fn complete(cx: &mut Context<'_>, write: &Write) -> Result<bool, RequestError> {
    let bytes = write.bytes();
    let written = region::write_bytes(cx, write.region, write.offset, bytes)?;
    Ok(written == bytes.len())
}
