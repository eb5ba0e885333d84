//! Doorbells: registers for which only the fact of a write matters, so that an eventfd can replace
//! the write.

/// A register that can be written by signalling an eventfd instead of sending a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// BAR.
    pub bar: u8,
    /// Offset in the BAR in bytes.
    pub offset: u64,
    /// Bytes of the write: 1, 2, 4 or 8.
    pub size: u8,
    /// The value whose write rings the doorbell. Without one, every write of this size rings it and
    /// its value is lost: the function receives zero.
    pub datamatch: Option<u64>,
}

impl Doorbell {
    /// Returns the value that a signal writes.
    #[must_use]
    pub const fn value(&self) -> [u8; 8] {
        match self.datamatch {
            Some(value) => value.to_le_bytes(),
            None => [0; 8],
        }
    }

    /// Returns whether one write could ring both doorbells.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        let place = |doorbell: &Self| (doorbell.bar, doorbell.offset, doorbell.size);
        place(self) == place(other)
            && (self.datamatch.is_none()
                || other.datamatch.is_none()
                || self.datamatch == other.datamatch)
    }
}
