//! BAR memory that clients may map.
//!
//! A server cannot remove a mapping of a client, but it can change the file behind it. While the
//! function does not decode the BAR, the bytes are in memory of the server's own, and the file is
//! what the view says ([`Hidden`]). There is a file only while a client has a descriptor of it, so
//! memory that nobody maps comes and goes without a cost. Clients that open the function later get
//! another file.

mod contents;
mod file;

use std::io;
use std::os::fd::OwnedFd;

use pci_device_models::function::{Area, BarMemory, Mappable, MappableBar, PrivateMemory, Release};
use pci_device_models::host::View;
use pci_device_models::snapshot::memory::PAGE;

use contents::Contents;

/// Bytes of BAR memory that are moved before others get a turn.
pub(crate) const STEP: u64 = 512 * 1024;

/// The file behind a BAR while the function does not decode it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// All ones: what a bus reads where nobody answers. Bytes that a client stores are lost when
    /// the function decodes the BAR again.
    Ones,
    /// Nothing: a client that touches its mapping gets SIGBUS, as from vfio-pci.
    Gone,
}

impl From<View> for Hidden {
    fn from(view: View) -> Self {
        match view {
            View::Hardware => Self::Ones,
            View::VfioPci => Self::Gone,
        }
    }
}

/// Memory of a BAR, with the areas in a file that clients map.
#[derive(Debug)]
pub(crate) struct SharedMemory {
    /// Areas in the file, in ascending order. The last one may extend beyond the end.
    areas: Vec<Area>,
    /// Bytes of the areas.
    contents: Contents,
    /// Memory outside all areas, which clients never see.
    rest: PrivateMemory,
}

impl SharedMemory {
    /// Creates the memory behind a BAR. It has no bytes before [`BarMemory::reset`].
    pub(crate) fn new(bar: &MappableBar, hidden: Hidden) -> Self {
        let areas = match &bar.memory {
            Mappable::Whole => vec![Area {
                offset: 0,
                size: u64::MAX,
            }],
            Mappable::Areas(areas) => areas.clone(),
        };
        let end = areas.last().map_or(0, Area::end);
        Self {
            contents: Contents::new(hidden, &areas, end.min(bar.largest)),
            areas,
            rest: PrivateMemory::new(0),
        }
    }

    /// Returns a descriptor of the file, for a client to map.
    ///
    /// # Errors
    /// There are too many descriptors, or the file would be larger than files may be.
    pub(crate) fn share(&mut self) -> io::Result<OwnedFd> {
        self.contents.share()
    }

    /// Returns whether `offset` is in an area, and for how many of the next `most` bytes the same holds.
    fn stretch(&self, offset: u64, most: usize) -> (bool, usize) {
        let (shared, len) = match self.areas.iter().find(|area| offset < area.end()) {
            Some(area) if area.contains(offset) => (true, area.end() - offset),
            Some(area) => (false, area.offset - offset),
            None => (false, u64::MAX),
        };
        (
            shared,
            usize::try_from(len).map_or(most, |len| len.min(most)),
        )
    }
}

impl BarMemory for SharedMemory {
    fn read(&self, mut offset: u64, mut data: &mut [u8]) {
        while !data.is_empty() {
            let (shared, len) = self.stretch(offset, data.len());
            let (part, left) = data.split_at_mut(len);
            if shared {
                self.contents.read(offset, part);
            } else {
                self.rest.read(offset, part);
            }
            offset = offset.saturating_add(len as u64);
            data = left;
        }
    }

    fn write(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let (shared, len) = self.stretch(offset, data.len());
            let (part, left) = data.split_at(len);
            if shared {
                self.contents.write(offset, part);
            } else {
                self.rest.write(offset, part);
            }
            offset = offset.saturating_add(len as u64);
            data = left;
        }
    }

    fn is_blank(&self) -> bool {
        self.rest.is_blank() && self.contents.is_blank()
    }

    fn next_page(&self, from: u64) -> Option<u64> {
        let from = from - from % PAGE;
        let next = [self.rest.next_page(from), self.contents.next_filled(from)];
        next.into_iter().flatten().min()
    }

    fn held(&self, size: u64) -> u64 {
        let held = self.rest.held(size).saturating_add(self.contents.held());
        held.min(size)
    }

    fn reset(&mut self, size: u64) {
        self.rest.reset(size);
        self.contents.reset(size);
    }

    fn set_release(&mut self, release: &Release) {
        self.rest.set_release(release);
    }

    fn set_visible(&mut self, visible: bool) {
        self.contents.set_visible(visible);
    }

    fn unshare(&mut self) {
        self.contents.unshare();
    }

    fn is_settled(&self) -> bool {
        self.contents.is_settled()
    }

    fn advance(&mut self, budget: &mut u64) {
        self.contents.advance(budget);
    }
}

#[cfg(test)]
mod tests;
