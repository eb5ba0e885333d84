//! The file behind a BAR that clients map.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, SeekFrom, fallocate, fcntl_add_seals, fstat,
    memfd_create, seek,
};
use rustix::io::Errno;

use super::Hidden;

/// Bytes that are filled at a time.
const FILL: usize = 64 * 1024;

/// Bytes of a block as fstat(2) counts them.
const BLOCK: u64 = 512;

static ONES: [u8; FILL] = [0xff; FILL];
/// A source of zeros.
pub(super) static ZEROS: [u8; FILL] = [0; FILL];

/// A file in memory whose descriptors are given to clients.
#[derive(Debug)]
pub(super) struct SharedFile(File);

impl SharedFile {
    /// Creates a file of `len` bytes that read zero. Clients cannot change the length of a file
    /// that the server itself never cuts: what they stored beyond its end would be held here.
    ///
    /// # Errors
    /// There are too many descriptors, or `len` is above the limit for files.
    pub(super) fn new(len: u64, hidden: Hidden) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let name = "dormouse-bar";
        let made = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
            // Kernels before 6.3 do not know the flag.
            Err(Errno::INVAL) => memfd_create(name, flags)?,
            made => made?,
        };
        let file = File::from(made);
        file.set_len(len)?;
        let seals = match hidden {
            Hidden::Ones => SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
            Hidden::Gone => SealFlags::SEAL,
        };
        fcntl_add_seals(&file, seals)?;
        Ok(Self(file))
    }

    /// Returns a further descriptor, for a client.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.0.try_clone()?.into())
    }

    /// Reads bytes. Those that cannot be read, and those beyond the end, are zero.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            match self.0.read_at(rest, at) {
                Ok(count) if count > 0 => {
                    rest = rest.get_mut(count..).unwrap_or_default();
                    at += count as u64;
                }
                Ok(_) | Err(_) => return rest.fill(0),
            }
        }
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    /// Returns the offset of the first byte at or after `from` that may not be zero. The kernel
    /// knows the pages that nobody has touched.
    pub(super) fn next_data(&self, from: u64) -> Option<u64> {
        match seek(&self.0, SeekFrom::Data(from)) {
            Ok(at) => Some(at),
            Err(Errno::NXIO) => None,
            Err(_) => Some(from),
        }
    }

    /// As [`Self::next_data`], `u64::MAX` if there is none. `known` remembers what it was from one
    /// call to the next.
    pub(super) fn next_data_after(&self, from: u64, known: &mut Option<u64>) -> u64 {
        match *known {
            Some(next) if next >= from => next,
            _ => *known.insert(self.next_data(from).unwrap_or(u64::MAX)),
        }
    }

    /// Returns the bytes of memory that the file takes.
    pub(super) fn taken(&self) -> u64 {
        let blocks = fstat(&self.0).map_or(i64::MAX, |stat| stat.st_blocks);
        blocks.unsigned_abs().saturating_mul(BLOCK)
    }

    /// Returns whether no page was ever touched, or all have been given back.
    pub(super) fn is_blank(&self) -> bool {
        self.taken() == 0
    }

    /// Gives the pages of a range back, which then reads zero.
    pub(super) fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.0, flags, offset, len)?)
    }

    /// Sets bytes of the BAR to zero, in whatever way the kernel lets it.
    pub(super) fn clear(&self, offset: u64, len: u64) -> io::Result<()> {
        self.punch(offset, len)
            .or_else(|_| self.fill(&ZEROS, offset, len))
    }

    /// Sets bytes to all ones.
    pub(super) fn fill_ones(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fill(&ONES, offset, len)
    }

    fn fill(&self, with: &[u8; FILL], offset: u64, len: u64) -> io::Result<()> {
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let len = usize::try_from(end - at).map_or(FILL, |left| left.min(FILL));
            let bytes = with.get(..len).unwrap_or_default();
            self.0.write_all_at(bytes, at)?;
            at += len as u64;
        }
        Ok(())
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
