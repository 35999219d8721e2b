//! How much the path to each destination carries, as far as ICMP has said (RFC 1191).
//!
//! Only what a transport has found to be about a packet of its own gets here (RFC 5927 §4.1), and
//! it only ever lowers: nobody is believed who says that more fits. What is not said again is
//! forgotten after ten minutes, and the path is tried anew (RFC 1191 §6.3).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::time::{Duration, Instant};

/// Destinations that are remembered; one more pushes out the one that was heard of longest ago.
/// Twice as many as a common Linux keeps for a route (`FNHE_HASH_SIZE`).
const ENTRIES_MAX: usize = 4_096;

/// How long a path MTU is believed: 10 minutes (RFC 1191 §6.3; Linux, `mtu_expires`).
const LIFETIME: Duration = Duration::from_mins(10);

/// Common MTUs, largest first (RFC 1191 §7): what a router that names no size may have meant.
const PLATEAUS: [u16; 10] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathMtu {
    /// Octets of the largest IP packet that it carries.
    pub(crate) mtu: u32,
    /// Until when that is believed; `None` for our own interface's MTU, which always holds.
    pub(crate) until: Option<Instant>,
}

/// The path MTUs that are known.
#[derive(Debug)]
pub(crate) struct PathMtus {
    /// Least MTU that is believed, octets.
    least: u16,
    /// MTU, and until when it is believed.
    entries: BTreeMap<Ipv4Addr, (u16, Instant)>,
    /// The same, by age.
    by_age: BTreeSet<(Instant, Ipv4Addr)>,
    /// How often an MTU has been lowered.
    generation: u32,
}

impl PathMtus {
    /// Nothing is known; nothing below `least` octets will be believed.
    pub(crate) fn new(least: u16) -> Self {
        let (entries, by_age) = (BTreeMap::new(), BTreeSet::new());
        Self { least, entries, by_age, generation: 0 }
    }

    /// Another number than before says that some path carries less than it did.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// What the path to `destination` carries, behind an interface of `mtu` octets.
    pub(crate) fn get(&self, now: Instant, destination: Ipv4Addr, mtu: u32) -> PathMtu {
        match self.entries.get(&destination) {
            Some(&(path, until)) if until > now && u32::from(path) < mtu => {
                PathMtu { mtu: path.into(), until: Some(until) }
            }
            Some(_) | None => PathMtu { mtu, until: None },
        }
    }

    /// A router has dropped a packet of `len` octets to `destination`, because `claimed` fit, or 0
    /// if it does not say. What is below the least counts as the least, as on Linux.
    pub(crate) fn on_too_big(
        &mut self,
        now: Instant,
        destination: Ipv4Addr,
        (claimed, len): (u16, u16),
        mtu: u32,
    ) {
        let before = self.get(now, destination, mtu).mtu;
        let len = before.min(len.into());
        let path = match claimed {
            0 => PLATEAUS.into_iter().find(|&plateau| u32::from(plateau) < len).unwrap_or(0),
            claimed => claimed,
        };
        let path = path.max(self.least);
        if u32::from(path) > before {
            return;
        }
        if u32::from(path) < before {
            self.generation = self.generation.wrapping_add(1);
        }
        let until = now + LIFETIME;
        if let Some((_, old)) = self.entries.insert(destination, (path, until)) {
            self.by_age.remove(&(old, destination));
        }
        self.by_age.insert((until, destination));
        if self.entries.len() > ENTRIES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    /// What is known of the path after one message about a packet of `len` octets.
    fn after(claimed: u16, len: u16) -> u32 {
        let mut paths = PathMtus::new(552);
        paths.on_too_big(at(0), THERE, (claimed, len), 1500);
        paths.get(at(1), THERE, 1500).mtu
    }

    #[test]
    fn a_message_lowers_to_what_it_says_and_never_below_the_least_or_above_the_interface() {
        for (claimed, path) in [
            (1, 552),
            (68, 552),
            (551, 552),
            (552, 552),
            (553, 553),
            (1400, 1400),
            (1499, 1499),
            (1500, 1500),
            (1501, 1500),
            (u16::MAX, 1500),
        ] {
            assert_eq!(after(claimed, 1500), path, "{claimed}");
        }
    }

    /// RFC 1191 §7.
    #[test]
    fn a_router_that_names_no_size_means_the_next_smaller_common_one() {
        for (len, path) in [
            (0, 552),
            (552, 552),
            (1006, 552),
            (1007, 1006),
            (1492, 1006),
            (1493, 1492),
            (1500, 1492),
            // No packet of ours is longer than what the path was believed to carry.
            (u16::MAX, 1492),
        ] {
            assert_eq!(after(0, len), path, "{len}");
        }
    }

    #[test]
    fn no_message_raises_what_another_has_lowered() {
        let mut paths = PathMtus::new(552);
        for (claimed, path) in [(1400, 1400), (1450, 1400), (1000, 1000), (0, 552), (1499, 552)] {
            paths.on_too_big(at(0), THERE, (claimed, 1500), 1500);
            assert_eq!(paths.get(at(1), THERE, 1500).mtu, path, "{claimed}");
        }
        assert_eq!(paths.generation(), 3);
    }

    #[test]
    fn it_is_forgotten_after_ten_minutes_unless_it_is_said_again() {
        let mut paths = PathMtus::new(552);
        let until = |paths: &PathMtus, now| paths.get(now, THERE, 1500).until;
        paths.on_too_big(at(0), THERE, (1000, 1500), 1500);
        assert_eq!(until(&paths, at(599)), Some(at(600)));
        assert_eq!(until(&paths, at(600)), None);
        paths.on_too_big(at(300), THERE, (1000, 1500), 1500);
        assert_eq!(until(&paths, at(600)), Some(at(900)));
        paths.on_too_big(at(1000), THERE, (1400, 1500), 1500);
        assert_eq!(paths.get(at(1001), THERE, 1500).mtu, 1400, "what is forgotten binds no more");
    }

    #[test]
    fn the_oldest_of_too_many_destinations_is_forgotten() {
        let mut paths = PathMtus::new(552);
        let address = |number: usize| Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap());
        for number in 0..=ENTRIES_MAX {
            let now = Instant::from_nanos(number as u64);
            paths.on_too_big(now, address(number), (1000, 1500), 1500);
        }
        assert_eq!((paths.entries.len(), paths.by_age.len()), (ENTRIES_MAX, ENTRIES_MAX));
        let known = |number| paths.get(at(1), address(number), 1500).mtu == 1000;
        assert!(!known(0) && known(1) && known(ENTRIES_MAX));
    }
}
