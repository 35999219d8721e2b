//! Randomness that a seed decides: the generator, and the keyed hash for ports, ISNs and maps.

use std::hash::BuildHasher;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use siphasher::sip::SipHasher13;

/// What every random choice of a stack follows from: 256 bits.
///
/// There is no default: the runtime takes one from the system's generator, a simulation writes
/// it down. Equal seed, configuration and inputs give equal octets; so a seed that an attacker
/// can guess gives away initial sequence numbers and ports.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl Seed {
    /// A seed from 256 bits of the system's generator.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A seed for tests and simulations: 64 bits that a person can write down.
    pub fn from_number(number: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Self(bytes)
    }
}

/// Does not show the secret.
impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// A generator that nobody can predict without its seed (ChaCha12).
#[derive(Clone, Debug)]
pub(crate) struct Rng(ChaCha12Rng);

impl Rng {
    /// The generator that `seed` decides.
    pub(crate) fn new(seed: &Seed) -> Self {
        Self(ChaCha12Rng::from_seed(seed.0))
    }

    /// 32 random bits.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product: even to within bound / 2^64.
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// `true` with a probability of `p`, which is from 0 to 1.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        // 53 random bits are a uniform number in [0, 1).
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let uniform = (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        uniform < p
    }

    /// A new key for [`KeyedHash`].
    pub(crate) fn key(&mut self) -> KeyedHash {
        KeyedHash { k0: self.next_u64(), k1: self.next_u64() }
    }

    /// A seed for another generator.
    pub(crate) fn seed(&mut self) -> Seed {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        Seed(bytes)
    }
}

/// SipHash-1-3 under a secret key: what a peer must not be able to compute or to collide.
#[derive(Clone)]
pub(crate) struct KeyedHash {
    k0: u64,
    k1: u64,
}

/// Does not show the secret.
impl std::fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHash(..)")
    }
}

impl KeyedHash {
    /// The hash of `value` under this key.
    pub(crate) fn hash(&self, value: impl std::hash::Hash) -> u64 {
        self.hash_one(value)
    }

    /// The hash of so few octets in one step, which is what a hasher that is fed them says too.
    pub(crate) fn hash_octets<const N: usize>(&self, octets: &[u8; N]) -> u64 {
        self.build_hasher().hash(octets)
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.k0, self.k1)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_others_do_not() {
        let [mut a, mut b, mut c] = [1, 1, 2].map(|n| Rng::new(&Seed::from_number(n)));
        let [from_a, from_b, from_c] =
            [&mut a, &mut b, &mut c].map(|rng| (rng.next_u64(), rng.next_u32()));
        assert_eq!(from_a, from_b);
        assert!(from_a.0 != from_c.0 && from_a.1 != from_c.1);
    }

    #[test]
    fn octets_in_one_step_have_the_hash_that_they_have_in_several() {
        let key = Rng::new(&Seed::from_number(4)).key();
        let octets: [u8; 12] = std::array::from_fn(|n| 255 - n.to_le_bytes()[0]);
        let mut hasher = key.build_hasher();
        octets.chunks(5).for_each(|part| hasher.write(part));
        assert_eq!(key.hash_octets(&octets), hasher.finish());
    }

    #[test]
    fn a_bounded_number_stays_below_its_bound() {
        let mut rng = Rng::new(&Seed::from_number(3));
        assert_eq!(rng.below(0), 0);
        for bound in [1, 2, 3, 64_512, u64::MAX] {
            assert!((0..1000).all(|_| rng.below(bound) < bound), "{bound}");
        }
    }

    #[test]
    fn a_chance_of_none_never_comes_and_a_chance_of_one_always() {
        let mut rng = Rng::new(&Seed::from_number(4));
        assert!((0..1000).all(|_| !rng.chance(0.0) && rng.chance(1.0)));
    }
}
