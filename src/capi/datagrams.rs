//! UDP sockets: what Linux answers where [`Stack`](crate::Stack) says less.

use std::ffi::c_int;
use std::net::SocketAddr;

use super::abi::{FAMILY_NONE, MSG_PEEK, WharfAddr};
use super::errno::{Answer, Errno};
use super::handles::{Entry, Shut};
use super::host::Host;
use crate::error::SocketError;
use crate::time::Instant;

impl Host {
    /// connect(2): from now on the socket hears only of this peer; with no family, of all again.
    /// What was shut stays so, as on Linux.
    pub(super) fn connect_datagrams(
        &mut self,
        now: Instant,
        entry: Entry,
        addr: WharfAddr,
    ) -> Answer<()> {
        if addr.family == FAMILY_NONE {
            return Ok(self.stack.disconnect(now, entry.id)?);
        }
        Ok(self.stack.connect(now, entry.id, addr.to_socket_addr()?)?)
    }

    /// sendto(2).
    pub(super) fn send_datagram(
        &mut self,
        now: Instant,
        entry: Entry,
        octets: &[u8],
        flags: c_int,
        to: Option<WharfAddr>,
    ) -> Answer<usize> {
        if flags != 0 {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let to = to.map(WharfAddr::to_socket_addr).transpose()?;
        if entry.shut.write {
            return Err(self.why_shut(entry, to)?.into());
        }
        Ok(self.stack.send_to(now, entry.id, octets, to)?)
    }

    /// What a socket that is shut for writing says: as on Linux it comes last that it is shut,
    /// behind a destination that there is not and an error that waits.
    fn why_shut(&mut self, entry: Entry, to: Option<SocketAddr>) -> Answer<SocketError> {
        match to {
            None if !self.stack.is_connected(entry.id)? => Ok(SocketError::NoDestination),
            Some(to) if to.port() == 0 => Ok(SocketError::InvalidArgument),
            Some(_) | None => {
                Ok(self.stack.take_error(entry.id)?.unwrap_or(SocketError::BrokenPipe))
            }
        }
    }

    /// recvfrom(2).
    pub(super) fn receive_datagram(
        &mut self,
        entry: Entry,
        room: &mut [u8],
        flags: c_int,
    ) -> Answer<(usize, SocketAddr)> {
        match flags {
            0 => Ok(self.stack.recv_from(entry.id, room)?),
            MSG_PEEK => Ok(self.stack.peek_from(entry.id, room)?),
            _ => Err(Errno(libc::EOPNOTSUPP)),
        }
    }

    /// shutdown(2): ENOTCONN without a peer, and yet poll(2) tells of it.
    pub(super) fn shutdown_datagrams(
        &mut self,
        handle: c_int,
        entry: Entry,
        shut: Shut,
    ) -> Answer<()> {
        self.handles.get_mut(handle)?.shut = entry.shut.with(shut);
        if self.stack.is_connected(entry.id)? { Ok(()) } else { Err(Errno(libc::ENOTCONN)) }
    }
}
