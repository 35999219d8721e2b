//! The RST for a segment that nobody owns.

use super::segment::{Segment, SegmentPlan};
use super::seq::SeqNumber;
use crate::observe::SendReason;
use crate::wire::tcp::TcpFlags;

/// The answer to a segment for which there is no connection (RFC 9293 §3.5.2, §3.10.7.1), or
/// whose ACK fits no handshake (§3.10.7.2, §3.10.7.3). `None` for an RST: it is never answered.
///
/// With an ACK the RST takes its sequence number from there, so that the peer accepts it; without
/// one it starts at zero and acknowledges all of the segment, SYN and FIN included.
pub(crate) fn reset_for(segment: &Segment) -> Option<SegmentPlan> {
    if segment.rst {
        return None;
    }
    let (seq, ack) = match segment.ack {
        Some(ack) => (ack, None),
        None => (SeqNumber(0), Some(segment.seq + segment.len())),
    };
    Some(SegmentPlan::bare(SendReason::Reset, seq, ack, TcpFlags::RST, 0))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::tcp::TcpHeader;
    use crate::wire::tcp_options::TcpOptions;

    fn segment(flags: TcpFlags, text: &'static [u8]) -> Segment {
        let header = TcpHeader {
            source_port: 1,
            destination_port: 2,
            seq: u32::MAX - 1,
            ack: 77,
            flags,
            window: 0,
            urgent: 0,
        };
        Segment::new(&header, TcpOptions::default(), Bytes::from_static(text))
    }

    #[test]
    fn with_an_ack_the_reset_stands_where_the_peer_expects_it_and_has_no_ack() {
        let reset = reset_for(&segment(TcpFlags::ACK, b"abc")).unwrap();
        assert_eq!((reset.seq, reset.flags), (SeqNumber(77), TcpFlags::RST));
    }

    #[test]
    fn without_an_ack_the_reset_acknowledges_syn_text_and_fin() {
        let flags = TcpFlags::SYN.with(TcpFlags::FIN);
        let reset = reset_for(&segment(flags, b"abc")).unwrap();
        assert_eq!((reset.seq, reset.ack), (SeqNumber(0), SeqNumber(3))); // Past the wrap.
        assert_eq!(reset.flags, TcpFlags::RST.with(TcpFlags::ACK));
    }

    #[test]
    fn a_reset_is_never_answered() {
        assert!(reset_for(&segment(TcpFlags::RST, b"")).is_none());
        assert!(reset_for(&segment(TcpFlags::RST.with(TcpFlags::ACK), b"")).is_none());
    }
}
