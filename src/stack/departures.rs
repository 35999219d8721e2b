//! Packets of our own making that no flow sends any more.

use std::collections::VecDeque;

use crate::packet::Outgoing;

/// Packets, and octets of them, that may wait for the device: beyond, a datagram would block. The
/// octets bound packets that stand for many.
const PACKETS_MAX: usize = 1024;
const OCTETS_MAX: usize = 2 << 20;

/// RSTs of flows that are gone, and datagrams, in order.
#[derive(Debug, Default)]
pub(super) struct Departures {
    queue: VecDeque<Outgoing>,
    octets: usize,
}

impl Departures {
    /// Whether a datagram may join. Whatever else must leave joins anyway: each is the consequence
    /// of one flow's end.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < PACKETS_MAX && self.octets < OCTETS_MAX
    }

    pub(super) fn push(&mut self, packet: Outgoing) {
        self.octets += packet.len();
        self.queue.push_back(packet);
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        let packet = self.queue.pop_front()?;
        self.octets -= packet.len();
        Some(packet)
    }

    /// How many wait.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
