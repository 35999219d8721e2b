//! What the calls that read and write a stream have in common. None of them has a use for the time.

use super::memory::WRITE_MIN;
use super::socket::Kind;
use super::{SocketId, Stack};
use crate::error::SocketError;
use crate::tcp::{Connection, Need, Unread};

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

    /// How many octets a read can give at most; `usize::MAX` where that is not known.
    #[cfg(feature = "tokio")]
    pub(crate) fn unread(&self, id: SocketId) -> usize {
        match self.socket(id).map(|socket| &socket.kind) {
            Ok(Kind::Connected(flow)) => {
                let open = self.flows.get(*flow).and_then(|entry| entry.connection());
                open.map_or(usize::MAX, |open| open.unread() as usize)
            }
            Ok(Kind::Ended(ended)) => ended.unread.len() as usize,
            Ok(_) | Err(_) => usize::MAX,
        }
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
                let spares = &mut self.memory.spares;
                // Who reads until there is no more finds that out with each message. A read that
                // finds nothing still is a look at what urgent data was announced.
                let octets = if open.unread() > 0 || open.is_priority() {
                    open.with_spares(spares, Need::Nothing, |open| read(open, buffer))
                } else {
                    0
                };
                let is_end = is_read_shut || open.is_finished();
                if octets > 0 || entry.allocated() != entry.charged {
                    self.touch_flow(flow); // A window update may be due.
                }
                if octets > 0 {
                    return Ok(octets);
                }
                self.error_or(id, if is_end { Ok(0) } else { Err(SocketError::WouldBlock) })
            }
            Kind::Ended(ended) => {
                let held = ended.unread.allocated();
                let octets = read_rest(&mut ended.unread, buffer);
                self.memory.release(held - ended.unread.allocated());
                if octets > 0 || ended.is_finished {
                    return Ok(octets); // As Linux: the end of the file stays the end of the file.
                }
                self.error_or(id, Ok(0))
            }
            Kind::Connecting(_) => self.error_or(id, Err(SocketError::WouldBlock)),
            Kind::Fresh if socket.has_failed => self.error_or(id, Ok(0)),
            Kind::Fresh | Kind::Listening(_) => self.error_or(id, Err(SocketError::NotConnected)),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }

    /// The pending error, once; else `otherwise`.
    pub(super) fn error_or(
        &mut self,
        id: SocketId,
        otherwise: Result<usize, SocketError>,
    ) -> Result<usize, SocketError> {
        match self.socket_mut(id)?.error.take() {
            Some(error) => Err(error),
            None => otherwise,
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
        if let Some(error) = socket.error.take() {
            return Err(error);
        }
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
                self.ready.join(flow, &mut entry.is_ready);
                self.memory.recharge(entry);
                Ok(written)
            }
            Kind::Connecting(_) => Err(SocketError::WouldBlock),
            // As Linux also without a connection.
            Kind::Fresh | Kind::Listening(_) | Kind::Ended(_) => Err(SocketError::BrokenPipe),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }
}
