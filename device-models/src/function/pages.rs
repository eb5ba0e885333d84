//! The memory behind BARs, page by page: looking for what is not zero, and putting back what was saved.

use std::collections::TryReserveError;

use thiserror::Error;

use super::core::Core;
use super::memory::{self, BarMemory, PrivateMemory};
use super::{BarContent, Function};
use crate::config::MAX_BARS;
use crate::snapshot::RestoreError;
use crate::snapshot::memory::{Content, PAGE, Page, Scan};

/// A reason for which a page does not go into a [`MemoryImage`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The function has no memory there.
    #[error(transparent)]
    Outside(#[from] RestoreError),
    /// The bytes reach beyond their page.
    #[error("BAR {bar}: {len} bytes at {offset:#x} reach beyond their page of {PAGE} bytes")]
    CrossesPage {
        /// The BAR.
        bar: u32,
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes.
        len: usize,
    },
    /// There is no memory for the page.
    #[error("there is no memory for the contents of BAR {bar}: {reason}")]
    NoMemory {
        /// The BAR.
        bar: u32,
        /// Cause.
        reason: TryReserveError,
    },
}

/// Contents for the memory behind BARs that is collected before a function is restored. It takes as much
/// memory as the pages that are in it, each at most once.
#[derive(Debug)]
pub struct MemoryImage {
    bars: [Option<ImageOfBar>; MAX_BARS],
}

#[derive(Debug)]
struct ImageOfBar {
    memory: PrivateMemory,
    /// The largest size that the BAR's memory can have.
    limit: u64,
}

/// Contents that are still to be copied into the memory behind BARs.
#[derive(Debug)]
pub(crate) struct MemoryFill {
    bars: [Option<PrivateMemory>; MAX_BARS],
    at: Page,
}

impl MemoryImage {
    /// Creates an image for the memory of a function in which all pages are zero.
    #[must_use]
    pub fn new(function: &Function) -> Self {
        let bar = |bar| {
            let limit = function.core.memory_limit(bar)?;
            let mut memory = PrivateMemory::new(limit);
            memory.set_release(&function.core.release);
            Some(ImageOfBar { memory, limit })
        };
        Self {
            bars: std::array::from_fn(bar),
        }
    }

    /// Replaces the page of `offset` by `bytes` and zeros elsewhere.
    ///
    /// # Errors
    /// Fails if the BAR has no memory there, the bytes are not in one page, or there is no memory for
    /// them.
    pub fn set_page(&mut self, bar: u32, offset: u64, bytes: &[u8]) -> Result<(), ImageError> {
        let index = usize::try_from(bar).unwrap_or(usize::MAX);
        let at = || format!("function.core.ram.{bar}");
        let Some(Some(image)) = self.bars.get_mut(index) else {
            return Err(RestoreError::part(at(), "this BAR has no memory").into());
        };
        let len = bytes.len();
        if offset % PAGE + len as u64 > PAGE {
            return Err(ImageError::CrossesPage { bar, offset, len });
        }
        let limit = image.limit;
        if offset.checked_add(len as u64).is_none_or(|end| end > limit) {
            return Err(outside(bar, offset, limit).into());
        }
        image.memory.clear_page(offset / PAGE);
        let written = image.memory.try_write(offset, bytes);
        written.map_err(|reason| ImageError::NoMemory { bar, reason })
    }

    /// Returns the number of bytes in the pages that are in it.
    #[must_use]
    pub fn held(&self) -> u64 {
        let bars = self.bars.iter().flatten();
        bars.map(|image| image.memory.held(image.limit)).sum()
    }

    /// Returns the largest number of pages that can be in it.
    #[must_use]
    pub fn capacity(function: &Function) -> u64 {
        let limits = (0..MAX_BARS).filter_map(|bar| function.core.memory_limit(bar));
        limits.map(|limit| limit.div_ceil(PAGE)).sum()
    }
}

impl MemoryFill {
    /// Returns whether there is nothing to copy.
    pub(crate) fn is_over(&self) -> bool {
        self.bars.iter().all(Option::is_none)
    }
}

fn outside(bar: u32, offset: u64, size: u64) -> RestoreError {
    let reason = format!("the bytes at {offset:#x} are outside the BAR of {size:#x}");
    RestoreError::part(format!("function.core.ram.{bar}"), reason)
}

impl Core {
    /// Returns the size of the memory behind a BAR, if it has any, when the BAR is as large as it can be.
    fn memory_limit(&self, bar: usize) -> Option<u64> {
        let size = self.memory_size(bar)?;
        let largest = match self.contents.get(bar)? {
            BarContent::Ram => self.config.resizable_bar().and_then(|r| r.largest(bar)),
            BarContent::Model => None,
        };
        Some(largest.map_or(size, |largest| largest.max(size)))
    }

    /// Returns a memory with its size.
    fn sized(&self, bar: usize) -> Option<(&dyn BarMemory, u64)> {
        let memory = self.ram.get(bar)?.as_deref()?;
        Some((memory, self.memory_size(bar)?))
    }
}

impl Function {
    /// Looks for the next page of memory behind BARs, at or after `from`, that is not zero. Takes the number
    /// of pages that it reads from `budget`, and pauses when that is zero.
    #[must_use]
    pub fn next_page(&self, mut from: Page, budget: &mut u32) -> Scan {
        let mut buffer = [0; PAGE as usize];
        while from.bar < MAX_BARS as u32 {
            let sized = self.core.sized(from.bar as usize);
            let found = sized.and_then(|(memory, size)| {
                let offset = memory.next_page(from.offset())?;
                (offset < size).then_some((memory, size, offset))
            });
            let Some((memory, size, offset)) = found else {
                from = Page {
                    bar: from.bar + 1,
                    number: 0,
                };
                continue;
            };
            from.number = offset / PAGE;
            let Some(left) = budget.checked_sub(1) else {
                return Scan::Pause(from);
            };
            *budget = left;
            if let Some((offset, bytes)) = memory::run(memory, size, offset, &mut buffer) {
                let bytes = bytes.to_vec();
                return Scan::Page(from, Content { offset, bytes });
            }
            from = from.next();
        }
        Scan::End
    }

    /// Returns the number of pages of memory behind BARs that may not be zero, as far as that is known
    /// without a scan.
    #[must_use]
    pub fn pages_held(&self) -> u64 {
        let sized = (0..MAX_BARS).filter_map(|bar| self.core.sized(bar));
        sized
            .map(|(memory, size)| memory.held(size).div_ceil(PAGE))
            .sum()
    }

    /// Checks that an image fits the present sizes of the BARs.
    pub(crate) fn check_image(&self, image: &MemoryImage) -> Result<(), RestoreError> {
        for (bar, image) in (0..).zip(&image.bars) {
            let last = image.as_ref().and_then(|image| image.memory.last_page());
            let size = self.core.memory_size(bar as usize).unwrap_or(0);
            if let Some(last) = last.filter(|last| last.saturating_mul(PAGE) >= size) {
                return Err(outside(bar, last.saturating_mul(PAGE), size));
            }
        }
        Ok(())
    }

    /// Clears the memory behind BARs, and takes over the contents of an image that fits, as far as that
    /// is possible without a copy.
    pub(crate) fn adopt_image(&mut self, image: MemoryImage) -> MemoryFill {
        let sizes: [_; MAX_BARS] = std::array::from_fn(|bar| self.core.memory_size(bar));
        let mut fill = MemoryFill {
            bars: Default::default(),
            at: Page::FIRST,
        };
        let rams = self.core.ram.iter_mut().zip(sizes);
        for (((ram, size), image), left) in rams.zip(image.bars).zip(&mut fill.bars) {
            let (Some(ram), Some(size)) = (ram, size) else {
                continue;
            };
            ram.reset(size);
            let filled = image.filter(|image| image.memory.last_page().is_some());
            if let Some(ImageOfBar { mut memory, .. }) = filled {
                memory.resize(size);
                *left = ram.adopt(memory).err();
            }
        }
        fill
    }

    /// Copies up to `pages` further pages. Returns whether all have been copied.
    pub(crate) fn fill_memory(&mut self, fill: &mut MemoryFill, pages: u32) -> bool {
        let MemoryFill { bars, at } = fill;
        let mut buffer = [0; PAGE as usize];
        let mut left = pages;
        while let Some(bar) = bars.get_mut(at.bar as usize) {
            let ram = self.core.ram.get_mut(at.bar as usize);
            let next = bar.as_ref().and_then(|from| {
                let offset = from.next_page(at.offset())?;
                Some((from, offset))
            });
            let (Some((from, offset)), Some(Some(ram))) = (next, ram) else {
                *bar = None;
                *at = Page {
                    bar: at.bar + 1,
                    number: 0,
                };
                continue;
            };
            at.number = offset / PAGE;
            let Some(rest) = left.checked_sub(1) else {
                return false;
            };
            left = rest;
            if let Some((offset, bytes)) = memory::run(from, u64::MAX, offset, &mut buffer) {
                ram.write(offset, bytes);
            }
            *at = at.next();
        }
        true
    }
}

#[cfg(test)]
mod tests;
