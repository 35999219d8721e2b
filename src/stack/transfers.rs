//! What the calls that read and write a stream have in common. None of them has a use for the time.

use super::memory::WRITE_MIN;
use super::socket::Kind;
use super::{SocketId, Stack, touch};
use crate::error::SocketError;
use crate::tcp::{Connection, Growth, Need, Unread};

impl Stack {
    /// As [`read`](Stack::read), which has no use for the time.
    pub(crate) fn read_stream(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
    ) -> Result<usize, SocketError> {
        if buffer.is_empty() {
            return self.socket(id).map(|_| 0);
        }
        if matches!(self.socket(id)?.kind, Kind::Udp(_)) {
            return self.recv_from(id, buffer).map(|(octets, _)| octets);
        }
        self.read_with(id, buffer, Connection::read, Unread::read)
    }

    /// As [`read_stream`](Self::read_stream), from a connection only, into what `room` makes of
    /// `buffer`, which is told how many octets there are. If it makes nothing of it, nothing is
    /// read.
    #[cfg(feature = "tokio")]
    pub(crate) fn read_stream_into<B>(
        &mut self,
        id: SocketId,
        buffer: &mut B,
        room: impl Fn(&mut B, usize) -> &mut [u8],
    ) -> Result<usize, SocketError> {
        self.read_with(
            id,
            buffer,
            |open, buffer| open.read(room(buffer, open.unread() as usize)),
            |rest, buffer| rest.read(room(buffer, rest.len() as usize)),
        )
    }

    /// As [`write`](Stack::write), which has no use for the time.
    pub(crate) fn write_stream(
        &mut self,
        id: SocketId,
        octets: &[u8],
    ) -> Result<usize, SocketError> {
        self.write_with(id, octets, |open, octets| open.write(octets, false))
    }

    /// A call that reads from a stream into `buffer`, of whatever kind; `read` and `read_rest` say
    /// how many octets they got there.
    pub(super) fn read_with<B: ?Sized>(
        &mut self,
        id: SocketId,
        buffer: &mut B,
        read: impl Fn(&mut Connection, &mut B) -> usize,
        read_rest: impl Fn(&mut Unread, &mut B) -> usize,
    ) -> Result<usize, SocketError> {
        let socket = self.sockets.get_mut(id).ok_or(SocketError::BadHandle)?;
        let is_read_shut = socket.is_read_shut;
        match &mut socket.kind {
            Kind::Connected(flow) => {
                let flow = *flow;
                let entry = self.flows.get_mut(flow).ok_or(SocketError::BadHandle)?;
                let open = entry.connection_mut().ok_or(SocketError::BadHandle)?;
                let (has_memory, spares) = (self.memory.has_room(), &mut self.memory.spares);
                // Who reads until there is no more finds that out with each message. A read that
                // finds nothing still is a look at what urgent data was announced.
                let mut is_held_back = false;
                let octets = if open.unread() > 0 || open.is_priority() {
                    let octets = open.with_spares(spares, Need::Nothing, |open| read(open, buffer));
                    open.tell_of_room(Growth::with(has_memory));
                    // This very read may end the shortage, before the flow has had its turn.
                    is_held_back = !has_memory && open.could_offer_more();
                    octets
                } else {
                    0
                };
                let is_end = is_read_shut || open.is_finished();
                let owes = open.owes_ack(); // A read that only passed an urgent octet may, too.
                if is_held_back {
                    self.memory.watch(flow, entry);
                }
                if octets > 0 || owes || entry.allocated() != entry.charged {
                    // A window update may be due.
                    touch(&mut self.ready, &mut self.memory, flow, entry);
                }
                if octets > 0 {
                    return Ok(octets);
                }
                socket.error_or(if is_end { Ok(0) } else { Err(SocketError::WouldBlock) })
            }
            Kind::Ended(ended) => {
                let held = ended.unread.allocated();
                let octets = read_rest(&mut ended.unread, buffer);
                self.memory.release(held - ended.unread.allocated());
                if octets > 0 || ended.is_finished {
                    return Ok(octets); // As Linux: the end of the file stays the end of the file.
                }
                socket.error_or(Ok(0))
            }
            Kind::Connecting(_) => socket.error_or(Err(SocketError::WouldBlock)),
            Kind::Fresh if socket.has_failed => socket.error_or(Ok(0)),
            Kind::Fresh | Kind::Listening(_) => socket.error_or(Err(SocketError::NotConnected)),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }

    /// A call that writes by `write`, which says how many octets were taken.
    pub(super) fn write_with(
        &mut self,
        id: SocketId,
        octets: &[u8],
        write: impl Fn(&mut Connection, &[u8]) -> Option<usize>,
    ) -> Result<usize, SocketError> {
        self.write_up_to(id, octets.len(), |open, room| {
            write(open, octets.get(..room).unwrap_or(octets))
        })
    }

    /// A call that writes `len` octets, or fewer, by `write`, which is told of how many there is
    /// memory for and says how many were taken.
    pub(super) fn write_up_to(
        &mut self,
        id: SocketId,
        len: usize,
        write: impl FnOnce(&mut Connection, usize) -> Option<usize>,
    ) -> Result<usize, SocketError> {
        let socket = self.socket_mut(id)?;
        socket.error_or(Ok(0))?;
        match socket.kind {
            Kind::Connected(flow) => {
                let entry = self.flows.get_mut(flow).ok_or(SocketError::BadHandle)?;
                let open = entry.connection_mut().ok_or(SocketError::BadHandle)?;
                let rest = WRITE_MIN.saturating_sub(open.unacknowledged()) as usize;
                let room = if self.memory.has_room() { usize::MAX } else { rest };
                let spares = &mut self.memory.spares;
                let written = open.with_spares(spares, Need::Chunks, |open| write(open, room));
                let written = written.ok_or(SocketError::BrokenPipe)?;
                if open.unacknowledged() >= WRITE_MIN {
                    self.memory.watch(flow, entry); // It may be held back from now on.
                }
                if written == 0 && len > 0 {
                    return Err(SocketError::WouldBlock);
                }
                touch(&mut self.ready, &mut self.memory, flow, entry);
                Ok(written)
            }
            Kind::Connecting(_) => Err(SocketError::WouldBlock),
            // As Linux also without a connection.
            Kind::Fresh | Kind::Listening(_) | Kind::Ended(_) => Err(SocketError::BrokenPipe),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }
}
