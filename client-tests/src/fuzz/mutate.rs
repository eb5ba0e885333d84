//! Creation of inputs from other inputs.

/// Values at the limits of arithmetic.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    0x7f,
    0x80,
    0xff,
    0x1000,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    i64::MAX as u64,
    u64::MAX,
];

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates the numbers of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, 0 if there is none.
    pub const fn below(&mut self, end: usize) -> usize {
        if end == 0 {
            0
        } else {
            (self.next() % end as u64) as usize
        }
    }
}

/// Creates inputs from interesting ones and from words that the target knows.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    longest: usize,
}

impl Mutator {
    /// Creates the inputs of this seed, each at most `longest` bytes long.
    #[must_use]
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>, words: Vec<Vec<u8>>, longest: usize) -> Self {
        Self {
            random: Random::new(seed),
            seeds,
            words,
            longest,
        }
    }

    /// Writes the next input into `out`.
    pub fn next(&mut self, out: &mut Vec<u8>) {
        out.clear();
        // One in eight is nothing but noise.
        if self.seeds.is_empty() || self.random.below(8) == 0 {
            let len = self.random.below(self.longest.min(128)) + 1;
            out.extend((0..len).map(|_| self.random.next() as u8));
        } else {
            let seed = self.random.below(self.seeds.len());
            out.extend_from_slice(&self.seeds[seed]);
        }
        for _ in 0..=self.random.below(6) {
            self.change(out);
        }
        out.truncate(self.most().min(self.longest));
    }

    /// Returns the maximum length of the next input. Three in four are shortened, most of them
    /// much: many short inputs find as much as few long ones.
    fn most(&mut self) -> usize {
        if self.random.below(4) == 0 {
            return self.longest;
        }
        let scale = (self.longest >> self.random.below(6)).max(16);
        1 + self.random.below(scale)
    }

    fn change(&mut self, out: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.below(out.len());
        let len = random.below(out.len() - at).min(64) + 1;
        match random.below(9) {
            0 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            2 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                overwrite(out, at, &edge[..1 << random.below(4)]);
            }
            3 => {
                out.drain(at..(at + len).min(out.len()));
            }
            4 => {
                let noise: Vec<u8> = (0..random.below(8) + 1)
                    .map(|_| random.next() as u8)
                    .collect();
                insert(out, at, &noise);
            }
            5 => {
                let copy: Vec<u8> = out.iter().skip(at).take(len).copied().collect();
                let to = random.below(out.len());
                insert(out, to, &copy);
            }
            6 if !self.words.is_empty() => {
                let word = &self.words[random.below(self.words.len())];
                insert(out, at, word);
            }
            7 if !self.words.is_empty() => {
                let word = &self.words[random.below(self.words.len())];
                overwrite(out, at, word);
            }
            _ if !self.seeds.is_empty() => {
                let other = &self.seeds[random.below(self.seeds.len())];
                let from = random.below(other.len());
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
            _ => out.truncate(at),
        }
    }
}

fn insert(out: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    out.splice(at..at, bytes.iter().copied());
}

fn overwrite(out: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in out.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_each_time_and_many_different_ones() {
        let inputs = |seed| {
            let mut mutator =
                Mutator::new(seed, vec![b"hello".to_vec()], vec![b"word".to_vec()], 32);
            let mut input = Vec::new();
            let mut all = Vec::new();
            for _ in 0..1000 {
                mutator.next(&mut input);
                assert!(input.len() <= 32);
                all.push(input.clone());
            }
            all
        };
        let first = inputs(1);
        assert_eq!(first, inputs(1));
        assert_ne!(first, inputs(2));
        let different: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(different.len() > 800, "{}", different.len());
    }
}
