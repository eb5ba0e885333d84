//! Block back ends: a file of fixed size.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use mio::{Registry, Token};
use pci_device_models::host::DeviceMut;
use pci_device_models::model::backend::{BlockError, BlockOp, MAX_BLOCK_TRANSFER};
use pci_device_models::time::Time;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::Drive;
use crate::ratelimit::limited;

/// Requests, and bytes of them, that are served before others get a turn.
const REQUESTS_PER_TURN: u32 = 64;
const BYTES_PER_TURN: usize = 4 * MAX_BLOCK_TRANSFER as usize;

/// The medium of a disk.
///
/// Requests are served one after the other with `pread`, `pwrite` and `fdatasync`, while the event
/// loop waits.
#[derive(Debug)]
pub struct BlockBackend {
    file: Option<File>,
    capacity: u64,
    /// The data of the last read.
    data: Vec<u8>,
}

impl BlockBackend {
    /// Opens a regular file, whose size is that of the medium from now on. No other server may have
    /// it open as well.
    ///
    /// # Errors
    /// The file cannot be opened for reading and writing, is not regular, or is locked.
    pub fn file(path: &Path) -> io::Result<Self> {
        let other = || io::Error::other("it is no regular file");
        // Opening a device can have effects, so it is asked before and after.
        if !fs::metadata(path)?.is_file() {
            return Err(other());
        }
        let no_wait = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .custom_flags(no_wait)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(other());
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            file: Some(file),
            capacity: metadata.len(),
            data: Vec::new(),
        })
    }

    /// Creates a back end without a medium: its capacity is zero.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            file: None,
            capacity: 0,
            data: Vec::new(),
        }
    }

    /// Performs a request. What was read is in `self.data`.
    fn perform(&mut self, op: &BlockOp) -> Result<(), BlockError> {
        op.check(self.capacity)?;
        self.data.clear();
        let Some(file) = &self.file else {
            return Ok(());
        };
        let done = match op {
            BlockOp::Read { offset, len } => {
                self.data.resize(*len as usize, 0);
                file.read_exact_at(&mut self.data, *offset)
            }
            BlockOp::Write { offset, data } => file.write_all_at(data, *offset),
            BlockOp::Flush => file.sync_data(),
            _ => Err(io::ErrorKind::Unsupported.into()),
        };
        done.map_err(|error| {
            limited!(warn, %error, "the file of a block back end failed");
            BlockError::Failed
        })
    }

    /// Serves the next request. Returns its bytes, and one more, if there was one.
    fn serve(&mut self, now: Time, device: &mut DeviceMut<'_>) -> Option<usize> {
        device.with_backend(now, |backend, cx| {
            let disk = backend.block()?;
            disk.set_capacity(cx, self.capacity);
            let request = disk.next_request(cx)?;
            let outcome = self.perform(&request.op);
            let data = outcome.map(|()| self.data.as_slice());
            disk.complete(cx, request.tag, data);
            let written = match &request.op {
                BlockOp::Write { data, .. } => data.len(),
                _ => 0,
            };
            Some(1 + written + self.data.len())
        })
    }
}

impl Drive for BlockBackend {
    fn watch(&mut self, _: &Registry, _: Token) -> io::Result<Option<UnixListener>> {
        Ok(None)
    }

    fn connect(&mut self, _: OwnedFd, _: &Registry, _: Token) {}

    fn peer_ready(&mut self) {}

    fn step(&mut self, now: Time, device: &mut DeviceMut<'_>) -> bool {
        let mut bytes = 0;
        for _ in 0..REQUESTS_PER_TURN {
            match self.serve(now, device) {
                Some(served) => bytes += served,
                None => return false,
            }
            if bytes >= BYTES_PER_TURN {
                break;
            }
        }
        true
    }
}
