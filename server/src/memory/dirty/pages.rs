//! A set of page numbers that takes memory for what is in it, up to a limit.

use std::collections::BTreeMap;

use super::bits;
use crate::ratelimit::limited;

/// Pages of a chunk, all of which one allocation holds.
const CHUNK: u64 = 4096;
const WORDS: usize = (CHUNK / 64) as usize;

/// The chunks in which the pages from `first` to `last` are.
pub(super) const fn chunks(first: u64, last: u64) -> u64 {
    (last / CHUNK - first / CHUNK).saturating_add(1)
}

/// The set.
#[derive(Debug)]
pub(super) struct Pages {
    /// By page number over [`CHUNK`]; none is empty.
    chunks: BTreeMap<u64, Box<[u64; WORDS]>>,
    /// Most chunks.
    limit: usize,
    /// More was put in than there was room for: every page is in the set.
    is_full: bool,
    #[cfg(test)]
    visits: std::cell::Cell<usize>,
}

impl Pages {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            chunks: BTreeMap::new(),
            limit,
            is_full: false,
            #[cfg(test)]
            visits: std::cell::Cell::new(0),
        }
    }

    /// Puts the pages from `first` to `last` in.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        if self.is_full {
            return;
        }
        for number in first / CHUNK..=last / CHUNK {
            if self.chunks.len() >= self.limit && !self.chunks.contains_key(&number) {
                self.is_full = true;
                self.chunks.clear();
                limited!(
                    warn,
                    "the log of dirty pages is full, all pages count as dirty now"
                );
                return;
            }
            let chunk = self.chunks.entry(number);
            let chunk = chunk.or_insert_with(|| Box::new([0; WORDS]));
            change(chunk, number, (first, last), |word, mask| *word |= mask);
        }
    }

    /// Returns the first page in the set that is not below `page`, and the last of those that follow it
    /// without a gap, as far as one word of the set shows them.
    pub(super) fn next(&self, page: u64) -> Option<(u64, u64)> {
        if self.is_full {
            return Some((page, u64::MAX));
        }
        self.chunks
            .range(page / CHUNK..)
            .find_map(|(number, chunk)| {
                self.count_visit();
                let low = page.saturating_sub(number * CHUNK);
                let mut words = bits::words(low, CHUNK - 1);
                words.find_map(|(word, mask)| {
                    let pages = chunk.get(word as usize)? & mask;
                    let first = pages.trailing_zeros();
                    // Zero bits come in from above, and one is there before the word ends or after it.
                    let more = u64::from((pages >> (first % 64)).trailing_ones().saturating_sub(1));
                    let found = number * CHUNK + word * 64 + u64::from(first);
                    (pages != 0).then_some((found, found + more))
                })
            })
    }

    /// Takes the pages from `first` to `last` out, unless all are in. Only chunks of these pages are
    /// visited, however many others there are.
    pub(super) fn remove(&mut self, first: u64, last: u64) {
        let inside = first / CHUNK..=last / CHUNK;
        let mut empty = Vec::new();
        for (number, chunk) in self.chunks.range_mut(inside) {
            change(chunk, *number, (first, last), |word, mask| *word &= !mask);
            if chunk.iter().all(|word| *word == 0) {
                empty.push(*number);
            }
            #[cfg(test)]
            self.visits.set(self.visits.get() + 1);
        }
        for number in empty {
            self.chunks.remove(&number);
        }
    }

    fn count_visit(&self) {
        #[cfg(test)]
        self.visits.set(self.visits.get() + 1);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.chunks.len()
    }

    /// Number of chunks that were visited so far.
    #[cfg(test)]
    pub(super) fn visits(&self) -> usize {
        self.visits.get()
    }
}

/// Changes the bits of those pages, from the first to the last, that are in the chunk.
fn change(
    chunk: &mut [u64; WORDS],
    number: u64,
    (first, last): (u64, u64),
    with: impl Fn(&mut u64, u64),
) {
    let start = number * CHUNK;
    let low = first.saturating_sub(start);
    let high = last.saturating_sub(start).min(CHUNK - 1);
    for (word, mask) in bits::words(low, high) {
        if let Some(word) = chunk.get_mut(word as usize) {
            with(word, mask);
        }
    }
}
