//! What the tests of several parts share.

use bytes::Bytes;

use super::segment::Segment;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::TcpOptions;

/// A segment as it arrives: `flags` as tcpdump prints them, `.` for ACK.
pub(super) fn segment(flags: &str, seq: u32, ack: u32, window: u16, text: &[u8]) -> Segment {
    let bits = flags.chars().fold(TcpFlags::NONE, |all, letter| {
        all.with(match letter {
            'S' => TcpFlags::SYN,
            'F' => TcpFlags::FIN,
            'R' => TcpFlags::RST,
            'P' => TcpFlags::PSH,
            '.' => TcpFlags::ACK,
            _ => panic!("no flag {letter}"),
        })
    });
    let header = TcpHeader {
        source_port: 50_000,
        destination_port: 80,
        seq,
        ack,
        flags: bits,
        window,
        urgent: 0,
    };
    Segment::new(&header, TcpOptions::default(), Bytes::copy_from_slice(text))
}

/// What an open connection costs before it holds a single octet. Idle connections are most of
/// what a server has, so a part that grows is a decision.
#[test]
fn the_parts_of_a_connection_have_the_sizes_that_were_decided() {
    for (part, size, decided) in [
        ("SendSide", size_of::<super::send::SendSide>(), 64),
        ("ReceiveSide", size_of::<super::receive::ReceiveSide>(), 64),
        ("AckScheduler", size_of::<super::ack::AckScheduler>(), 40),
        ("RttEstimator", size_of::<super::rtt::RttEstimator>(), 24),
        ("Recovery", size_of::<super::recovery::Recovery>(), 16),
        ("PathLimit", size_of::<super::pmtu::PathLimit>(), 40),
        ("Lifetime", size_of::<super::lifetime::Lifetime>(), 40),
        ("Connection", size_of::<super::Connection>(), 416),
        ("HalfOpen", size_of::<super::HalfOpen>(), 56),
        ("TimeWait", size_of::<super::TimeWait>(), 48),
    ] {
        assert_eq!(size, decided, "{part}");
    }
}
