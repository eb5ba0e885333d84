//! REGION_READ and REGION_WRITE: nothing here allocates, but for replies larger than any before.

use vfio_user_protocol::messages::region_access::{
    Access, ReadReply, ReadRequest, WriteReply, WriteRequest,
};

use super::Context;
use super::error::RequestError;
use super::version::MAX_ACCESS;

/// REGION_READ. The device puts the data where it leaves from.
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
    if count > MAX_ACCESS {
        return Err(RequestError::AccessTooLarge {
            count,
            limit: MAX_ACCESS,
        });
    }
    let access = Access {
        offset,
        region,
        count,
    };
    let data = ReadReply::reserve(&access, reply);
    cx.device.region_read(cx.now, region, offset, data)?;
    Ok(())
}

/// REGION_WRITE. Its count is that of the bytes in the message, which is never too large.
pub(super) fn write(
    cx: &mut Context<'_>,
    payload: &[u8],
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let WriteRequest { access, data } = WriteRequest::parse(payload)?;
    cx.device
        .region_write(cx.now, access.region, access.offset, data)?;
    WriteReply { access }.encode(reply);
    Ok(())
}
