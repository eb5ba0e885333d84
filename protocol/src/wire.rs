//! Host-endian fields at fixed offsets: reading from structures whose length is known, writing in
//! order.

use byteorder::{ByteOrder, NativeEndian};

use crate::command::Subject;
use crate::error::MessageError;

/// A wire structure of `N` bytes that is there as a whole. An offset outside it does not compile.
#[derive(Clone, Copy)]
pub(crate) struct Structure<'a, const N: usize>(&'a [u8; N]);

impl<'a, const N: usize> Structure<'a, N> {
    /// The structure that `bytes` are.
    pub(crate) const fn whole(bytes: &'a [u8; N]) -> Self {
        Self(bytes)
    }

    /// The structure at the start of `bytes`, if they are long enough.
    pub(crate) fn at_start(bytes: &'a [u8]) -> Option<Self> {
        bytes.first_chunk().map(Self)
    }

    /// The structure at the start of `bytes` and what follows it.
    pub(crate) fn split(
        subject: Subject,
        bytes: &'a [u8],
    ) -> Result<(Self, &'a [u8]), MessageError> {
        match bytes.split_first_chunk() {
            Some((structure, rest)) => Ok((Self(structure), rest)),
            None => Err(MessageError::Short {
                subject,
                actual: bytes.len(),
                needed: N,
            }),
        }
    }

    /// The structure at the start of `bytes`, no matter what follows it.
    pub(crate) fn read(subject: Subject, bytes: &'a [u8]) -> Result<Self, MessageError> {
        Self::split(subject, bytes).map(|(structure, _)| structure)
    }

    pub(crate) fn u16<const AT: usize>(&self) -> u16 {
        const { assert!(AT + 2 <= N) };
        NativeEndian::read_u16(&self.0[AT..AT + 2])
    }

    pub(crate) fn u32<const AT: usize>(&self) -> u32 {
        const { assert!(AT + 4 <= N) };
        NativeEndian::read_u32(&self.0[AT..AT + 4])
    }

    pub(crate) fn u64<const AT: usize>(&self) -> u64 {
        const { assert!(AT + 8 <= N) };
        NativeEndian::read_u64(&self.0[AT..AT + 8])
    }

    pub(crate) fn bytes<const AT: usize, const LEN: usize>(&self) -> [u8; LEN] {
        const { assert!(AT + LEN <= N) };
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(&self.0[AT..AT + LEN]);
        bytes
    }
}

/// Appends host-endian numbers.
pub(crate) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_u16(&mut self, value: u16) {
        let mut bytes = [0; 2];
        NativeEndian::write_u16(&mut bytes, value);
        self.put(&bytes);
    }

    fn put_u32(&mut self, value: u32) {
        let mut bytes = [0; 4];
        NativeEndian::write_u32(&mut bytes, value);
        self.put(&bytes);
    }

    fn put_u64(&mut self, value: u64) {
        let mut bytes = [0; 8];
        NativeEndian::write_u64(&mut bytes, value);
        self.put(&bytes);
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A length as a wire number. Lengths above 4 GiB cannot be framed at all, so the saturated value
/// never leaves the process.
pub(crate) fn len_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
