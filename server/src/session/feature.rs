//! DEVICE_FEATURE: a device has none yet that a client could get, set or probe.

use vfio_user_protocol::messages::device_feature::Request;

use super::error::RequestError;

/// Refuses every feature the way Linux does one that the device has not: ENOTTY.
pub(super) fn handle(payload: &[u8]) -> Result<(), RequestError> {
    let request = Request::parse(payload)?;
    Err(RequestError::NoSuchFeature(request.feature))
}
