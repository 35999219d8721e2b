//! How many answers that no connection owns each destination may still get.
//!
//! One allowance for all can be read by whoever gets answers himself: if fewer come than he has
//! asked for, others have got some. So the open ports and the connections of strangers were found
//! out, by packets in their names (CVE-2016-5696 by challenge ACKs, CVE-2020-25705 by ICMP errors).
//! Here each destination has its own, in a table of fixed size. Which destinations share a place
//! there is secret and does not last, so that nobody can look for one that shares his victim's.

use std::net::Ipv4Addr;

use crate::rng::{KeyedHash, Rng};
use crate::time::{Duration, Instant};

/// Places in the table: 8 KiB.
const PLACES: u64 = 1_024;

/// How often an allowance is filled anew before its owner moves on to another place. With the move
/// he may find one that is fuller: a tenth more than the rate says, at most.
const FILLS_A_PLACE: u32 = 10;

/// The allowances of all destinations: token buckets (RFC 1812 §4.3.2.8).
#[derive(Debug)]
pub(crate) struct Allowances {
    key: KeyedHash,
    /// What one answer costs.
    interval: Duration,
    /// Answers that may leave at once after a silence.
    burst: u32,
    /// When each is full again. The nearer, the more answers may leave.
    full_at: Box<[Instant]>,
}

impl Allowances {
    /// Full allowances of `burst` answers, which grow by one each `interval`.
    pub(crate) fn new(rng: &mut Rng, interval: Duration, burst: u32) -> Self {
        let full_at = (0..PLACES).map(|_| Instant::ZERO).collect();
        Self { key: rng.key(), interval, burst, full_at }
    }

    /// Whether one more answer may leave for `destination` at `now`; if so it is paid for.
    pub(crate) fn take(&mut self, now: Instant, destination: Ipv4Addr) -> bool {
        let place = self.place(now, destination);
        let Some(full_at) = self.full_at.get_mut(place) else { return false };
        let missing = full_at.saturating_since(now) + self.interval;
        let is_allowed = missing <= self.interval * self.burst;
        if is_allowed {
            *full_at = now + missing;
        }
        is_allowed
    }

    fn place(&self, now: Instant, destination: Ipv4Addr) -> usize {
        let stay = self.interval * self.burst * FILLS_A_PLACE;
        let era = u128::from(now.as_nanos()) / stay.as_nanos().max(1);
        let place = self.key.hash((destination, era)) % PLACES;
        usize::try_from(place).expect("less than PLACES")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    const INTERVAL: Duration = Duration::from_millis(1);
    const BURST: u32 = 50;
    const HIM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

    fn allowances(seed: u64) -> Allowances {
        Allowances::new(&mut Rng::new(&Seed::from_number(seed)), INTERVAL, BURST)
    }

    /// How many of `tries` answers may leave.
    fn taken(all: &mut Allowances, now: Instant, to: Ipv4Addr, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(all.take(now, to))).sum()
    }

    #[test]
    fn a_burst_leaves_and_then_one_each_interval_and_a_silence_brings_one_burst_back() {
        let mut all = allowances(1);
        let at = Instant::from_micros;
        assert_eq!(taken(&mut all, at(0), HIM, 1000), BURST);
        assert_eq!(taken(&mut all, at(999), HIM, 10), 0);
        assert_eq!(taken(&mut all, at(1000), HIM, 10), 1);
        // Asked more often than it grows, which must not lose parts of an interval.
        let sent: u32 = (1..=500).map(|step| taken(&mut all, at(1000 + step * 700), HIM, 3)).sum();
        assert_eq!(sent, 350);
        assert_eq!(taken(&mut all, Instant::from_millis(1 << 40), HIM, 1000), BURST);
    }

    #[test]
    fn in_the_long_run_the_moves_add_a_tenth_at_most() {
        let mut all = allowances(1);
        let sent: u32 =
            (0..100_000).map(|ms| taken(&mut all, Instant::from_millis(ms), HIM, 3)).sum();
        assert!((100_000..=110_000).contains(&sent), "{sent}");
    }

    /// The attack: he gets as many answers whatever others got before him.
    #[test]
    fn what_others_get_changes_nothing_for_him_unless_he_shares_their_place() {
        let mut shared = 0;
        for seed in 0..200 {
            let mut all = allowances(seed);
            for other in 1..=20u8 {
                taken(&mut all, Instant::ZERO, Ipv4Addr::new(192, 0, 2, other), 1000);
            }
            shared += u32::from(taken(&mut all, Instant::ZERO, HIM, 1000) != BURST);
        }
        assert!(shared < 200 * 20 * 3 / 1024, "{shared} of 200");
    }

    #[test]
    fn who_shares_a_place_with_him_is_another_after_a_while() {
        let all = allowances(1);
        let with_him = |now: Instant| {
            let others = (0..1u32 << 16).map(|host| Ipv4Addr::from((172 << 24) + host));
            let place = all.place(now, HIM);
            others.filter(|&other| all.place(now, other) == place).collect::<Vec<_>>()
        };
        let (before, after) = (with_him(Instant::ZERO), with_him(Instant::from_millis(500)));
        assert_eq!(before, with_him(Instant::from_millis(499)));
        let still = before.iter().filter(|other| after.contains(other)).count();
        assert!(before.len() > 30 && still < 5, "{still} of {}", before.len());
    }
}
