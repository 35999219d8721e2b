//! TCP sockets: what Linux answers in every state where [`Stack`](crate::Stack) says less.

use std::ffi::c_int;
use std::net::SocketAddr;

use super::abi::{FAMILY_NONE, MSG_MORE, MSG_OOB, MSG_PEEK, WharfAddr};
use super::errno::{Answer, EINVAL, Errno};
use super::handles::{Entry, Phase, Protocol, Shut};
use super::host::Host;
use crate::error::SocketError;
use crate::observe::TcpState;
use crate::stack::{Readiness, Shutdown, SocketId};
use crate::time::Instant;

impl Host {
    /// The state that Linux knows: CLOSED without a connection, and once it is over.
    pub(super) fn state(&self, entry: Entry) -> Answer<TcpState> {
        Ok(self.stack.state(entry.id)?)
    }

    /// socket(2), with urgent data out of line, as on Linux.
    pub(super) fn new_stream(&mut self) -> Answer<SocketId> {
        let id = self.stack.tcp_socket()?;
        let mut options = self.stack.options(id)?;
        options.oob_inline = false;
        self.stack.set_options(id, options)?;
        Ok(id)
    }

    /// listen(2). A negative backlog is a large one, as on Linux.
    pub(super) fn listen(&mut self, handle: c_int, backlog: c_int) -> Answer<c_int> {
        let entry = self.handles.get(handle)?;
        if entry.protocol == Protocol::Tcp && entry.phase != Phase::Unconnected {
            return Err(EINVAL);
        }
        self.stack.listen(entry.id, u32::try_from(backlog).unwrap_or(u32::MAX))?;
        self.handles.get_mut(handle)?.shut = Shut::default();
        Ok(0)
    }

    /// accept(2): a handle for the connection that has waited longest, and its peer.
    pub(super) fn accept(&mut self, now: Instant, handle: c_int) -> Answer<(c_int, SocketAddr)> {
        let entry = self.handles.get(handle)?;
        match entry.protocol {
            Protocol::Tcp if self.state(entry)? == TcpState::Listen => {}
            Protocol::Tcp => return Err(EINVAL),
            Protocol::Udp => return Err(Errno(libc::EOPNOTSUPP)),
        }
        let (id, peer) = self.stack.accept(now, entry.id)?;
        let accepted = Entry { id, phase: Phase::Connected, shut: Shut::default(), ..entry };
        match self.handles.add(accepted) {
            Ok(handle) => Ok((handle, peer)),
            Err(error) => {
                self.stack.close(now, id);
                Err(error)
            }
        }
    }

    /// connect(2), which tells once how an open has ended: 0, or its error.
    pub(super) fn connect_stream(
        &mut self,
        now: Instant,
        handle: c_int,
        entry: Entry,
        addr: WharfAddr,
    ) -> Answer<()> {
        if addr.family == FAMILY_NONE {
            return self.disconnect_stream(now, handle, entry);
        }
        let state = self.state(entry)?;
        match entry.phase {
            Phase::Disconnecting => Err(EINVAL),
            Phase::Connected => Err(Errno(libc::EISCONN)),
            Phase::Unconnected if state != TcpState::Closed => Err(Errno(libc::EISCONN)),
            Phase::Unconnected => self.open_stream(now, handle, entry, addr),
            Phase::Connecting => match state {
                TcpState::SynSent | TcpState::SynReceived => Err(Errno(libc::EALREADY)),
                TcpState::Closed => {
                    let error = self.stack.take_error(entry.id)?;
                    self.disconnect_stream(now, handle, entry)?;
                    Err(error.unwrap_or(SocketError::Aborted).into())
                }
                _ => {
                    self.handles.get_mut(handle)?.phase = Phase::Connected;
                    Ok(())
                }
            },
        }
    }

    /// The first connect, or one after another has failed and told so: a SYN is to leave.
    fn open_stream(
        &mut self,
        now: Instant,
        handle: c_int,
        entry: Entry,
        addr: WharfAddr,
    ) -> Answer<()> {
        let to = addr.to_socket_addr()?;
        self.stack.take_error(entry.id)?; // An earlier use's.
        match self.stack.connect(now, entry.id, to) {
            Ok(()) | Err(SocketError::InProgress) => {
                self.handles.get_mut(handle)?.phase = Phase::Connecting;
                Err(Errno(libc::EINPROGRESS))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The socket gives up its connection or listener, and can be used anew.
    fn disconnect_stream(&mut self, now: Instant, handle: c_int, entry: Entry) -> Answer<()> {
        self.stack.disconnect(now, entry.id)?;
        let entry = self.handles.get_mut(handle)?;
        (entry.phase, entry.shut) = (Phase::Unconnected, Shut::default());
        Ok(())
    }

    /// send(2).
    pub(super) fn send_stream(
        &mut self,
        now: Instant,
        entry: Entry,
        octets: &[u8],
        flags: c_int,
    ) -> Answer<usize> {
        match self.state(entry)? {
            // EAGAIN even for no octets: only a connection can say that it has sent them.
            TcpState::SynSent | TcpState::SynReceived => {
                let error = self.stack.take_error(entry.id)?;
                Err(error.unwrap_or(SocketError::WouldBlock).into())
            }
            // What was shut before it had a connection stays so, as on Linux.
            state if state == TcpState::Closed || state == TcpState::Listen || entry.shut.write => {
                let error = self.stack.take_error(entry.id)?;
                Err(error.unwrap_or(SocketError::BrokenPipe).into())
            }
            _ if flags & MSG_OOB != 0 => Ok(self.stack.write_urgent(now, entry.id, octets)?),
            _ if flags & MSG_MORE != 0 => Ok(self.stack.write_more(now, entry.id, octets)?),
            _ => Ok(self.stack.write(now, entry.id, octets)?),
        }
    }

    /// recv(2).
    pub(super) fn receive_stream(
        &mut self,
        now: Instant,
        entry: Entry,
        room: &mut [u8],
        flags: c_int,
    ) -> Answer<usize> {
        let state = self.state(entry)?;
        if state == TcpState::Listen {
            return Err(Errno(libc::ENOTCONN));
        }
        match flags {
            MSG_OOB => return Ok(self.stack.read_urgent(entry.id, room)?),
            _ if flags & MSG_OOB != 0 => return Ok(self.stack.peek_urgent(entry.id, room)?),
            _ => {}
        }
        let read = if flags & MSG_PEEK == 0 {
            self.stack.read(now, entry.id, room)
        } else {
            self.stack.peek(entry.id, room)
        };
        match read {
            Ok(octets) => Ok(octets),
            Err(SocketError::WouldBlock | SocketError::NotConnected) if self.shut(entry)?.read => {
                Ok(0)
            }
            Err(SocketError::NotConnected) if state != TcpState::Closed => {
                Err(SocketError::WouldBlock.into()) // The connection is being opened.
            }
            Err(error) => Err(error.into()),
        }
    }

    /// shutdown(2) of either kind.
    pub(super) fn shutdown(&mut self, now: Instant, handle: c_int, how: c_int) -> Answer<()> {
        let entry = self.handles.get(handle)?;
        let (shut, how) = match how {
            libc::SHUT_RD => (Shut { read: true, write: false }, Shutdown::Read),
            libc::SHUT_WR => (Shut { read: false, write: true }, Shutdown::Write),
            libc::SHUT_RDWR => (Shut::BOTH, Shutdown::Both),
            _ => return Err(EINVAL),
        };
        match entry.protocol {
            Protocol::Tcp => self.shutdown_stream(now, handle, entry, shut, how),
            Protocol::Udp => self.shutdown_datagrams(handle, entry, shut),
        }
    }

    fn shutdown_stream(
        &mut self,
        now: Instant,
        handle: c_int,
        entry: Entry,
        shut: Shut,
        how: Shutdown,
    ) -> Answer<()> {
        let state = self.state(entry)?;
        if entry.phase == Phase::Connecting {
            let is_unsettled =
                matches!(state, TcpState::SynSent | TcpState::SynReceived | TcpState::Closed);
            self.handles.get_mut(handle)?.phase =
                if is_unsettled { Phase::Disconnecting } else { Phase::Connected };
        }
        match state {
            TcpState::Listen if !shut.read => Ok(()),
            // As on Linux: nothing is told to the peer, and the socket can be used anew.
            TcpState::Listen | TcpState::SynSent => self.disconnect_stream(now, handle, entry),
            TcpState::Closed => {
                let entry = self.handles.get_mut(handle)?;
                entry.shut = entry.shut.with(shut);
                Err(Errno(libc::ENOTCONN))
            }
            _ => {
                let kept = self.handles.get_mut(handle)?;
                kept.shut = kept.shut.with(shut);
                Ok(self.stack.shutdown(now, entry.id, how)?)
            }
        }
    }

    /// The directions in which nothing more comes or goes: what Linux keeps as `sk_shutdown`.
    pub(super) fn shut(&self, entry: Entry) -> Answer<Shut> {
        // A connect that has failed leaves the socket shut, until that has been told.
        if entry.phase == Phase::Connecting && self.state(entry)? == TcpState::Closed {
            return Ok(Shut::BOTH);
        }
        let ready = self.stack.readiness(entry.id);
        let of_connection = Shut {
            read: ready.contains(Readiness::READ_CLOSED),
            write: ready.contains(Readiness::WRITE_CLOSED),
        };
        Ok(entry.shut.with(of_connection))
    }

    /// getpeername(2).
    pub(super) fn peer_name(&self, entry: Entry) -> Answer<SocketAddr> {
        if entry.protocol == Protocol::Tcp && self.state(entry)? == TcpState::Closed {
            return Err(Errno(libc::ENOTCONN));
        }
        Ok(self.stack.peer_addr(entry.id)?)
    }

    /// SIOCOUTQ: what the peer has not acknowledged, our FIN included.
    pub(super) fn unacknowledged(&self, entry: Entry) -> Answer<u32> {
        let fin = match self.state(entry)? {
            TcpState::Listen => return Err(EINVAL),
            TcpState::FinWait1 | TcpState::Closing | TcpState::LastAck => 1,
            TcpState::Closed
            | TcpState::SynSent
            | TcpState::SynReceived
            | TcpState::Established
            | TcpState::FinWait2
            | TcpState::CloseWait
            | TcpState::TimeWait => 0,
        };
        Ok(self.stack.unacknowledged(entry.id)? + fin)
    }
}
