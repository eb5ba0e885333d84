//! Features DMA_LOGGING_START (6, SET), _STOP (7, SET, no data that matters) and _REPORT (8, GET):
//! the pages that the device writes.
//!
//! | Off | Size | Field of START |
//! |---|---|---|
//! | 0 | 8 | page size |
//! | 8 | 4 | number of ranges, 0 = everything |
//! | 12 | 4 | reserved |
//! | 16 | 16·n | ranges {iova u64, length u64} |
//!
//! | Off | Size | Field of REPORT |
//! |---|---|---|
//! | 0 | 8 | iova |
//! | 8 | 8 | length |
//! | 16 | 8 | page size |
//! | 24 | | bitmap (reply): bit k of the 64-bit words is page k from iova |
//!
//! # Example
//!
//! A bitmap of 65 pages takes two words of 64 bits:
//!
//! ```
//! use vfio_user_protocol::messages::device_feature::dma_logging::{Range, Report, Start};
//!
//! let (mut start, mut report) = (Vec::new(), Vec::new());
//! let range = Range { iova: 0x10_0000, length: 65 * 4096 };
//! Start::encode(4096, [range].into_iter(), &mut start);
//! assert_eq!(Start::parse(&start)?.ranges().next(), Some(range));
//! Report { range, page_size: 4096 }.encode(&mut report);
//! assert_eq!(Report::parse(&report)?.bitmap_size(), 16);
//! // A page size that is no power of two.
//! assert!(Start::parse(&[3; 16]).is_err());
//! # Ok::<(), vfio_user_protocol::MessageError>(())
//! ```

use crate::command::Subject;
use crate::error::{MessageError, check_field, check_length, check_range};
use crate::wire::{Put, Structure, len_u32};

const START: Subject = super::REQUEST.part("DMA_LOGGING_START");
const REPORT: Subject = super::REQUEST.part("DMA_LOGGING_REPORT");
const REPORT_REPLY: Subject = super::REPLY.part("DMA_LOGGING_REPORT");
const START_SIZE: usize = 16;
const RANGE_SIZE: usize = 16;
const REPORT_SIZE: usize = 24;

/// A range of DMA addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub iova: u64,
    /// Length in bytes.
    pub length: u64,
}

impl Range {
    fn read(bytes: &[u8; RANGE_SIZE]) -> Self {
        let fields = Structure::whole(bytes);
        Self {
            iova: fields.u64::<0>(),
            length: fields.u64::<8>(),
        }
    }
}

fn check_page_size(subject: Subject, page_size: u64) -> Result<(), MessageError> {
    check_field(
        subject,
        "page_size",
        page_size,
        page_size.is_power_of_two(),
        "a power of two",
    )
}

/// Data of DMA_LOGGING_START. The reply repeats it with the page size that the device chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start<'a> {
    /// Bytes that one bit stands for; a power of two.
    pub page_size: u64,
    ranges: &'a [[u8; RANGE_SIZE]],
}

impl<'a> Start<'a> {
    /// Reads the data; there have to be as many ranges as it says, none of which wraps around.
    pub fn parse(data: &'a [u8]) -> Result<Self, MessageError> {
        let (fields, rest) = Structure::<START_SIZE>::split(START, data)?;
        let page_size = fields.u64::<0>();
        check_page_size(START, page_size)?;
        check_length(
            START,
            "ranges",
            rest,
            u64::from(fields.u32::<8>()) * RANGE_SIZE as u64,
        )?;
        let start = Self {
            page_size,
            ranges: rest.as_chunks().0,
        };
        for range in start.ranges() {
            check_range(START, "iova", range.iova, range.length)?;
        }
        Ok(start)
    }

    /// The ranges to log; an empty list means all addresses.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range> + use<'a> {
        self.ranges.iter().map(Range::read)
    }

    /// Appends the data.
    pub fn encode(page_size: u64, ranges: impl ExactSizeIterator<Item = Range>, out: &mut Vec<u8>) {
        out.put_u64(page_size);
        out.put_u32(len_u32(ranges.len()));
        out.put_u32(0);
        for range in ranges {
            out.put_u64(range.iova);
            out.put_u64(range.length);
        }
    }
}

/// Data of a DMA_LOGGING_REPORT request, which the reply repeats in front of the bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The range that the bitmap covers; not empty.
    pub range: Range,
    /// Bytes that one bit stands for; a power of two.
    pub page_size: u64,
}

impl Report {
    /// Reads the data.
    pub fn parse(data: &[u8]) -> Result<Self, MessageError> {
        Self::read(REPORT, data).map(|(report, _)| report)
    }

    fn read(subject: Subject, data: &[u8]) -> Result<(Self, &[u8]), MessageError> {
        let (fields, rest) = Structure::<REPORT_SIZE>::split(subject, data)?;
        let range = Range {
            iova: fields.u64::<0>(),
            length: fields.u64::<8>(),
        };
        let page_size = fields.u64::<16>();
        check_field(
            subject,
            "length",
            range.length,
            range.length > 0,
            "greater than 0",
        )?;
        check_range(subject, "iova", range.iova, range.length)?;
        check_page_size(subject, page_size)?;
        Ok((Self { range, page_size }, rest))
    }

    /// Appends the data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.range.iova);
        out.put_u64(self.range.length);
        out.put_u64(self.page_size);
    }

    /// Bytes in the bitmap: a bit for each page that the range touches, in whole words of 64 bits.
    /// Bit 0 is the page at `iova`.
    pub const fn bitmap_size(&self) -> u64 {
        match self.page_size {
            0 => 0,
            page_size => self
                .range
                .length
                .div_ceil(page_size)
                .div_ceil(64)
                .saturating_mul(8),
        }
    }
}

/// Data of a DMA_LOGGING_REPORT reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportReply<'a> {
    /// The request's data.
    pub report: Report,
    /// The bits, [`Report::bitmap_size`] bytes.
    pub bitmap: &'a [u8],
}

impl<'a> ReportReply<'a> {
    /// Reads the data; the bitmap has to be there in full.
    pub fn parse(data: &'a [u8]) -> Result<Self, MessageError> {
        let (report, bitmap) = Report::read(REPORT_REPLY, data)?;
        check_length(REPORT_REPLY, "bitmap", bitmap, report.bitmap_size())?;
        Ok(Self { report, bitmap })
    }

    /// Appends the data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.report.encode(out);
        out.put(self.bitmap);
    }
}
