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
