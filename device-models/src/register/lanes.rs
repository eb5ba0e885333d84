//! Byte lanes: the bytes of a DWORD that an access covers, like the byte enables of a TLP.

/// Byte enables of a DWORD access: bit n covers bits 8n+7:8n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lanes(u8);

impl Lanes {
    /// All four bytes.
    pub const ALL: Self = Self(0xf);

    /// Returns the lanes of `len` bytes that start at byte `first`; bytes beyond the DWORD are cut off.
    #[must_use]
    pub const fn new(first: usize, len: usize) -> Self {
        let first = if first < 4 { first } else { 4 };
        let len = if len < 4 - first { len } else { 4 - first };
        Self((((1_u32 << len) - 1) << first) as u8)
    }

    /// Returns the covered bits of the DWORD.
    #[must_use]
    pub const fn mask(self) -> u32 {
        let mut mask = 0;
        let mut byte = 0;
        while byte < 4 {
            if self.covers(byte) {
                mask |= 0xff << (8 * byte);
            }
            byte += 1;
        }
        mask
    }

    /// Returns whether byte `byte` (0 to 3) of the DWORD is covered.
    #[must_use]
    pub const fn covers(self, byte: usize) -> bool {
        self.0 >> byte & 1 == 1
    }

    /// Returns the covered bytes, in ascending order.
    pub fn bytes(self) -> impl Iterator<Item = usize> {
        (0..4).filter(move |byte| self.covers(*byte))
    }

    /// Returns whether the byte at `register` is covered by an access to the DWORD at `offset`.
    #[must_use]
    pub const fn reach(self, offset: u64, register: u64) -> bool {
        match register.checked_sub(offset) {
            Some(byte @ 0..4) => self.covers(byte as usize),
            _ => false,
        }
    }

    /// Returns the DWORD whose covered bytes `read` returns. Use it for registers of one byte, of
    /// which an access must reach only its own.
    pub fn gather(self, mut read: impl FnMut(usize) -> u8) -> u32 {
        self.bytes()
            .fold(0, |dword, byte| dword | u32::from(read(byte)) << (8 * byte))
    }
}

/// Data written to a DWORD together with its byte enables. Bytes outside the lanes are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DwordWrite {
    value: u32,
    lanes: Lanes,
}

impl DwordWrite {
    /// Creates a write of `value` restricted to `lanes`.
    #[must_use]
    pub const fn new(value: u32, lanes: Lanes) -> Self {
        Self {
            value: value & lanes.mask(),
            lanes,
        }
    }

    /// Creates a write of the whole DWORD.
    #[must_use]
    pub const fn full(value: u32) -> Self {
        Self::new(value, Lanes::ALL)
    }

    /// Returns the data; bytes that are not written read zero.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.value
    }

    /// Returns the written byte lanes.
    #[must_use]
    pub const fn lanes(self) -> Lanes {
        self.lanes
    }

    /// Returns the bytes written, in ascending order, with their places in the DWORD.
    pub fn bytes(self) -> impl Iterator<Item = (usize, u8)> {
        let data = self.value.to_le_bytes();
        let numbered = (0..4).zip(data);
        numbered.filter(move |(byte, _)| self.lanes.covers(*byte))
    }

    /// Returns the value after the write, if every covered byte is plain storage and the earlier
    /// value is `old`.
    #[must_use]
    pub const fn merge(self, old: u32) -> u32 {
        (old & !self.lanes.mask()) | self.value
    }
}

/// One DWORD's share of a longer access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Byte offset of the DWORD, a multiple of four.
    pub offset: u64,
    /// First covered byte within the DWORD.
    pub first: usize,
    /// Number of bytes covered, one to four.
    pub len: usize,
    /// Offset of those bytes in the access's data.
    pub at: usize,
}

impl Piece {
    /// Returns the lanes the piece covers.
    #[must_use]
    pub const fn lanes(self) -> Lanes {
        Lanes::new(self.first, self.len)
    }

    /// Copies the covered bytes of `dword` into the access's data.
    pub fn fill(self, dword: u32, data: &mut [u8]) {
        let bytes = dword.to_le_bytes();
        let from = bytes.iter().skip(self.first);
        for (to, from) in data.iter_mut().skip(self.at).take(self.len).zip(from) {
            *to = *from;
        }
    }

    /// Returns the covered bytes of the access's data as a write.
    #[must_use]
    pub fn write(self, data: &[u8]) -> DwordWrite {
        let mut bytes = [0; 4];
        let to = bytes.iter_mut().skip(self.first);
        for (to, from) in to.zip(data.iter().skip(self.at).take(self.len)) {
            *to = *from;
        }
        DwordWrite::new(u32::from_le_bytes(bytes), self.lanes())
    }
}

/// Divides an access of `len` bytes at `offset` into its DWORDs, in ascending order.
///
/// The caller has checked that `offset + len` does not overflow.
pub fn split(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= len {
            return None;
        }
        let position = offset.wrapping_add(at as u64);
        let first = (position % 4) as usize;
        let piece = Piece {
            offset: position - first as u64,
            first,
            len: (4 - first).min(len - at),
            at,
        };
        at += piece.len;
        Some(piece)
    })
}
