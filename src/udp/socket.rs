//! One UDP socket: the datagrams that wait in it, its pending error, its options.

use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};

use super::{Udp, UdpId};
use crate::error::SocketError;

/// What a waiting datagram is charged beyond its payload, octets: its place in the queue and the
/// allocator's share.
const DATAGRAM_OVERHEAD: usize = 64;

/// A queue that has grown larger than this gives its memory back once it is empty.
const KEPT_CAPACITY: usize = 64;

/// Options of a UDP socket; they may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UdpOptions {
    /// Time to live of datagrams to a single host or to all, 1 to 255. 64. To a group it is 1
    /// (RFC 1112 §6.1).
    pub(crate) ttl: u8,
    /// DSCP (6 bits) and ECN (2 bits) of datagrams. 0.
    pub(crate) tos: u8,
    /// Whether the socket may send to broadcast addresses. Not.
    pub(crate) broadcast: bool,
    /// Octets of datagrams that may wait, each charged [`DATAGRAM_OVERHEAD`] more than its
    /// payload. 256 KiB.
    pub(crate) receive_buffer: u32,
    /// Whether it shares its place with others that ask for it (SO_REUSEPORT). Not.
    pub(crate) reuse_port: bool,
    /// Ports to choose from, within all ephemeral ones (IP_LOCAL_PORT_RANGE).
    pub(crate) local_port_range: Option<(u16, u16)>,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            ttl: 64,
            tos: 0,
            broadcast: false,
            receive_buffer: 256 << 10,
            reuse_port: false,
            local_port_range: None,
        }
    }
}

/// A UDP socket.
#[derive(Debug, Default)]
pub(super) struct UdpSocket {
    /// Where it is bound.
    pub(super) local: Option<SocketAddrV4>,
    /// Whom it is connected to.
    pub(super) peer: Option<SocketAddrV4>,
    /// Whether `peer` is a broadcast address.
    pub(super) peer_is_broadcast: bool,
    /// What it has been told.
    pub(super) options: UdpOptions,
    /// Whether it was bound to all addresses: with a peer it is at one of them.
    pub(super) was_at_all: bool,
    /// Whether it asked for SO_REUSEPORT when it was bound.
    pub(super) shares_port: bool,
    /// What went wrong since the last call that could report it.
    pub(super) error: Option<SocketError>,
    queue: Queue,
}

/// The datagrams that wait for the application.
#[derive(Debug, Default)]
struct Queue {
    datagrams: VecDeque<Waiting>,
    /// Octets that the datagrams are charged.
    charged: usize,
}

/// A datagram that waits.
#[derive(Debug)]
struct Waiting {
    source: SocketAddrV4,
    /// A copy: a slice of the frame would keep the whole chunk of its pool alive for as long as
    /// the application does not read.
    payload: Box<[u8]>,
}

impl Waiting {
    fn charge(&self) -> usize {
        self.payload.len() + DATAGRAM_OVERHEAD
    }
}

impl UdpSocket {
    /// Queues a datagram unless the buffer is full: `false`. An empty queue takes any datagram,
    /// or one larger than the buffer would never get through.
    #[must_use]
    pub(super) fn enqueue(&mut self, source: SocketAddrV4, payload: &[u8]) -> bool {
        let limit = usize::try_from(self.options.receive_buffer).unwrap_or(usize::MAX);
        let queue = &mut self.queue;
        let charged = queue.charged + payload.len() + DATAGRAM_OVERHEAD;
        if charged > limit && !queue.datagrams.is_empty() {
            return false;
        }
        queue.charged = charged;
        queue.datagrams.push_back(Waiting { source, payload: payload.into() });
        true
    }
}

impl Udp {
    /// Copies the datagram that has waited longest, cut to `buffer`, and says how many octets that
    /// were and who sent it. What does not fit is lost, unless `peek` leaves the datagram where it
    /// is. A pending error is reported first, once.
    pub(crate) fn receive(
        &mut self,
        id: UdpId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<(usize, SocketAddr), SocketError> {
        let socket = self.socket_mut(id)?;
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
        let queue = &mut socket.queue;
        let waiting = queue.datagrams.front().ok_or(SocketError::WouldBlock)?;
        let len = waiting.payload.len().min(buffer.len());
        buffer[..len].copy_from_slice(&waiting.payload[..len]);
        let source = waiting.source.into();
        if !peek {
            queue.charged -= waiting.charge();
            queue.datagrams.pop_front();
            if queue.datagrams.is_empty() && queue.datagrams.capacity() > KEPT_CAPACITY {
                queue.datagrams = VecDeque::new();
            }
        }
        Ok((len, source))
    }

    /// Whether a datagram waits; not in a socket that is closed.
    pub(crate) fn has_datagram(&self, id: UdpId) -> bool {
        let socket = self.sockets.get(id);
        socket.is_some_and(|socket| !socket.queue.datagrams.is_empty())
    }

    /// Octets of the datagram that has waited longest; `None` if none waits.
    pub(crate) fn next_len(&self, id: UdpId) -> Result<Option<usize>, SocketError> {
        let front = self.socket(id)?.queue.datagrams.front();
        Ok(front.map(|waiting| waiting.payload.len()))
    }

    /// Whether an error waits; not in a socket that is closed.
    pub(crate) fn has_error(&self, id: UdpId) -> bool {
        let socket = self.sockets.get(id);
        socket.is_some_and(|socket| socket.error.is_some())
    }

    /// The pending error, once.
    pub(crate) fn take_error(&mut self, id: UdpId) -> Result<Option<SocketError>, SocketError> {
        Ok(self.socket_mut(id)?.error.take())
    }
}
