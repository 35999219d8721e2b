//! The random choices of a simulation.

use crate::rng::{KeyedHash, Rng, Seed};

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Random(Rng);

impl Random {
    /// The numbers that `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self(Rng::new(&Seed::from_number(seed)))
    }

    /// 64 random bits.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// A place in a list of `len`; 0 when it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// `true` with a probability of `p`, which is from 0 to 1.
    pub fn chance(&mut self, p: f64) -> bool {
        self.0.chance(p)
    }

    /// A seed for a stack.
    pub fn seed(&mut self) -> Seed {
        self.0.seed()
    }

    /// A generator of its own for a part of the simulation.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(Rng::new(&self.0.seed()))
    }

    /// A key for a stream of octets.
    pub(super) fn key(&mut self) -> KeyedHash {
        self.0.key()
    }
}
