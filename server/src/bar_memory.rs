//! BAR memory that clients may map.
//!
//! A mapping that a client holds cannot be taken back. What can be taken back is the memory: the
//! file behind it is cut to nothing while the function must not be touched, so that a client that
//! touches it gets SIGBUS as it does from vfio-pci, and grows again when it may be. What the memory
//! holds is kept aside meanwhile, since requests may still reach it and most sleeps lose nothing.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use pci_device_models::function::{BarMemory, PrivateMemory};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::ratelimit::limited;

/// Bytes copied at a time when the contents move between the file and their keeping place.
const PIECE: usize = 64 * 1024;

/// Memory in a file that clients map.
pub(crate) struct SharedMemory {
    file: File,
    size: u64,
    /// The contents while nobody may see them.
    hidden: Option<PrivateMemory>,
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMemory")
            .field("size", &self.size)
            .field("visible", &self.hidden.is_none())
            .finish_non_exhaustive()
    }
}

impl SharedMemory {
    /// An empty file, hidden, and a descriptor of it for clients.
    ///
    /// # Errors
    /// There are too many descriptors or too little memory.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let file = File::from(memfd_create("dormouse-bar", MemfdFlags::CLOEXEC)?);
        let shared = OwnedFd::from(file.try_clone()?);
        let memory = Self {
            file,
            size: 0,
            hidden: Some(PrivateMemory::new(0)),
        };
        Ok((memory, shared))
    }

    fn show(&mut self) -> io::Result<()> {
        let Some(hidden) = self.hidden.take() else {
            return Ok(());
        };
        self.file.set_len(self.size)?;
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
        self.for_pieces(|offset, piece| {
            self.file.read_exact_at(piece, offset)?;
            if piece.iter().any(|byte| *byte != 0) {
                hidden.write(offset, piece);
            }
            Ok(())
        })?;
        self.hidden = Some(hidden);
        self.file.set_len(0)
    }

    fn for_pieces(&self, mut each: impl FnMut(u64, &mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; PIECE.min(usize::try_from(self.size).unwrap_or(PIECE))];
        let mut offset = 0;
        while offset < self.size {
            let left = usize::try_from(self.size - offset).unwrap_or(PIECE);
            let len = buffer.len().min(left);
            let piece = buffer.get_mut(..len).unwrap_or_default();
            each(offset, piece)?;
            offset += len as u64;
        }
        Ok(())
    }
}

impl BarMemory for SharedMemory {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match &self.hidden {
            Some(hidden) => hidden.read(offset, data),
            None => {
                if self.file.read_exact_at(data, offset).is_err() {
                    data.fill(0);
                }
            }
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
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

    fn reset(&mut self, size: u64) {
        self.size = size;
        if let Some(hidden) = &mut self.hidden {
            hidden.reset(size);
            return;
        }
        // Cut and grown again it reads zero. A client that touches it in between gets what it gets
        // for touching a function during a reset.
        let cleared = self.file.set_len(0).and_then(|()| self.file.set_len(size));
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
            limited!(warn, %error, visible, "BAR memory cannot be shown or taken away");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(size: u64) -> (SharedMemory, File) {
        let (mut memory, shared) = SharedMemory::new().unwrap();
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
}
