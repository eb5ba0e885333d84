//! Features DMA_LOGGING_START, _STOP and _REPORT: the pages that the device wrote.
//!
//! They wake the device as every feature does, and know no dialect. The log is the function's, as its
//! maps are: it ends when it is stopped or the last client is gone.

use vfio_user_protocol::messages::device_feature::dma_logging::{Report, Start};
use vfio_user_protocol::messages::device_feature::{Feature, Operation, Request};

use super::Context;
use super::error::RequestError;
use crate::memory::LogError;

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Start,
    Stop,
    Report,
}

impl Method {
    /// The one that a feature is.
    pub(super) const fn of(feature: Feature) -> Option<Self> {
        match feature {
            Feature::DmaLoggingStart => Some(Self::Start),
            Feature::DmaLoggingStop => Some(Self::Stop),
            Feature::DmaLoggingReport => Some(Self::Report),
            _ => None,
        }
    }

    const fn operation(self) -> Operation {
        match self {
            Self::Start | Self::Stop => Operation::SET,
            Self::Report => Operation::GET,
        }
    }
}

/// Judges and serves a request.
pub(super) fn handle(
    cx: &mut Context<'_>,
    method: Method,
    request: &Request<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let _usage = cx.keep_awake()?;
    request.check()?;
    request.check_repeatable()?;
    if !request.wants(method.operation(), 0)? {
        request.encode(reply);
        return Ok(());
    }
    match method {
        Method::Start => start(cx, request, reply),
        Method::Stop => {
            cx.memory.log.stop();
            request.encode(reply);
            Ok(())
        }
        Method::Report => report(cx, request, reply),
    }
}

/// The reply is the request with the page size that was chosen.
fn start(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let start = Start::parse(request.data)?;
    let page_size = cx.memory.log.start(&start)?;
    let mut data = Vec::new();
    Start::encode(page_size, start.ranges(), &mut data);
    Request {
        data: &data,
        ..*request
    }
    .encode(reply);
    Ok(())
}

/// The reply is the request's data with the bitmap behind it.
fn report(
    cx: &mut Context<'_>,
    request: &Request<'_>,
    reply: &mut Vec<u8>,
) -> Result<(), RequestError> {
    let report = Report::parse(request.data)?;
    let mut data = Vec::new();
    report.encode(&mut data);
    let head = data.len();
    let room = usize::try_from(report.bitmap_size()).unwrap_or(usize::MAX);
    request.check_room(head.saturating_add(room))?;
    let mut bits = bitmap(cx, &report, report.bitmap_size())?;
    cx.memory.log.report(&report, &mut bits)?;
    data.append(&mut bits);
    request.reply(&data).encode(reply);
    Ok(())
}

/// An empty bitmap of `size` bytes for a report, if there can be one.
pub(super) fn bitmap(cx: &Context<'_>, report: &Report, size: u64) -> Result<Vec<u8>, LogError> {
    cx.memory.log.check_on()?;
    let page_size = report.page_size;
    if !page_size.is_power_of_two() {
        return Err(LogError::PageSize { page_size });
    }
    let needed = report.bitmap_size();
    if needed > size {
        return Err(LogError::NoRoom {
            size: needed,
            room: size,
        });
    }
    let limit = cx.limits.transfer.into();
    if size > limit {
        return Err(LogError::BitmapTooLarge { size, limit });
    }
    Ok(vec![0; size as usize])
}
