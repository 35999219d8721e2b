//! What a connection has counted, for TCP_INFO alone: nothing here decides anything.

use crate::time::{Duration, Instant};

/// Counts of one connection. What only data makes worth counting comes with the first data, so
/// that a connection which never carried any pays for two numbers and a pointer.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// Segments that arrived, those included that were refused.
    pub(crate) segments_received: u32,
    /// Segments that left.
    pub(crate) segments_sent: u32,
    traffic: Option<Box<Traffic>>,
}

/// What is counted of data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    /// Segments with text that arrived.
    pub(crate) data_segments_received: u32,
    /// Segments with text that left, again or for the first time.
    pub(crate) data_segments_sent: u32,
    /// Segments whose text was acknowledged.
    pub(crate) delivered: u32,
    /// Segments that came before their time and were kept.
    pub(crate) early_segments: u32,
    /// Octets of text that arrived in order.
    pub(crate) octets_received: u64,
    /// Octets of text that left, again or for the first time.
    pub(crate) octets_sent: u64,
    /// Octets of text among them that left again.
    pub(crate) octets_sent_again: u64,
    /// Octets of text that were acknowledged.
    pub(crate) octets_acknowledged: u64,
    /// Segments that left again.
    pub(crate) retransmissions: u64,
    /// When text last arrived.
    pub(crate) data_received_at: Option<Instant>,
    /// The shortest round trip.
    pub(crate) min_rtt: Option<Duration>,
}

impl Statistics {
    /// What was counted of data; zeros before there was any.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic.as_deref().copied().unwrap_or_default()
    }

    /// When text last arrived.
    pub(crate) fn data_received_at(&self) -> Option<Instant> {
        self.traffic.as_deref()?.data_received_at
    }

    fn traffic_mut(&mut self) -> &mut Traffic {
        self.traffic.get_or_insert_default()
    }

    /// So many segments arrived as one, with or without text.
    pub(crate) fn on_arrived(&mut self, now: Instant, segments: u32, text_len: u32) {
        self.segments_received = self.segments_received.wrapping_add(segments);
        if text_len > 0 {
            let traffic = self.traffic_mut();
            traffic.data_segments_received = traffic.data_segments_received.wrapping_add(segments);
            traffic.data_received_at = Some(now);
        }
    }

    /// Text was taken: so many octets are in order now, or it `came_early`.
    pub(crate) fn on_taken(&mut self, octets: u32, came_early: bool) {
        if octets > 0 || came_early {
            let traffic = self.traffic_mut();
            traffic.octets_received += u64::from(octets);
            traffic.early_segments = traffic.early_segments.wrapping_add(u32::from(came_early));
        }
    }

    /// So many segments left as one; `is_again`: their text had left before.
    pub(crate) fn on_sent(&mut self, segments: u32, text_len: u32, is_again: bool) {
        self.segments_sent = self.segments_sent.wrapping_add(segments);
        if is_again {
            self.traffic_mut().retransmissions += 1;
        }
        if text_len > 0 {
            let traffic = self.traffic_mut();
            traffic.data_segments_sent = traffic.data_segments_sent.wrapping_add(segments);
            traffic.octets_sent += u64::from(text_len);
            traffic.octets_sent_again += if is_again { u64::from(text_len) } else { 0 };
        }
    }

    /// Text was acknowledged, sent in segments of `mss` octets.
    pub(crate) fn on_acknowledged(&mut self, octets: u32, mss: u32) {
        if octets > 0 {
            let traffic = self.traffic_mut();
            traffic.octets_acknowledged += u64::from(octets);
            traffic.delivered = traffic.delivered.wrapping_add(octets.div_ceil(mss.max(1)));
        }
    }

    /// A round trip was measured; `srtt` is what was known before.
    pub(crate) fn on_rtt(&mut self, rtt: Duration, srtt: impl FnOnce() -> Option<Duration>) {
        let traffic = self.traffic_mut();
        let known = traffic.min_rtt.or_else(srtt).unwrap_or(rtt);
        traffic.min_rtt = Some(known.min(rtt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_without_data_holds_no_counts_of_data() {
        let mut statistics = Statistics::default();
        statistics.on_arrived(Instant::ZERO, 1, 0);
        statistics.on_sent(1, 0, false);
        statistics.on_taken(0, false);
        statistics.on_acknowledged(0, 1460);
        assert!(statistics.traffic.is_none());
        assert_eq!((statistics.segments_received, statistics.segments_sent), (1, 1));
        statistics.on_arrived(Instant::ZERO, 1, 1);
        assert!(statistics.traffic.is_some());
    }

    #[test]
    fn the_shortest_round_trip_is_kept_and_the_handshakes_counts() {
        let mut statistics = Statistics::default();
        let millis = Duration::from_millis;
        for (rtt, srtt, shortest) in [(120, Some(100), 100), (90, Some(103), 90), (95, None, 90)] {
            statistics.on_rtt(millis(rtt), || srtt.map(millis));
            assert_eq!(statistics.traffic().min_rtt, Some(millis(shortest)), "{rtt}");
        }
    }
}
