//! How soon a host acknowledges: text in order waits for half a second at most (RFC 9293 §3.8.6.3,
//! MUST-40), and of two full-sized segments the second one does not wait at all (SHLD-19).

use super::craft::TcpSegment;
use crate::time::{Duration, Instant};

/// Time within which an acknowledgment must leave (MUST-40).
pub(super) const WAIT_MAX: Duration = Duration::from_millis(500);

/// What one connection has received in order and has not acknowledged yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owed {
    /// When the first of it arrived.
    since: Option<Instant>,
    /// Octets of it.
    octets: u32,
    /// Text of the largest segment so far: what "full-sized" means to this peer.
    largest: u32,
}

impl Owed {
    /// A segment has arrived, wherever it belongs.
    pub(super) fn on_seen(&mut self, segment: &TcpSegment) {
        self.largest = self.largest.max(u32::try_from(segment.payload.len()).unwrap_or(u32::MAX));
    }

    /// A segment has arrived that the host has to take, since it is what comes next and lies in the
    /// window: `acked` is what was acknowledged before. Whether it is the first to be owed for.
    pub(super) fn on_received(&mut self, now: Instant, acked: u32, segment: &TcpSegment) -> bool {
        let end = segment.seq.wrapping_add(segment.len());
        let next = acked.wrapping_add(self.octets);
        let fresh = end.wrapping_sub(next).cast_signed();
        if next.wrapping_sub(segment.seq).cast_signed() < 0 || fresh <= 0 {
            return false;
        }
        self.octets += fresh.cast_unsigned();
        let is_first = self.since.is_none();
        self.since.get_or_insert(now);
        is_first
    }

    /// An acknowledgment has left, of whatever: it tells the peer where the host stands.
    pub(super) fn on_acknowledged(&mut self) {
        (self.since, self.octets) = (None, 0);
    }

    /// What is wrong at the end of a turn, in which all that was due has left.
    pub(super) fn fault(&self, now: Instant) -> Option<String> {
        let since = self.since?;
        if now - since >= WAIT_MAX {
            return Some(format!("text of {since:?} is not acknowledged at {now:?} (MUST-40)"));
        }
        (self.largest > 0 && self.octets >= self.largest.saturating_mul(2)).then(|| {
            let Self { octets, largest, .. } = self;
            format!("{octets} octets wait in segments of {largest} at most (SHLD-19)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::craft::{Packet, TcpFlags};
    use super::*;

    fn text(seq: u32, len: usize) -> TcpSegment {
        let ends = ["10.0.0.1:1", "10.0.0.2:2"].map(|end| end.parse().unwrap());
        let packet = Packet::tcp(ends[0], ends[1], TcpFlags::ACK);
        TcpSegment { seq, payload: vec![0; len], ..packet.segment().unwrap().clone() }
    }

    #[test]
    fn what_comes_next_is_owed_for_and_waits_for_less_than_half_a_second() {
        let mut owed = Owed::default();
        let at = Instant::ZERO + Duration::from_secs(1);
        assert!(!owed.on_received(at, 100, &text(101, 50)), "a gap is before it");
        assert!(!owed.on_received(at, 100, &text(50, 50)), "it is acknowledged");
        assert!(owed.fault(at + WAIT_MAX).is_none());
        assert!(owed.on_received(at, 100, &text(90, 50)), "a part of it is new");
        let just_before = at + Duration::from_millis(499);
        assert!(owed.fault(just_before).is_none());
        assert!(owed.fault(at + WAIT_MAX).unwrap().contains("MUST-40"));
        owed.on_acknowledged();
        assert!(owed.fault(at + WAIT_MAX).is_none());
    }

    #[test]
    fn two_full_sized_segments_do_not_wait_and_small_ones_do() {
        let mut owed = Owed::default();
        owed.on_seen(&text(0, 100));
        let at = Instant::ZERO;
        owed.on_received(at, u32::MAX, &text(u32::MAX, 100)); // The numbers wrap.
        owed.on_acknowledged();
        assert!(owed.on_received(at, 99, &text(99, 60)));
        assert!(!owed.on_received(at, 99, &text(159, 60)), "it is not the first");
        assert!(owed.fault(at).is_none());
        owed.on_received(at, 99, &text(219, 80));
        assert!(owed.fault(at).unwrap().contains("SHLD-19"));
    }
}
