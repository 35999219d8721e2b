//! The table of handles: which socket a small integer stands for, and what Linux keeps beside it.

use std::collections::BTreeMap;
use std::ffi::c_int;

use super::errno::{Answer, EBADF, Errno};
use crate::stack::SocketId;

/// The sockets that are open, by handle.
#[derive(Debug, Default)]
pub(super) struct Handles {
    entries: BTreeMap<c_int, Entry>,
    /// The next handle: they count up from 0, and none is given out twice.
    next: c_int,
}

/// A socket that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The socket in the stack.
    pub(super) id: SocketId,
    /// TCP or UDP.
    pub(super) protocol: Protocol,
    /// How far `connect` has come.
    pub(super) phase: Phase,
    /// What `shutdown` has been told, whatever it answered.
    pub(super) shut: Shut,
    /// SO_RCVBUF as Linux reports it, once it has been set.
    pub(super) receive_buffer: Option<c_int>,
    /// SO_SNDBUF likewise.
    pub(super) send_buffer: Option<c_int>,
}

/// What kind of socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// What Linux calls the state of the socket, as opposed to that of its connection: it decides what
/// the next `connect` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No connect, or it has failed and that has been told.
    Unconnected,
    /// A connect has been begun, and how it ended has not been told by another.
    Connecting,
    /// A connect has been told to be through, or the socket came from `accept`.
    Connected,
    /// A failed connect was shut down: of no use any more.
    Disconnecting,
}

/// Directions that are shut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shut {
    /// RCV_SHUTDOWN.
    pub(super) read: bool,
    /// SEND_SHUTDOWN.
    pub(super) write: bool,
}

impl Shut {
    /// Both directions.
    pub(super) const BOTH: Self = Self { read: true, write: true };

    /// What either says.
    pub(super) fn with(self, other: Self) -> Self {
        Self { read: self.read || other.read, write: self.write || other.write }
    }
}

impl Entry {
    /// A socket that nothing has been done with.
    pub(super) fn new(id: SocketId, protocol: Protocol) -> Self {
        Self {
            id,
            protocol,
            phase: Phase::Unconnected,
            shut: Shut::default(),
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

impl Handles {
    /// A handle for a socket. EMFILE: 2^31 sockets have been open.
    pub(super) fn add(&mut self, entry: Entry) -> Answer<c_int> {
        let handle = self.next;
        self.next = handle.checked_add(1).ok_or(Errno(libc::EMFILE))?;
        self.entries.insert(handle, entry);
        Ok(handle)
    }

    /// The socket of a handle.
    pub(super) fn get(&self, handle: c_int) -> Answer<Entry> {
        self.entries.get(&handle).copied().ok_or(EBADF)
    }

    /// The socket of a handle.
    pub(super) fn get_mut(&mut self, handle: c_int) -> Answer<&mut Entry> {
        self.entries.get_mut(&handle).ok_or(EBADF)
    }

    /// Gives a handle up.
    pub(super) fn remove(&mut self, handle: c_int) -> Answer<Entry> {
        self.entries.remove(&handle).ok_or(EBADF)
    }
}
