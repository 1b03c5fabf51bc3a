//! Small changes to seeds, the same in every run: a fuzzer for tests that must be quick and repeatable.

/// Numbers that look random (xorshift).
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

const TOKENS: [&[u8]; 12] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"..",
    b"/",
    b"\"",
    b"{",
    b"]",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"18446744073709551615",
    b"-1",
];

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of `seeds`, changed in up to eight places.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut data = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut data, seeds);
        }
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        let end = (at + self.below(32)).min(data.len());
        match self.below(8) {
            0 => data.truncate(at),
            1 => drop(data.splice(at..end, TOKENS[self.below(TOKENS.len())].iter().copied())),
            2 => drop(data.drain(at..end)),
            3 => {
                let piece = data[at..end].to_vec();
                let to = self.below(data.len() + 1);
                drop(data.splice(to..to, piece));
            }
            4 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            _ => {
                let bit = self.below(8);
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }
}
