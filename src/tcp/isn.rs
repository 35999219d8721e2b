//! Initial sequence numbers (RFC 6528; RFC 9293 §3.4.1).

use super::seq::SeqNumber;
use super::timestamps::TimestampClock;
use crate::rng::{KeyedHash, Rng};
use crate::time::Instant;
use crate::wire::FourTuple;

/// Nanoseconds for each step of the clock: "roughly every 4 microseconds" (RFC 9293 §3.4.1).
const TICK_NANOS: u64 = 4_000;

/// Makes initial sequence numbers: ISN = M + F(four-tuple, secret).
///
/// M is a clock of 4 µs (MUST-8), so that the numbers of two incarnations of one connection are
/// apart. F is a keyed hash that nobody can compute from outside (MUST-9), so that seeing the
/// numbers of one connection tells nothing of those of another (SHLD-1). The key is drawn anew with
/// each stack.
#[derive(Clone, Debug)]
pub(crate) struct IsnGenerator {
    key: KeyedHash,
}

impl IsnGenerator {
    /// A generator with a key that `rng` draws.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { key: rng.key() }
    }

    /// The initial sequence number of a connection between these two ends that is opened at `now`,
    /// and its timestamp clock. That is of the other half of the hash, so that neither tells
    /// anything of the other (as Linux).
    pub(crate) fn start(&self, now: Instant, tuple: &FourTuple) -> (SeqNumber, TimestampClock) {
        let [h0, h1, h2, h3, h4, h5, h6, h7] = tuple.keyed_hash(&self.key).to_le_bytes();
        let ticks = now.as_nanos() / TICK_NANOS;
        // The clock wraps after 4.8 hours, as it is meant to: its low 32 bits count.
        let [t0, t1, t2, t3, ..] = ticks.to_le_bytes();
        let clock = u32::from_le_bytes([t0, t1, t2, t3]);
        let isn = SeqNumber(u32::from_le_bytes([h0, h1, h2, h3])) + clock;
        (isn, TimestampClock::new(u32::from_le_bytes([h4, h5, h6, h7])))
    }

    /// The timestamp clock of a connection between these two ends, whenever it was opened.
    pub(crate) fn timestamp_clock(&self, tuple: &FourTuple) -> TimestampClock {
        self.start(Instant::ZERO, tuple).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;
    use crate::wire::Endpoint;

    fn generator(seed: u64) -> IsnGenerator {
        IsnGenerator::new(&mut Rng::new(&Seed::from_number(seed)))
    }

    fn tuple(remote_port: u16) -> FourTuple {
        FourTuple {
            local: Endpoint::new([10, 7, 0, 2].into(), 80),
            remote: Endpoint::new([10, 7, 0, 1].into(), remote_port),
        }
    }

    #[test]
    fn must_8_the_number_of_one_connection_advances_by_one_every_4_microseconds() {
        let isn = |micros| generator(1).start(Instant::from_micros(micros), &tuple(1)).0;
        for (earlier, later, steps) in
            [(0, 3, 0), (0, 4, 1), (0, 4_000_000, 1_000_000), ((1 << 34) - 4, 1 << 34, 1)]
        {
            assert_eq!(isn(later) - isn(earlier), steps, "{earlier} {later}");
        }
    }

    #[test]
    fn must_9_the_number_of_one_connection_tells_nothing_of_the_next() {
        let generator = generator(1);
        let numbers: Vec<u32> =
            (0..4096).map(|port| generator.start(Instant::ZERO, &tuple(port)).0.0).collect();
        let deltas: std::collections::BTreeSet<_> =
            numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert!(deltas.len() > 4090, "{} deltas", deltas.len());
        for bit in 0..32 {
            let ones = numbers.iter().filter(|n| *n >> bit & 1 == 1).count();
            assert!((1850..2250).contains(&ones), "bit {bit}: {ones} ones");
        }
    }

    #[test]
    fn shld_1_a_new_secret_gives_new_numbers_and_the_same_one_the_same() {
        let isn = |seed, port| generator(seed).start(Instant::ZERO, &tuple(port)).0;
        assert_eq!(isn(1, 7), isn(1, 7));
        let same = (0..1000).filter(|&port| isn(1, port) == isn(2, port));
        assert_eq!(same.count(), 0);
    }

    #[test]
    fn the_clock_of_one_connection_tells_nothing_of_the_next_nor_of_its_sequence_numbers() {
        let generator = generator(1);
        let values: Vec<u32> = (0..4096)
            .map(|port| generator.timestamp_clock(&tuple(port)).value(Instant::ZERO))
            .collect();
        let isn = |port| generator.start(Instant::ZERO, &tuple(port)).0.0;
        let deltas: std::collections::BTreeSet<_> =
            (0..).zip(&values).map(|(port, value)| value.wrapping_sub(isn(port))).collect();
        let values: std::collections::BTreeSet<_> = values.into_iter().collect();
        assert!(values.len() > 4090 && deltas.len() > 4090);
    }

    #[test]
    fn each_of_the_four_parts_of_a_tuple_changes_the_number() {
        let generator = generator(1);
        let isn = |tuple: FourTuple| generator.start(Instant::ZERO, &tuple).0;
        let FourTuple { local, remote } = tuple(80);
        let other = |end: Endpoint| Endpoint::new(end.addr(), 81);
        let numbers = std::collections::BTreeSet::from([
            isn(FourTuple { local, remote }).0,
            isn(FourTuple { local: remote, remote: local }).0,
            isn(FourTuple { local: other(local), remote }).0,
            isn(FourTuple { local, remote: other(remote) }).0,
            isn(FourTuple { local, remote: local }).0,
            isn(FourTuple { local: remote, remote }).0,
        ]);
        assert_eq!(numbers.len(), 6);
    }
}
