//! Bytes of a copy on their way from one place in client memory to another.

use std::mem::take;
use std::ops::Range;

/// Bytes of a copy that are in the server's hands at a time: few enough to stay in the cache.
pub(super) const BOUNCE: usize = 64 * 1024;
/// The same where memory is short.
const LEAST: usize = 4096;

/// A buffer that no copy needs at the moment. A copy has one only while bytes are on their way, so
/// all functions together usually need this one, unless clients let them wait.
#[derive(Debug, Default)]
pub(crate) struct BounceBuffer(Vec<u8>);

/// Data that a copy has read and not written yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Of [`BOUNCE`] bytes, of [`LEAST`] where memory is short, or empty while none is needed.
    buffer: Vec<u8>,
    part: Range<usize>,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.part.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.part.clone()).unwrap_or_default()
    }

    /// Room for up to `len` bytes. Those that were held are gone. `None`: there is no memory.
    pub(super) fn room(&mut self, pool: &mut BounceBuffer, len: usize) -> Option<&mut [u8]> {
        if self.buffer.is_empty() {
            self.buffer = take(&mut pool.0);
            let has_room = |size: &usize| self.buffer.try_reserve_exact(*size).is_ok();
            let size = [BOUNCE, LEAST].into_iter().find(has_room)?;
            self.buffer.resize(size, 0);
        }
        self.part = 0..0;
        let len = len.min(self.buffer.len());
        self.buffer.get_mut(..len)
    }

    /// The first `len` bytes of the room have been read.
    pub(super) fn fill(&mut self, len: usize) {
        self.part = 0..len;
    }

    /// Takes bytes in that came by message.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        if let Some(place) = self.buffer.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.fill(bytes.len());
        }
    }

    /// The first `len` of the bytes have been written.
    pub(super) fn drop_first(&mut self, len: usize) {
        self.part.start = (self.part.start + len).min(self.part.end);
    }

    /// Gives the buffer back, and what is in it up.
    pub(super) fn release(&mut self, pool: &mut BounceBuffer) {
        self.part = 0..0;
        let buffer = take(&mut self.buffer);
        if pool.0.is_empty() {
            pool.0 = buffer;
        }
    }
}
