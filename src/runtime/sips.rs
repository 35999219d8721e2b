//! How many packets the driver reads at once.

/// Packets that are read at once.
const SIP: usize = 4;

/// How many packets to read at once, by how many there were.
///
/// To find out that nothing more waits takes a system call. Where packets come one by one, each
/// when the one before has been answered, that call would stand between a packet and its answer:
/// there a lone packet is answered first. A packet is expected to be alone if the one before was.
#[derive(Debug, Default)]
pub(super) struct Sips {
    /// Packets that have come since the device was last found empty.
    since_empty: usize,
    /// Whether it was one, the time before.
    expects_one: bool,
}

impl Sips {
    /// How many packets to read next, at most.
    pub(super) fn size(&self) -> usize {
        if self.expects_one && self.since_empty == 0 { 1 } else { SIP }
    }

    /// So many were there, of as many as [`size`](Self::size) has said.
    pub(super) fn on_read(&mut self, count: usize) {
        let is_empty = count < self.size();
        self.since_empty += count;
        if is_empty && self.since_empty > 0 {
            self.expects_one = self.since_empty == 1;
            self.since_empty = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for while a device gives these.
    fn asked(sips: &mut Sips, given: &[usize]) -> Vec<usize> {
        let ask = |count: &usize| {
            let size = sips.size();
            sips.on_read(*count);
            size
        };
        given.iter().map(ask).collect()
    }

    #[test]
    fn a_lone_packet_is_expected_where_there_was_one_the_time_before() {
        let mut sips = Sips::default();
        assert_eq!(asked(&mut sips, &[1]), [SIP], "nothing is known");
        assert_eq!(asked(&mut sips, &[1, 0]), [1, SIP]);
        assert_eq!(asked(&mut sips, &[0, 0, 1, 0]), [1, 1, 1, SIP], "looks that find nothing");
        assert_eq!(asked(&mut sips, &[1, 2]), [1, SIP], "it was not alone");
        assert_eq!(asked(&mut sips, &[SIP, SIP, 0]), [SIP; 3]);
        assert_eq!(asked(&mut sips, &[0, 2, 1, 1]), [SIP, SIP, SIP, 1]);
    }
}
