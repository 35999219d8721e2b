//! Ephemeral ports (RFC 6056).

use crate::rng::Rng;

/// Chooses the local port of a connection whose socket asked for none.
///
/// Algorithm 1 of RFC 6056 §3.3.1, but for its steps: it starts at a random port, so that nobody
/// off the path can guess it, and goes on until one is free. It goes in strides of the golden
/// section, which come to each port once and are never long in a run of ports in use: if a tenth of
/// the range is free, it asks for about ten, wherever they are.
#[derive(Debug)]
pub(crate) struct EphemeralPorts {
    first: u16,
    last: u16,
    rng: Rng,
}

impl EphemeralPorts {
    /// Ports from the first to the last of `range`, both included, in an order that follows from
    /// `rng`. The configuration has been checked: the range is in order.
    pub(crate) fn new(range: (u16, u16), rng: &mut Rng) -> Self {
        let (first, last) = range;
        Self { first, last, rng: Rng::new(&rng.seed()) }
    }

    /// A port that `is_free`; `None` if none is. Each port is asked for once at most. A socket may
    /// have a range of its own: a bound of it that lies outside of ours counts as ours, as on Linux
    /// (IP_LOCAL_PORT_RANGE).
    pub(crate) fn choose(
        &mut self,
        range: Option<(u16, u16)>,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let within = self.first..=self.last;
        let bound = |own: u16, ours| if within.contains(&own) { own } else { ours };
        let (first, last) = range.map_or((self.first, self.last), |(first, last)| {
            (bound(first, self.first), bound(last, self.last))
        });
        let count = u32::from(last.checked_sub(first)?) + 1;
        let mut offset = u32::try_from(self.rng.below(count.into())).ok()?;
        let stride = stride_through(count);
        (0..count)
            .filter_map(|_| {
                let port = first.checked_add(u16::try_from(offset).ok()?);
                offset = (offset + stride) % count;
                port
            })
            .find(|&port| is_free(port))
    }
}

/// The first number from the golden section of `count` on that has no divisor in common with it.
fn stride_through(count: u32) -> u32 {
    let golden = count * 618 / 1000; // At most 65,535 times 618.
    (golden.max(1)..count).find(|&stride| are_coprime(stride, count)).unwrap_or(1)
}

fn are_coprime(mut a: u32, mut b: u32) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rng::Seed;

    fn ports(range: (u16, u16), seed: u64) -> EphemeralPorts {
        EphemeralPorts::new(range, &mut Rng::new(&Seed::from_number(seed)))
    }

    #[test]
    fn the_one_free_port_is_found_wherever_it_is() {
        for free in 1000..=1020 {
            let mut ports = ports((1000, 1020), 1);
            assert_eq!(ports.choose(None, |port| port == free), Some(free));
        }
    }

    #[test]
    fn a_range_that_is_nearly_full_is_not_walked_through() {
        let mut ports = ports((32_768, 60_999), 1);
        let mut asked = 0;
        for _ in 0..1000 {
            // All in use but the last tenth, which a walk would find last.
            let found = ports.choose(None, |port| {
                asked += 1;
                port >= 58_176
            });
            assert!(found.is_some());
        }
        assert!(asked < 1000 * 15, "{asked} for a thousand");
    }

    #[test]
    fn an_exhausted_range_is_asked_once_for_each_port_and_gives_none() {
        for range in [(1, u16::MAX), (1000, 1020), (7, 7), (8, 9), (u16::MAX, u16::MAX)] {
            let mut asked = Vec::new();
            let chosen = ports(range, 1).choose(None, |port| {
                asked.push(port);
                false
            });
            assert_eq!(chosen, None);
            assert_eq!(asked.len(), usize::from(range.1 - range.0) + 1);
            let distinct: BTreeSet<_> = asked.iter().copied().collect();
            assert_eq!(distinct.len(), asked.len());
            assert!(distinct.first() == Some(&range.0) && distinct.last() == Some(&range.1));
        }
    }

    #[test]
    fn the_ports_of_a_range_are_chosen_in_no_order_that_shows() {
        let mut ports = ports((32_768, 60_999), 1);
        let chosen: Vec<_> = (0..1000).map(|_| ports.choose(None, |_| true).unwrap()).collect();
        assert!(chosen.iter().all(|port| (32_768..=60_999).contains(port)));
        let distinct: BTreeSet<_> = chosen.iter().collect();
        assert!(distinct.len() > 950, "{}", distinct.len());
        let neighbours = chosen.windows(2).filter(|p| p[0].abs_diff(p[1]) < 2);
        assert!(neighbours.count() < 5);
    }

    #[test]
    fn a_range_within_the_range_is_kept_and_a_bound_outside_of_it_has_no_effect() {
        for (own, first, last) in [
            ((1005, 1010), 1005, 1010),
            ((1, 1010), 1000, 1010),
            ((1005, 9999), 1005, 1020),
            ((1, 9999), 1000, 1020),
            ((1007, 1007), 1007, 1007),
        ] {
            let mut asked = BTreeSet::new();
            let chosen = ports((1000, 1020), 1).choose(Some(own), |port| {
                asked.insert(port);
                false
            });
            assert_eq!((chosen, asked), (None, (first..=last).collect()), "{own:?}");
        }
    }

    #[test]
    fn an_equal_seed_chooses_equal_ports_and_another_does_not() {
        let choose = |seed| {
            let mut ports = ports((32_768, 60_999), seed);
            [(); 8].map(|()| ports.choose(None, |_| true).unwrap())
        };
        assert_eq!(choose(1), choose(1));
        assert_ne!(choose(1), choose(2));
    }
}
