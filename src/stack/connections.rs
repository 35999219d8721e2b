//! Connections that end, and what their sockets keep; and what people may know of all of them.

use super::demux::FlowId;
use super::flow::{Flow, Owner};
use super::listeners::{Child, ListenerId};
use super::socket::{Ended, Kind};
use super::{ConnectionInfo, End, FlowEntry, Instant, Observer, SocketId, Stack, TcpState};
use crate::error::SocketError;
use crate::tcp::TcpInfo;

impl Stack {
    /// A connection is over, or is a record in TIME-WAIT from now on.
    pub(super) fn end_connection(
        &mut self,
        now: Instant,
        id: FlowId,
        end: End,
        observer: &mut dyn Observer,
    ) {
        let Some(entry) = self.flows.get(id) else { return };
        let state = entry.tcp_state();
        let error = match &end {
            End::TimeWait(_) | End::Closed => None,
            // As Linux: who has read the end of the file hears that writing is over.
            End::Reset if state == TcpState::CloseWait => Some(SocketError::BrokenPipe),
            End::Reset => Some(SocketError::Reset),
            End::Aborted(_) => Some(SocketError::Aborted),
            End::TimedOut(_) => Some(SocketError::TimedOut),
        };
        let ended = match end {
            End::TimeWait(time_wait) => self.become_time_wait(id, Flow::TimeWait(time_wait)),
            End::Aborted(reset) | End::TimedOut(Some(reset)) => {
                let entry = self.remove_flow(now, id, observer);
                if let Some(entry) = &entry {
                    self.depart(entry, *reset);
                }
                entry
            }
            End::Closed | End::Reset | End::TimedOut(None) => self.remove_flow(now, id, observer),
        };
        if let Some(ended) = ended {
            self.leave_to_owner(ended, error);
        }
    }

    /// Puts a record in the place of a connection, and gives out what the connection was.
    fn become_time_wait(&mut self, id: FlowId, record: Flow) -> Option<FlowEntry> {
        self.leave_list(id);
        self.deadlines.disarm(id);
        let entry = self.flows.get_mut(id)?;
        let connection = std::mem::replace(&mut entry.flow, record);
        let owner = std::mem::replace(&mut entry.owner, Owner::Nobody);
        let ended = FlowEntry { flow: connection, owner, ..*entry };
        self.join_list(id);
        self.touch_flow(id);
        Some(ended)
    }

    /// What came before the end and has not been read is the socket's now; then it hears of the
    /// error, once, and then of the end of the file. So it is with one that nobody has accepted
    /// yet: whoever does finds it ended (as Linux).
    fn leave_to_owner(&mut self, entry: FlowEntry, error: Option<SocketError>) {
        let owner = entry.owner;
        if matches!(owner, Owner::Nobody | Owner::Listener(_)) {
            return;
        }
        let Flow::Open(connection) = entry.flow else {
            if let Owner::Socket(socket) = owner {
                self.end_socket(socket, error.unwrap_or(SocketError::Aborted));
            }
            return;
        };
        let ended = Ended {
            local: entry.tuple.local,
            remote: entry.tuple.remote,
            is_finished: connection.is_finished(),
            info: TcpInfo { state: TcpState::Closed, ..connection.info() },
            unread: connection.into_unread(),
        };
        let held = ended.unread.allocated();
        match owner {
            Owner::Nobody | Owner::Listener(_) => return,
            Owner::Queue(listener, ticket) => {
                let Some(listener) = self.listeners.get_mut(listener) else { return };
                let Some(child) = listener.listener.waiting_mut(ticket) else { return };
                *child = Child::Ended(Box::new(ended), error);
            }
            Owner::Socket(id) => {
                let Some(socket) = self.sockets.get_mut(id) else { return };
                socket.kind = Kind::Ended(Box::new(ended));
                // What routers said while nothing got through tells more than the silence.
                let told =
                    socket.soft_error.take().filter(|_| error == Some(SocketError::TimedOut));
                socket.error = told.or(error).or(socket.error);
                self.touch_socket(id);
            }
        }
        self.memory.charge(held);
    }

    /// Aborts a flow whose socket is gone or gives it up: the peer is told by an RST.
    pub(super) fn abort_flow(&mut self, now: Instant, id: FlowId) {
        let Some(entry) = self.flows.get(id) else { return };
        let reset = entry.abort(now);
        if let Some(entry) = self.remove_flow(now, id, &mut ())
            && let Some(reset) = reset
        {
            self.depart(&entry, reset);
        }
    }

    /// Closes a listener: nobody will accept its children, and all of them are reset, those that
    /// wait and the half-open ones.
    pub(super) fn close_listener(&mut self, now: Instant, id: ListenerId) {
        while let Some(child) = self.listeners.get(id).and_then(|entry| entry.children.first()) {
            self.abort_flow(now, child);
        }
        let Some(mut entry) = self.listeners.remove(id) else { return };
        while let Some(child) = entry.listener.accept() {
            if let Child::Ended(ended, _) = child {
                self.memory.release(ended.unread.allocated());
            }
        }
    }

    /// All connections, in no order that means anything. It looks at every one of them: for
    /// people, not for the data path. [`some_connections`](Self::some_connections) does not.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.flows.iter().map(|(_, entry)| entry.listed()).collect()
    }

    /// How many connections still have something to say though no socket holds them. TIME-WAIT
    /// does not count.
    pub fn orphans(&self) -> usize {
        self.orphans.len()
    }

    /// Stops listening everywhere. Connections go on; a SYN is answered by an RST.
    pub fn stop_listening(&mut self, now: Instant) {
        for id in self.listeners.ids() {
            let socket = self.listeners.get(id).map(|entry| entry.socket);
            self.close_listener(now, id);
            if let Some(socket) = socket {
                self.end_socket(socket, SocketError::InvalidArgument);
            }
        }
    }

    /// The end of a stack: every connection is reset, every socket gets `error`; what has
    /// arrived can still be read.
    pub fn abort_all(&mut self, now: Instant, error: SocketError) {
        let flows: Vec<_> = self.flows.iter().map(|(id, _)| id).collect();
        for id in flows {
            let reset = self.flows.get(id).and_then(|entry| entry.abort(now));
            let Some(entry) = self.remove_flow(now, id, &mut ()) else { continue };
            if let Some(reset) = reset {
                self.depart(&entry, reset);
            }
            self.leave_to_owner(entry, Some(error));
        }
        for id in self.listeners.ids() {
            self.close_listener(now, id);
        }
        let sockets: Vec<_> = self.sockets.keys().collect();
        for id in sockets {
            self.end_socket(id, error);
        }
    }

    /// A socket's connection or listener has been taken from it.
    fn end_socket(&mut self, id: SocketId, error: SocketError) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        match socket.kind {
            Kind::Connecting(_) | Kind::Connected(_) | Kind::Listening(_) => {
                socket.kind = Kind::Fresh;
            }
            Kind::Fresh | Kind::Ended(_) | Kind::Udp(_) | Kind::Echo(_) => {}
        }
        socket.error = Some(error);
        self.touch_socket(id);
    }
}
