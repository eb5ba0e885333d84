//! REGION_READ and REGION_WRITE: nothing here allocates, but for replies larger than any before and
//! those that are cut short.

use vfio_user_protocol::messages::region_access::{
    Access, ReadReply, ReadRequest, WriteReply, WriteRequest,
};

use super::Context;
use super::error::RequestError;

/// REGION_READ. The device puts the data where it leaves from. An access of no bytes succeeds
/// whatever it is to, and does not reach the device.
pub(super) fn read(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let Access {
        offset,
        region,
        count,
    } = ReadRequest::parse(payload)?.access;
    check_count(cx, count)?;
    let access = Access {
        offset,
        region,
        count,
    };
    let start = reply.len();
    let data = ReadReply::reserve(&access, reply);
    if data.is_empty() {
        return Ok(());
    }
    let len = data.len();
    let read = cx.device.region_read(cx.now, region, offset, data)?;
    if read < len {
        let data = reply.split_off(reply.len().saturating_sub(len));
        reply.truncate(start);
        let data = data.get(..read).unwrap_or_default();
        ReadReply {
            offset,
            region,
            data,
        }
        .encode(reply);
    }
    Ok(())
}

/// The count of an access is no larger than a message may have.
fn check_count(cx: &Context<'_>, count: u32) -> Result<(), RequestError> {
    let limit = cx.limits.transfer;
    if count > limit {
        return Err(RequestError::AccessTooLarge { count, limit });
    }
    Ok(())
}

/// REGION_WRITE. Its count is that of the bytes in the message.
pub(super) fn write(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let WriteRequest { mut access, data } = WriteRequest::parse(payload)?;
    check_count(cx, access.count)?;
    // Never more than the count, which is a u32.
    access.count = write_bytes(cx, access.region, access.offset, data)? as u32;
    WriteReply { access }.encode(reply);
    Ok(())
}

/// Writes bytes and says how many were written. None at all do not reach the device.
pub(super) fn write_bytes(
    cx: &mut Context<'_>,
    region: u32,
    offset: u64,
    data: &[u8],
) -> Result<usize, RequestError> {
    if data.is_empty() {
        return Ok(0);
    }
    Ok(cx.device.region_write(cx.now, region, offset, data)?)
}
