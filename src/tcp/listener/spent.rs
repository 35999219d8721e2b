//! Which cookies have had their connection: a cookie is as good as ever while it is not too old,
//! and a late segment would open what has ended meanwhile once more.

/// Sets, of which a cookie's hash chooses one.
const SETS: u64 = 4096;

/// Cookies that a set remembers.
const SET: usize = 16;

/// A set, which is a line of the cache.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Set([u32; SET]);

/// The cookies that were taken last, 65,536 of them at most, in 256 KiB that exist only once a
/// cookie has been taken; each shard has its own.
///
/// It needs no clock: only a cookie that is still good is looked up, and what is too old lies there
/// until newer ones take its place. In a full set the newest takes the place of the oldest, which
/// may then open a connection again: of the last 32,768 that is the lot of one in 200 at most. 32
/// bits stand for a cookie, so that one that was never taken counts as spent in one of 2^28 cases.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// The newest of each set first; 0 is nothing.
    sets: Vec<Set>,
}

impl Spent {
    /// Whether the cookie with this hash is remembered.
    pub(super) fn holds(&self, hash: u64) -> bool {
        let (place, print) = place_of(hash);
        self.sets.get(place).is_some_and(|set| set.0.contains(&print))
    }

    /// Remembers the cookie with this hash.
    pub(super) fn add(&mut self, hash: u64) {
        let (place, print) = place_of(hash);
        if self.sets.is_empty() {
            self.sets = vec![Set([0; SET]); usize::try_from(SETS).unwrap_or(0)];
        }
        if let Some(Set(set)) = self.sets.get_mut(place) {
            set.rotate_right(1);
            let [newest, ..] = set;
            *newest = print;
        }
    }
}

/// The set of a hash, and what stands for it there.
fn place_of(hash: u64) -> (usize, u32) {
    let print = u32::try_from(hash >> 32).unwrap_or(u32::MAX).max(1);
    (usize::try_from(hash % SETS).unwrap_or(0), print)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Seed};

    #[test]
    fn a_full_set_forgets_its_oldest() {
        let mut spent = Spent::default();
        assert!(!spent.holds(0), "it holds nothing");
        let hashes: Vec<u64> = (0..20).map(|print| print << 32 | 7).collect();
        for hash in &hashes {
            assert!(!spent.holds(*hash) || *hash == hashes[1], "0 stands as 1");
            spent.add(*hash);
            assert!(spent.holds(*hash));
        }
        let held: Vec<_> = hashes.iter().map(|hash| spent.holds(*hash)).collect();
        assert_eq!(held, [[false; 4].as_slice(), &[true; 16]].concat());
        assert!(!spent.holds(hashes[10] ^ 1), "of another set");
    }

    #[test]
    fn those_that_were_taken_last_are_remembered_and_no_others_however_many_there_were() {
        let rng = &mut Rng::new(&Seed::from_number(1));
        let hashes: Vec<_> = (0..300_000).map(|_| rng.next_u64()).collect();
        let mut spent = Spent::default();
        for hash in &hashes {
            spent.add(*hash);
        }
        let held = |hashes: &[u64]| hashes.iter().filter(|hash| spent.holds(**hash)).count();
        let [last, before] = [300_000 - 16_384, 300_000 - 32_768];
        assert_eq!(held(&hashes[last..]), 16_384);
        assert!(held(&hashes[before..]) > 32_768 - 32_768 / 200);
        assert!(held(&hashes) <= 65_536);
        let others: Vec<_> = (0..300_000).map(|_| rng.next_u64()).collect();
        assert_eq!(held(&others), 0);
    }
}
