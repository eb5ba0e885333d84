//! Bytes as decisions.

/// Input that is consumed from the front. At its end every number is zero, so that any input is
/// valid.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Creates the input from all of `data`.
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Returns whether everything is consumed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes up to `count` bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes the rest.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    /// Takes a number of one byte.
    pub fn u8(&mut self) -> u8 {
        self.number::<1>() as u8
    }

    /// Takes a number of two bytes.
    pub fn u16(&mut self) -> u16 {
        self.number::<2>() as u16
    }

    /// Takes a number of four bytes.
    pub fn u32(&mut self) -> u32 {
        self.number::<4>() as u32
    }

    /// Takes a number of eight bytes.
    pub fn u64(&mut self) -> u64 {
        self.number::<8>()
    }

    /// Takes a Boolean.
    pub fn flag(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    /// Takes a number below `end`, which is at most 256.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.u8()) % end.max(1)
    }

    /// Takes one of these values.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn number<const N: usize>(&mut self) -> u64 {
        let mut wide = [0; 8];
        let bytes = self.bytes(N);
        wide[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(wide)
    }
}

/// Returns whether the slow checks run with this input too: with one in eight, and always with the
/// same ones.
#[must_use]
pub fn is_thorough(data: &[u8]) -> bool {
    let sum = data.iter().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(0x0100_0193) ^ u32::from(*byte)
    });
    sum.wrapping_mul(0x9e37_79b9) >> 29 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_one_input_in_eight_is_checked_thoroughly() {
        let inputs = (0..8000_u16).map(u16::to_le_bytes);
        let count = inputs.filter(|input| is_thorough(input)).count();
        assert!((900..1100).contains(&count), "{count}");
    }

    #[test]
    fn what_is_not_there_is_zero() {
        let mut input = Input::new(&[1, 2, 3]);
        assert_eq!(input.u16(), 0x0201);
        assert_eq!(input.u32(), 3);
        assert!(input.is_empty());
        assert_eq!((input.u64(), input.pick(&[7, 8])), (0, 7));
    }
}
