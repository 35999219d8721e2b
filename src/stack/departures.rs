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
    /// A datagram has found no room, or would have, and nobody has been told of any since.
    was_full: bool,
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
        self.was_full |= !self.has_room();
    }

    pub(super) fn pop(&mut self) -> Option<Outgoing> {
        let packet = self.queue.pop_front()?;
        self.octets -= packet.len();
        Some(packet)
    }

    /// Whether those who wait for room are to be told of it: once after there was none, and not
    /// before half of it is free, since telling them costs as much as there are of them.
    pub(super) fn has_room_again(&mut self) -> bool {
        let is_half_free = self.queue.len() <= PACKETS_MAX / 2 && self.octets <= OCTETS_MAX / 2;
        let is_news = self.was_full && is_half_free;
        self.was_full &= !is_news;
        is_news
    }

    /// How many wait.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
