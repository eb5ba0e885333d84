//! Doorbells: registers of which only the fact that they are written matters, so that an eventfd can
//! stand for the write.

/// A register that can be written by signalling an eventfd instead of sending a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// BAR.
    pub bar: u8,
    /// Offset in the BAR in bytes.
    pub offset: u64,
    /// Bytes of the write: 1, 2, 4 or 8.
    pub size: u8,
    /// The value whose write is meant. Without one every write of this size is, and what was written
    /// does not arrive: the function is written zero.
    pub datamatch: Option<u64>,
}

impl Doorbell {
    /// The value that a signal writes.
    #[must_use]
    pub const fn value(&self) -> [u8; 8] {
        match self.datamatch {
            Some(value) => value.to_le_bytes(),
            None => [0; 8],
        }
    }

    /// Whether one write could mean both.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        let place = |doorbell: &Self| (doorbell.bar, doorbell.offset, doorbell.size);
        place(self) == place(other)
            && (self.datamatch.is_none()
                || other.datamatch.is_none()
                || self.datamatch == other.datamatch)
    }
}
