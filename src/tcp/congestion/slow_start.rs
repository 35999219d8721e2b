//! Slow start, which every algorithm shares (RFC 5681 §3.1).

use super::AckSample;

/// Most segments by which one acknowledgment may open the window.
///
/// RFC 5681 Eq. 2 grants one MSS an ACK; peers that offload send one ACK for 44 segments, which
/// that bound would punish, so we use the L = 8 that RFC 9406 §4.3 allows. Counting octets and
/// not acknowledgments (RFC 3465) takes from a peer what it could win by splitting its ACKs.
const SEGMENTS_PER_ACK_MAX: u32 = 8;

/// By how many octets slow start opens the window for what `sample` delivered.
pub(super) fn growth(sample: AckSample, mss: u32) -> u32 {
    sample.delivered.min(mss.saturating_mul(SEGMENTS_PER_ACK_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_counts_octets_and_at_most_eight_segments_an_ack() {
        for (delivered, octets) in [(0, 0), (1, 1), (1000, 1000), (8000, 8000), (44_000, 8000)] {
            let sample = AckSample { delivered, was_window_limited: true };
            assert_eq!(growth(sample, 1000), octets, "{delivered}");
        }
    }
}
