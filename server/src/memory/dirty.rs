//! The log of the pages that the device wrote.
//!
//! A page is a power of two of bytes at a bus address, whatever is mapped there: a report may cover any
//! range, even one that has just been unmapped. The memory of a log is bounded. The server refuses ranges
//! that could exceed the bound. A log of every address that exceeds it reports all pages as dirty until it
//! ends: too many pages are safe, too few are not.

mod bits;
mod pages;

use vfio_user_protocol::Errno;
use vfio_user_protocol::messages::device_feature::dma_logging::{Range, Report, Start};

use pages::{Pages, chunks};

/// The smallest page of a log, which is that of maps.
const MIN_PAGE_SIZE: u64 = super::table::PAGE_SIZE;
/// The largest page of a log.
const MAX_PAGE_SIZE: u64 = 2 << 20;
/// Chunks of a log: 64 MiB, in which 2 TiB of memory find room with pages of 4 KiB.
const MAX_CHUNKS: usize = 1 << 17;

/// An error of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LogError {
    #[error("no dirty pages are logged; start that first")]
    Off,
    #[error("dirty pages are logged already, with pages of {page_size:#x} bytes; stop that first")]
    OtherLog { page_size: u64 },
    #[error("a range of no bytes at {iova:#x} cannot be logged")]
    EmptyRange { iova: u64 },
    #[error("the ranges have too many pages of {page_size:#x} bytes to be logged; name fewer")]
    TooManyPages { page_size: u64 },
    #[error("pages of {page_size:#x} bytes; it has to be a power of two")]
    PageSize { page_size: u64 },
    #[error("the dirty bitmap takes {size} bytes, there is room for {room}")]
    NoRoom { size: u64, room: u64 },
    #[error("a dirty bitmap of {size} bytes; the limit is {limit}, ask for it in pieces")]
    BitmapTooLarge { size: u64, limit: u64 },
}

impl LogError {
    /// The error number for the reply.
    pub(crate) const fn errno(self) -> Errno {
        match self {
            Self::TooManyPages { .. } | Self::BitmapTooLarge { .. } => Errno::E2BIG,
            Self::Off
            | Self::OtherLog { .. }
            | Self::EmptyRange { .. }
            | Self::PageSize { .. }
            | Self::NoRoom { .. } => Errno::EINVAL,
        }
    }
}

/// Addresses from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Extent {
    first: u64,
    last: u64,
}

impl Extent {
    const ALL: Self = Self {
        first: 0,
        last: u64::MAX,
    };

    /// `None`: there are no bytes.
    fn new(first: u64, length: u64) -> Option<Self> {
        let last = first.saturating_add(length.checked_sub(1)?);
        Some(Self { first, last })
    }
}

/// The pages that the device wrote, if they are logged.
#[derive(Debug, Default)]
pub(crate) struct DirtyLog(Option<Log>);

#[derive(Debug)]
struct Log {
    /// The page size that was asked for.
    asked: u64,
    /// log2 of the page size.
    shift: u32,
    /// The logged ranges, in order and disjoint.
    extents: Vec<Extent>,
    pages: Pages,
}

impl DirtyLog {
    /// Starts to log what is named, or everything if nothing is, and says in pages of what size:
    /// the one asked for if that is possible, the next best otherwise. A log that runs and is just
    /// what is asked for goes on.
    pub(crate) fn start(&mut self, start: &Start<'_>) -> Result<u64, LogError> {
        self.start_bounded(start, MAX_CHUNKS)
    }

    fn start_bounded(&mut self, start: &Start<'_>, limit: usize) -> Result<u64, LogError> {
        let extents = extents(start.ranges())?;
        if let Some(log) = &self.0 {
            let page_size = 1 << log.shift;
            let same = [log.asked, page_size].contains(&start.page_size) && log.extents == extents;
            return same
                .then_some(page_size)
                .ok_or(LogError::OtherLog { page_size });
        }
        let page_size = start.page_size.clamp(MIN_PAGE_SIZE, MAX_PAGE_SIZE);
        let shift = page_size.ilog2();
        let needed = |extent: &Extent| chunks(extent.first >> shift, extent.last >> shift);
        let needed = extents.iter().map(needed).fold(0, u64::saturating_add);
        if start.ranges().len() > 0 && needed > limit as u64 {
            return Err(LogError::TooManyPages { page_size });
        }
        self.0 = Some(Log {
            asked: start.page_size,
            shift,
            extents,
            pages: Pages::new(limit),
        });
        Ok(page_size)
    }

    /// Ends the log, if there is one.
    pub(crate) fn stop(&mut self) {
        self.0 = None;
    }

    /// Refuses a report while nothing is logged.
    pub(crate) fn check_on(&self) -> Result<(), LogError> {
        self.0.as_ref().map(|_| ()).ok_or(LogError::Off)
    }

    /// The device wrote `len` bytes at `address`.
    pub(crate) fn mark(&mut self, address: u64, len: usize) {
        if let Some(log) = &mut self.0
            && let Some(written) = Extent::new(address, len as u64)
        {
            log.mark(written);
        }
    }

    /// Sets a bit in `bitmap` for every page of the report of which a byte may have been written,
    /// and forgets that. The bitmap consists of words of 64 bits; bit 0 is the page at the report's
    /// first address. A page of the log that is only in part in the report stays as it is, so that
    /// the report about its rest has it, too.
    pub(crate) fn report(&mut self, report: &Report, bitmap: &mut [u8]) -> Result<(), LogError> {
        let log = self.0.as_mut().ok_or(LogError::Off)?;
        if let Some(extent) = Extent::new(report.range.iova, report.range.length) {
            log.show(extent, report.page_size, bitmap);
            log.forget(extent);
        }
        Ok(())
    }
}

impl Log {
    fn mark(&mut self, written: Extent) {
        let from = self.extents.partition_point(|e| e.last < written.first);
        for extent in self.extents.iter().skip(from) {
            if extent.first > written.last {
                break;
            }
            let first = written.first.max(extent.first);
            let last = written.last.min(extent.last);
            self.pages.insert(first >> self.shift, last >> self.shift);
        }
    }

    /// Sets the bits of dirty pages. The cost is that of the gaps between them: a run of dirty pages is one
    /// step, as are all pages of a bit, and so is a full log.
    fn show(&self, extent: Extent, page_size: u64, bitmap: &mut [u8]) {
        let bit = |address: u64| (address - extent.first) / page_size;
        let start = |page: u64| page << self.shift;
        let mut page = extent.first >> self.shift;
        while let Some((dirty, run_end)) = self.pages.next(page) {
            let first = start(dirty).max(extent.first);
            if first > extent.last {
                break;
            }
            let last_page = run_end.min(extent.last >> self.shift);
            let end = start(last_page) | ((1 << self.shift) - 1);
            let last_bit = bit(end.min(extent.last));
            bits::set(bitmap, bit(first), last_bit);
            let beyond = last_bit
                .checked_add(1)
                .and_then(|bits| bits.checked_mul(page_size))
                .and_then(|length| extent.first.checked_add(length));
            match beyond {
                Some(address) if address <= extent.last => page = address >> self.shift,
                _ => break,
            }
        }
    }

    /// The pages that are wholly inside are clean.
    fn forget(&mut self, extent: Extent) {
        let partial = (1 << self.shift) - 1;
        let first = (extent.first >> self.shift) + u64::from(extent.first & partial != 0);
        let last = extent.last >> self.shift;
        let last = match extent.last & partial == partial {
            true => Some(last),
            false => last.checked_sub(1),
        };
        if let Some(last) = last.filter(|last| first <= *last) {
            self.pages.remove(first, last);
        }
    }
}

/// Returns the union of the ranges; all addresses, if there are none.
fn extents(ranges: impl ExactSizeIterator<Item = Range>) -> Result<Vec<Extent>, LogError> {
    if ranges.len() == 0 {
        return Ok(vec![Extent::ALL]);
    }
    let extent = |range: Range| {
        let Range { iova, length } = range;
        Extent::new(iova, length).ok_or(LogError::EmptyRange { iova })
    };
    let mut extents = ranges.map(extent).collect::<Result<Vec<_>, _>>()?;
    extents.sort_unstable();
    extents.dedup_by(|next, extent| {
        let adjoins = next.first <= extent.last.saturating_add(1);
        if adjoins {
            extent.last = extent.last.max(next.last);
        }
        adjoins
    });
    Ok(extents)
}

#[cfg(test)]
mod tests;
