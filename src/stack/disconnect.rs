//! Sockets that give up what they have and can be used anew.

use super::socket::Kind;
use super::{Instant, SocketId, Stack};
use crate::error::SocketError;
use crate::tcp::Connection;

impl Stack {
    /// Takes back what `bind` did for a TCP socket that is neither connected nor listening.
    pub(crate) fn unbind(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(id) else { return };
        if let (Kind::Fresh, Some(local)) = (&socket.kind, socket.bound.take()) {
            self.listeners.unbind(id, *local);
        }
    }

    /// connect(2) to AF_UNSPEC: the socket gives up its peer, connection or listener and is as
    /// new, but for its options and what `bind` was told. A connection is reset, which leaves
    /// `Reset` to be taken, unless all is said and only the acknowledgment of our FIN is missing;
    /// so does an open that was under way, of which the peer hears nothing more.
    ///
    /// # Errors
    ///
    /// `BadHandle`; `NotSupported`: it is an echo socket.
    pub fn disconnect(&mut self, now: Instant, id: SocketId) -> Result<(), SocketError> {
        let error = match &self.socket(id)?.kind {
            Kind::Fresh => None,
            Kind::Ended(ended) => {
                self.memory.release(ended.unread.allocated());
                None
            }
            Kind::Listening(listener) => {
                let listener = *listener;
                self.close_listener(now, listener);
                None
            }
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                let flow = *flow;
                let open = self.flows.get(flow).and_then(|entry| entry.connection());
                if open.is_none_or(Connection::is_abort_told) {
                    self.abort_flow(now, flow);
                    Some(SocketError::Reset)
                } else {
                    self.remove_flow(now, flow, &mut ());
                    None
                }
            }
            Kind::Udp(udp) => {
                let udp = *udp;
                return self.udp.disconnect(udp);
            }
            Kind::Echo(_) => return Err(SocketError::NotSupported),
        };
        let socket = self.socket_mut(id)?;
        socket.kind = Kind::Fresh;
        socket.is_read_shut = false;
        socket.has_failed = false;
        socket.soft_error = None;
        socket.error = error.or(socket.error);
        self.touch_socket(id);
        Ok(())
    }
}
