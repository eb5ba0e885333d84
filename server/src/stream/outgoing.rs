//! The stream that a device is saved to, made as it is read.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use pci_device_models::host::DeviceRef;
use pci_device_models::snapshot::memory::{Content, PAGE, Page, Scan};
use pci_device_models::time::Time;

use super::record::{self, HEAD, LABEL, STATE, VERSION};

/// Pages that are read in one step of making the stream.
const STEP: u32 = 256;
/// Pages that are read to tell how much is left.
const LOOK: u32 = 512;

/// A stream, of which nothing is kept but the record that is being read.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// The bytes that have been made and not been read.
    ready: Vec<u8>,
    /// Bytes of it that have been read.
    read: usize,
    pass: Pass,
    /// The memory that has been sent while the device ran on.
    sent: Sent,
    /// The state, once the device is stopped.
    state: Option<Vec<u8>>,
}

/// The part that is made next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Memory from this page on, while the device runs on.
    Ahead(Page),
    /// Nothing, until the device stops.
    Waits,
    /// Memory from this page on that is not as it was sent, then the state. `passed` pages of it are not
    /// zero.
    Rest { from: Page, passed: u64 },
    /// Nothing any more.
    Over,
}

/// A part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// The next bytes. Fewer than asked for are the end, or all that there is while the device runs on.
    Bytes(&'a [u8]),
    /// They take another step to make.
    Waits,
}

impl Outgoing {
    /// Creates a stream that has its label and nothing else.
    pub(crate) fn new(device: DeviceRef<'_>) -> Self {
        let mut label = device.label();
        if let Some(members) = label.as_object_mut() {
            members.insert("stream".to_owned(), VERSION.into());
        }
        let mut ready = Vec::new();
        record::put(LABEL, label.to_string().as_bytes(), &mut ready);
        Self {
            ready,
            read: 0,
            pass: Pass::Waits,
            sent: Sent::default(),
            state: None,
        }
    }

    /// Creates the whole stream of a device that is stopped.
    pub(crate) fn of_stopped(device: DeviceRef<'_>, now: Time) -> Self {
        let mut stream = Self::new(device);
        stream.complete(device, now);
        stream
    }

    /// Adds the memory behind BARs, while the device runs on.
    pub(crate) fn copy_ahead(&mut self) {
        self.pass = Pass::Ahead(Page::FIRST);
    }

    /// Adds all the rest. The device is stopped, and stays so until the stream has been read.
    pub(crate) fn complete(&mut self, device: DeviceRef<'_>, now: Time) {
        self.state = Some(device.save_state(now).to_string().into_bytes());
        self.pass = Pass::Rest {
            from: Page::FIRST,
            passed: 0,
        };
    }

    /// Returns the bytes that are held for the reader.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.ready.len()
    }

    /// Returns the next bytes, `most` at most.
    pub(crate) fn read(&mut self, device: DeviceRef<'_>, most: usize) -> Piece<'_> {
        self.ready.drain(..self.read);
        self.read = 0;
        let mut budget = STEP;
        while self.ready.len() < most && self.has_more() {
            if budget == 0 {
                return Piece::Waits;
            }
            self.make(device, &mut budget);
        }
        if !self.has_more() && self.ready.len() <= most {
            // What was made in excess needs no room any more.
            self.ready.shrink_to_fit();
        }
        self.read = self.ready.len().min(most);
        Piece::Bytes(self.ready.get(..self.read).unwrap_or_default())
    }

    const fn has_more(&self) -> bool {
        matches!(self.pass, Pass::Ahead(_) | Pass::Rest { .. })
    }

    /// Makes the next record, if the budget of pages allows it.
    fn make(&mut self, device: DeviceRef<'_>, budget: &mut u32) {
        let (from, passed) = match self.pass {
            Pass::Ahead(from) => (from, None),
            Pass::Rest { from, passed } => (from, Some(passed)),
            Pass::Waits | Pass::Over => return,
        };
        let scan = device.function().next_page(from, budget);
        let Some(passed) = passed else {
            self.pass = match scan {
                Scan::Page(page, content) => {
                    record::put_memory(page, content.offset, &content.bytes, &mut self.ready);
                    self.sent.insert(page, &content);
                    Pass::Ahead(page.next())
                }
                Scan::Pause(page) => Pass::Ahead(page),
                Scan::End => Pass::Waits,
            };
            return;
        };
        // All pages before the one that was found are zero now.
        let until = match &scan {
            Scan::Page(page, _) | Scan::Pause(page) => Some(*page),
            Scan::End => None,
        };
        let mut blanks = 0;
        while let Some(page) = self.sent.take_first_before(until) {
            record::put_memory(page, page.offset(), &[], &mut self.ready);
            blanks += 1;
            if blanks == STEP {
                let from = page.next();
                self.pass = Pass::Rest { from, passed };
                *budget = 0;
                return;
            }
        }
        self.pass = match scan {
            Scan::Page(page, content) => {
                if !self.sent.take(page, &content) {
                    record::put_memory(page, content.offset, &content.bytes, &mut self.ready);
                }
                Pass::Rest {
                    from: page.next(),
                    passed: passed + 1,
                }
            }
            Scan::Pause(from) => Pass::Rest { from, passed },
            Scan::End => {
                record::put(
                    STATE,
                    &self.state.take().unwrap_or_default(),
                    &mut self.ready,
                );
                Pass::Over
            }
        };
    }

    /// Returns the number of bytes that are to be read until the end, if the device stopped now. Of much
    /// memory only a part is read for that: the rest counts as earlier calls found it, and as a whole if
    /// none did.
    pub(crate) fn left(&mut self, device: DeviceRef<'_>, now: Time) -> u64 {
        let ready = (self.ready.len() - self.read) as u64;
        let (from, passed) = match self.pass {
            Pass::Over => return ready,
            Pass::Rest { from, passed } => (from, passed),
            Pass::Ahead(_) | Pass::Waits => (Page::FIRST, 0),
        };
        let state = match &self.state {
            Some(state) => state.len(),
            None => device.save_state(now).to_string().len(),
        };
        let held = device.function().pages_held().saturating_sub(passed);
        let memory = if held + self.sent.len() <= LOOK.into() {
            self.sent.cost(device, from)
        } else {
            self.sent.estimate(device, from, held)
        };
        ready + memory + (HEAD + state) as u64
    }
}

/// Pages that have been sent, each with a hash of what was sent: for a page of 4 KiB some 40 bytes.
#[derive(Debug, Default)]
struct Sent {
    pages: BTreeMap<Page, SentPage>,
    hasher: RandomState,
    /// Bytes that follow for these pages when the device stops, as far as known.
    again: u64,
    /// Number of these pages that are zero now, as far as known.
    blank: u64,
    /// Place at which the next estimate goes on.
    look: Option<Page>,
}

#[derive(Clone, Copy, Debug)]
struct SentPage {
    hash: u64,
    fate: Fate,
}

/// The record that will follow for a page that has been sent, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Unchanged,
    /// A record with this many bytes of memory.
    Changed(u16),
    /// A record that says that it is zero.
    Blank,
}

impl Fate {
    const fn cost(self) -> u64 {
        match self {
            Self::Unchanged => 0,
            Self::Changed(len) => record::memory_len(len as usize),
            Self::Blank => record::memory_len(0),
        }
    }
}

impl Sent {
    fn len(&self) -> u64 {
        self.pages.len() as u64
    }

    fn hash(&self, content: &Content) -> u64 {
        self.hasher.hash_one((content.offset, &content.bytes))
    }

    fn insert(&mut self, page: Page, content: &Content) {
        let sent = SentPage {
            hash: self.hash(content),
            // Until a look has shown that it is not.
            fate: Fate::Changed(PAGE as u16),
        };
        self.again += sent.fate.cost();
        self.pages.insert(page, sent);
    }

    /// Takes out the first page, if it is before `until`.
    fn take_first_before(&mut self, until: Option<Page>) -> Option<Page> {
        let first = self.pages.first_entry()?;
        if until.is_some_and(|until| *first.key() >= until) {
            return None;
        }
        let (page, sent) = first.remove_entry();
        self.forget(sent);
        Some(page)
    }

    /// Takes a page out. Returns whether it was sent as it is now.
    fn take(&mut self, page: Page, content: &Content) -> bool {
        let Some(sent) = self.pages.remove(&page) else {
            return false;
        };
        self.forget(sent);
        sent.hash == self.hash(content)
    }

    fn forget(&mut self, sent: SentPage) {
        self.again -= sent.fate.cost();
        self.blank -= u64::from(sent.fate == Fate::Blank);
    }

    /// Returns the bytes that follow for the memory from this page on. Reads all of it.
    fn cost(&self, device: DeviceRef<'_>, mut from: Page) -> u64 {
        let mut cost = 0;
        let mut same_or_changed = 0;
        let mut budget = u32::MAX;
        while let Scan::Page(page, content) = device.function().next_page(from, &mut budget) {
            let sent = self.pages.get(&page);
            same_or_changed += u64::from(sent.is_some());
            if sent.is_none_or(|sent| sent.hash != self.hash(&content)) {
                cost += record::memory_len(content.bytes.len());
            }
            from = page.next();
        }
        cost + (self.len() - same_or_changed) * record::memory_len(0)
    }

    /// Looks at some more of the memory from `from` on, of which `held` pages may not be zero. Returns the
    /// bytes that follow for it, as far as known.
    fn estimate(&mut self, device: DeviceRef<'_>, from: Page, held: u64) -> u64 {
        let mut at = self.look.map_or(from, |look| look.max(from));
        let mut budget = LOOK;
        loop {
            let scan = device.function().next_page(at, &mut budget);
            let until = match &scan {
                Scan::Page(page, _) | Scan::Pause(page) => Some(*page),
                Scan::End => None,
            };
            self.note_blank(at, until);
            match scan {
                Scan::Page(page, content) => {
                    self.note(page, &content);
                    at = page.next();
                }
                Scan::Pause(page) => {
                    self.look = Some(page);
                    break;
                }
                Scan::End => {
                    self.look = None;
                    break;
                }
            }
        }
        let unsent = held.saturating_sub(self.len() - self.blank);
        self.again + unsent * record::memory_len(PAGE as usize)
    }

    fn note(&mut self, page: Page, content: &Content) {
        let hash = self.hash(content);
        if let Some(sent) = self.pages.get_mut(&page) {
            let fate = if sent.hash == hash {
                Fate::Unchanged
            } else {
                Fate::Changed(content.bytes.len() as u16)
            };
            change_fate(sent, fate, &mut self.again, &mut self.blank);
        }
    }

    /// Notes that all pages from `from` on are zero, up to `until` or the end.
    fn note_blank(&mut self, from: Page, until: Option<Page>) {
        for (page, sent) in self.pages.range_mut(from..) {
            if until.is_some_and(|until| *page >= until) {
                break;
            }
            change_fate(sent, Fate::Blank, &mut self.again, &mut self.blank);
        }
    }
}

fn change_fate(sent: &mut SentPage, fate: Fate, again: &mut u64, blank: &mut u64) {
    *again = *again + fate.cost() - sent.fate.cost();
    *blank = *blank + u64::from(fate == Fate::Blank) - u64::from(sent.fate == Fate::Blank);
    sent.fate = fate;
}
