//! BAR memory that clients may map.
//!
//! A server cannot remove a mapping of a client, but it can remove the memory. While clients must not
//! access the function, the server truncates the file to zero bytes: a client that touches its mapping
//! gets SIGBUS, as from vfio-pci. Afterwards the file grows again. The server keeps the contents
//! meanwhile, since requests may still access them and most sleeps lose nothing.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use pci_device_models::function::{Area, BarMemory, Mappable, MappableBar, PrivateMemory};
use rustix::fs::{MemfdFlags, fstat, memfd_create};

use crate::ratelimit::limited;

/// Bytes copied at a time when the contents move between the file and their keeping place.
const PIECE: usize = 64 * 1024;

/// A BAR that clients may map, with what they map.
#[derive(Debug)]
pub(crate) struct SharedBar {
    /// BAR index, and what of it is in the file, at its offset in the BAR.
    pub(crate) mappable: MappableBar,
    /// The file.
    pub(crate) file: OwnedFd,
}

impl SharedBar {
    /// Makes the memory to put behind the BAR, hidden, and what clients get of it.
    ///
    /// # Errors
    /// There are too many descriptors or too little memory.
    pub(crate) fn new(mappable: MappableBar) -> io::Result<(SharedMemory, Self)> {
        let (memory, file) = SharedMemory::new(&mappable.memory)?;
        Ok((memory, Self { mappable, file }))
    }
}

/// Memory of a BAR, with the areas in a file that clients map.
pub(crate) struct SharedMemory {
    file: File,
    size: u64,
    /// Areas in the file, in ascending order. The last one may extend beyond the end.
    areas: Vec<Area>,
    /// Contents of the areas while clients may not access them.
    hidden: Option<PrivateMemory>,
    /// Memory outside all areas, which clients never see.
    rest: PrivateMemory,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("size", &self.size)
            .field("areas", &self.areas)
            .field("visible", &self.hidden.is_none())
            .finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// No bytes yet, hidden, and a descriptor of the file for clients.
    fn new(mappable: &Mappable) -> io::Result<(Self, OwnedFd)> {
        let file = File::from(memfd_create("dormouse-bar", MemfdFlags::CLOEXEC)?);
        let shared = OwnedFd::from(file.try_clone()?);
        let memory = Self {
            file,
            size: 0,
            areas: match mappable {
                Mappable::Whole => vec![Area {
                    offset: 0,
                    size: u64::MAX,
                }],
                Mappable::Areas(areas) => areas.clone(),
            },
            hidden: Some(PrivateMemory::new(0)),
            rest: PrivateMemory::new(0),
        };
        Ok((memory, shared))
    }

    /// Bytes of the file while it is visible.
    fn len(&self) -> u64 {
        self.areas
            .last()
            .map_or(0, |last| last.end().min(self.size))
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

    /// Returns whether the file reads zero everywhere because it was never touched.
    fn file_is_blank(&self) -> bool {
        fstat(&self.file).is_ok_and(|stat| stat.st_blocks == 0)
    }

    fn show(&mut self) -> io::Result<()> {
        let Some(hidden) = self.hidden.take() else {
            return Ok(());
        };
        self.file.set_len(self.len())?;
        if hidden.is_blank() {
            return Ok(());
        }
        self.for_pieces(|offset, piece| {
            hidden.read(offset, piece);
            // A file that was cut reads zero by itself.
            if piece.iter().any(|byte| *byte != 0) {
                self.file.write_all_at(piece, offset)?;
            }
            Ok(())
        })
    }

    fn hide(&mut self) -> io::Result<()> {
        let mut hidden = PrivateMemory::new(self.size);
        if !self.file_is_blank() {
            self.for_pieces(|offset, piece| {
                self.file.read_exact_at(piece, offset)?;
                if piece.iter().any(|byte| *byte != 0) {
                    hidden.write(offset, piece);
                }
                Ok(())
            })?;
        }
        self.hidden = Some(hidden);
        self.file.set_len(0)
    }

    /// Goes through the areas.
    fn for_pieces(&self, mut each: impl FnMut(u64, &mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; PIECE.min(usize::try_from(self.size).unwrap_or(PIECE))];
        for area in &self.areas {
            let end = area.end().min(self.size);
            let mut offset = area.offset;
            while offset < end {
                let left = usize::try_from(end - offset).unwrap_or(PIECE);
                let len = buffer.len().min(left);
                let piece = buffer.get_mut(..len).unwrap_or_default();
                each(offset, piece)?;
                offset += len as u64;
            }
        }
        Ok(())
    }

    fn read_area(&self, offset: u64, data: &mut [u8]) {
        match &self.hidden {
            Some(hidden) => hidden.read(offset, data),
            None => {
                if self.file.read_exact_at(data, offset).is_err() {
                    data.fill(0);
                }
            }
        }
    }

    fn write_area(&mut self, offset: u64, data: &[u8]) {
        match &mut self.hidden {
            Some(hidden) => hidden.write(offset, data),
            None => {
                let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
                let data = data.get(..data.len().min(left)).unwrap_or_default();
                if let Err(error) = self.file.write_all_at(data, offset) {
                    limited!(warn, %error, "BAR memory cannot be written");
                }
            }
        }
    }
}

impl BarMemory for SharedMemory {
    fn read(&self, mut offset: u64, mut data: &mut [u8]) {
        while !data.is_empty() {
            let (shared, len) = self.stretch(offset, data.len());
            let (part, left) = data.split_at_mut(len);
            if shared {
                self.read_area(offset, part);
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
                self.write_area(offset, part);
            } else {
                self.rest.write(offset, part);
            }
            offset = offset.saturating_add(len as u64);
            data = left;
        }
    }

    fn is_blank(&self) -> bool {
        let areas = self.hidden.as_ref();
        self.rest.is_blank() && areas.map_or_else(|| self.file_is_blank(), BarMemory::is_blank)
    }

    fn reset(&mut self, size: u64) {
        self.size = size;
        self.rest.reset(size);
        if let Some(hidden) = &mut self.hidden {
            hidden.reset(size);
            return;
        }
        // Cut and grown again it reads zero. A client that touches it in between gets what it gets
        // for touching a function during a reset.
        let len = self.len();
        let cleared = self.file.set_len(0).and_then(|()| self.file.set_len(len));
        if let Err(error) = cleared {
            limited!(warn, %error, "BAR memory cannot be cleared");
        }
    }

    fn set_visible(&mut self, visible: bool) {
        let done = if visible {
            self.show()
        } else if self.hidden.is_none() {
            self.hide()
        } else {
            Ok(())
        };
        if let Err(error) = done {
            limited!(warn, %error, visible, "cannot resize the file of BAR memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(size: u64) -> (SharedMemory, File) {
        let (mut memory, shared) = SharedMemory::new(&Mappable::Whole).unwrap();
        memory.reset(size);
        (memory, File::from(shared))
    }

    #[test]
    fn the_file_has_its_size_only_while_it_is_visible() {
        let (mut memory, shared) = memory(0x20_000);
        assert_eq!(shared.metadata().unwrap().len(), 0);
        memory.set_visible(true);
        assert_eq!(shared.metadata().unwrap().len(), 0x20_000);
        memory.set_visible(false);
        assert_eq!(shared.metadata().unwrap().len(), 0);
    }

    #[test]
    fn contents_outlast_being_hidden_and_are_the_same_from_both_sides() {
        let (mut memory, shared) = memory(0x20_000);
        memory.write(0x1_fffe, &[1, 2, 3]);
        memory.set_visible(true);
        let mut data = [0; 2];
        shared.read_exact_at(&mut data, 0x1_fffe).unwrap();
        assert_eq!(data, [1, 2], "nothing beyond the end");
        shared.write_all_at(&[9], 0x10).unwrap();
        memory.set_visible(false);
        memory.read(0x10, &mut data[..1]);
        assert_eq!(data[0], 9);
        memory.write(0x11, &[8]);
        memory.set_visible(true);
        shared.read_exact_at(&mut data, 0x10).unwrap();
        assert_eq!(data, [9, 8]);
    }

    #[test]
    fn a_reset_leaves_nothing_behind() {
        for visible in [false, true] {
            let (mut memory, shared) = memory(0x1000);
            memory.set_visible(visible);
            memory.write(0, &[1]);
            memory.reset(0x2000);
            let mut data = [9];
            memory.read(0, &mut data);
            assert_eq!(data, [0]);
            memory.set_visible(true);
            assert_eq!(shared.metadata().unwrap().len(), 0x2000);
        }
    }
    #[test]
    fn only_areas_are_in_the_file_and_all_else_is_read_and_written_like_them() {
        let areas = [(0x1000, 0x1000), (0x3000, 0x2000)];
        let areas = areas.map(|(offset, size)| Area { offset, size });
        let (mut memory, shared) = SharedMemory::new(&Mappable::Areas(areas.to_vec())).unwrap();
        let shared = File::from(shared);
        memory.reset(0x8000);
        assert!(memory.is_blank());
        memory.set_visible(true);
        assert_eq!(shared.metadata().unwrap().len(), 0x5000, "to the last area");
        assert!(memory.is_blank());
        let all: Vec<u8> = (0..0x8000_u32).map(|at| (at % 251) as u8 + 1).collect();
        memory.write(0, &all);
        for visible in [true, false, true] {
            memory.set_visible(visible);
            let mut data = vec![0; 0x8000];
            memory.read(0, &mut data);
            assert_eq!(data, all, "visible: {visible}");
        }
        let mut data = vec![0; 0x5000];
        shared.read_exact_at(&mut data, 0).unwrap();
        for (at, byte) in data.iter().enumerate() {
            let in_area = areas.iter().any(|area| area.contains(at as u64));
            assert_eq!(*byte, if in_area { all[at] } else { 0 }, "{at:#x}");
        }
        assert!(!memory.is_blank());
        memory.reset(0x8000);
        assert!(memory.is_blank());
    }
}
