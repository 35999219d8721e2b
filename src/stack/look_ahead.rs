//! What a burst will need is brought near before the first packet of it is worked on.
//!
//! Among a million connections a segment of another one than the last waits for memory a dozen
//! times, each time for what the last told: a page of the table, the entry, the connection. All
//! packets of a burst can wait for theirs at the same time, if each step is taken for all of them
//! before the next. Nothing is decided by it, and nothing changes.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::Ipv4Addr;

use arrayvec::ArrayVec;

use super::flow::{FlowEntry, Owner};
use super::{Frame, Stack};
use crate::tcp::Connection;
use crate::wire::ipv4::PROTOCOL_TCP;
use crate::wire::{Endpoint, FourTuple};

/// Packets for which it is done at most; a burst of the runtime has no more.
const BURST_MAX: usize = 64;

/// Fewer packets gain nothing.
const BURST_MIN: usize = 4;

/// So many flows are not in the caches all at once.
const FLOWS_MIN: usize = 4096;

impl Stack {
    /// Looks at all that a burst will need of the flows that it is for.
    pub(super) fn look_ahead(&self, frames: &VecDeque<Frame>) {
        if frames.len() < BURST_MIN || self.flows.len() < FLOWS_MIN {
            return;
        }
        let tuples = frames.iter().filter_map(|frame| tuple_of(frame.octets()));
        let hashes: ArrayVec<u64, BURST_MAX> =
            tuples.take(BURST_MAX).map(|tuple| self.flows.hash(&tuple)).collect();
        let entries: ArrayVec<&FlowEntry, BURST_MAX> = self.flows.look_for(&hashes);
        let mut seen = 0;
        for entry in &entries {
            seen ^= entry.connection().map_or(0, Connection::look_at);
        }
        for entry in &entries {
            seen ^= entry.connection().map_or(0, Connection::look_beside) ^ self.look_beside(entry);
        }
        black_box(seen);
    }

    /// What the stack keeps elsewhere for a flow.
    fn look_beside(&self, entry: &FlowEntry) -> u64 {
        match entry.owner {
            Owner::Socket(socket) => self.sockets.contains_key(socket).into(),
            Owner::Listener(_) | Owner::Queue(..) | Owner::Nobody => 0,
        }
    }
}

/// Between whom a packet goes, if it is a whole one of TCP without IP options; not judged.
fn tuple_of(octets: &[u8]) -> Option<FourTuple> {
    let head = octets.first_chunk::<24>()?;
    let &[0x45, _, _, _, _, _, _, _, _, PROTOCOL_TCP, _, _, s0, s1, s2, s3, d0, d1, d2, d3, ..] =
        head
    else {
        return None;
    };
    let &[.., p0, p1, q0, q1] = head;
    let remote = Ipv4Addr::new(s0, s1, s2, s3);
    let local = Ipv4Addr::new(d0, d1, d2, d3);
    Some(FourTuple {
        local: Endpoint::new(local.into(), u16::from_be_bytes([q0, q1])),
        remote: Endpoint::new(remote.into(), u16::from_be_bytes([p0, p1])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::TcpFlags;
    use crate::sim::craft::Packet;

    #[test]
    fn the_tuple_of_a_segment_is_read_as_the_stack_reads_it_and_none_of_anything_else() {
        let (from, to) = ("10.0.0.2:5000", "10.0.0.1:80");
        let (source, destination) = (from.parse().unwrap(), to.parse().unwrap());
        let octets = Packet::tcp(source, destination, TcpFlags::ACK).encode();
        let tuple = FourTuple {
            local: Endpoint::from(std::net::SocketAddr::V4(destination)),
            remote: Endpoint::from(std::net::SocketAddr::V4(source)),
        };
        assert_eq!(tuple_of(&octets), Some(tuple));
        for (place, value) in [(0, 0x46), (0, 0x65), (9, 17)] {
            let mut other = octets.clone();
            other[place] = value;
            assert_eq!(tuple_of(&other), None, "{value} at {place}");
        }
        assert_eq!(tuple_of(&octets[..23]), None);
    }
}
