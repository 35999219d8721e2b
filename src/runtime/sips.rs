//! How many packets the driver reads at once.

/// Packets that are read at once.
const SIP: usize = 4;

/// Packets that are read at once where many small ones come: a device may do so by one call.
const GULP: usize = 16;

/// So many packets are many.
const MANY: usize = 8;

/// Octets of a packet that is not small. Of super-segments a few are read and then looked at, while
/// the processor has them at hand.
const LARGE: usize = 2048;

/// How many packets to read at once, by how many there were.
///
/// To find out that nothing more waits takes a system call. Where packets come one by one, each
/// when the one before has been answered, that call would stand between a packet and its answer:
/// there a lone packet is answered first. A packet is expected to be alone if the one before was,
/// and many are expected where there were many.
#[derive(Debug, Default)]
pub(super) struct Sips {
    /// Packets that have come since the device was last found empty.
    since_empty: usize,
    /// How many there were, the time before.
    before: usize,
    /// There was a large one among the last that came.
    has_large: bool,
}

impl Sips {
    /// How many packets to read next, at most.
    pub(super) fn size(&self) -> usize {
        if self.before == 1 && self.since_empty == 0 {
            return 1;
        }
        let rest = self.before.saturating_sub(self.since_empty);
        let is_many = rest.max(self.since_empty) >= MANY;
        if is_many && !self.has_large { GULP } else { SIP }
    }

    /// So many were there, of `max` that were asked for; the largest has so many octets.
    pub(super) fn on_read(&mut self, count: usize, max: usize, largest: usize) {
        self.since_empty += count;
        if count > 0 {
            self.has_large = largest >= LARGE;
        }
        if count == max {
            return;
        }
        if self.since_empty > 0 {
            self.before = std::mem::take(&mut self.since_empty);
        } else {
            // Whoever looks and looks again does not ask for many each time.
            self.before = self.before.min(SIP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for while a device gives these, of `len` octets each.
    fn asked_of(len: usize, sips: &mut Sips, given: &[usize]) -> Vec<usize> {
        let ask = |&count: &usize| {
            let size = sips.size();
            sips.on_read(count, size, len);
            size
        };
        given.iter().map(ask).collect()
    }

    fn asked(sips: &mut Sips, given: &[usize]) -> Vec<usize> {
        asked_of(100, sips, given)
    }

    #[test]
    fn a_lone_packet_is_expected_where_there_was_one_the_time_before() {
        let mut sips = Sips::default();
        assert_eq!(asked(&mut sips, &[1]), [SIP], "nothing is known");
        assert_eq!(asked(&mut sips, &[1, 0]), [1, SIP]);
        assert_eq!(asked(&mut sips, &[0, 0, 1, 0]), [1, 1, 1, SIP], "looks that find nothing");
        assert_eq!(asked(&mut sips, &[1, 2]), [1, SIP], "it was not alone");
        assert_eq!(asked(&mut sips, &[SIP, 0, 2, 1, 1]), [SIP, SIP, SIP, SIP, 1]);
    }

    #[test]
    fn many_are_expected_where_there_were_many() {
        let mut sips = Sips::default();
        assert_eq!(asked(&mut sips, &[SIP, SIP, GULP, GULP, 10]), [SIP, SIP, GULP, GULP, GULP]);
        // There were fifty the time before.
        assert_eq!(asked(&mut sips, &[GULP, GULP, GULP, 0]), [GULP; 4]);
        assert_eq!(asked(&mut sips, &[9]), [GULP]);
        assert_eq!(asked(&mut sips, &[9]), [GULP], "and nine");
        assert_eq!(asked(&mut sips, &[0]), [GULP]);
        assert_eq!(asked(&mut sips, &[0, 3]), [SIP, SIP], "nobody came the time before");
        assert_eq!(asked(&mut sips, &[2, 1, 1]), [SIP, SIP, 1]);
    }

    #[test]
    fn of_large_packets_a_few_are_read_and_then_looked_at() {
        let mut sips = Sips::default();
        assert_eq!(asked_of(60_000, &mut sips, &[SIP; 10]), [SIP; 10]);
        assert_eq!(asked(&mut sips, &[SIP]), [SIP]);
        assert_eq!(asked(&mut sips, &[GULP]), [GULP], "they have become small");
    }
}
