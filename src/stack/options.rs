//! setsockopt(2) and getsockopt(2): which option takes effect where.

use std::sync::Arc;

use super::socket::Kind;
use super::{SocketId, Stack};
use crate::error::SocketError;
use crate::options::SocketOptions;

impl Stack {
    /// The socket's options.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn options(&self, id: SocketId) -> Result<SocketOptions, SocketError> {
        Ok(*self.socket(id)?.options)
    }

    /// Sets the socket's options; those of a connection that can still change do at once.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: a value is out of its range.
    ///
    /// # Examples
    ///
    /// ```
    /// use wharf::{Seed, SocketError, Stack, StackConfig};
    ///
    /// let config = StackConfig::new("10.7.0.2/24".parse()?);
    /// let mut stack = Stack::new(config, Seed::from_number(1))?;
    /// let socket = stack.tcp_socket()?;
    /// let mut options = stack.options(socket)?;
    /// options.nodelay = true;
    /// stack.set_options(socket, options)?;
    /// options.receive_buffer = 1024; // Octets: 2 KiB at least.
    /// assert_eq!(stack.set_options(socket, options), Err(SocketError::InvalidArgument));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_options(&mut self, id: SocketId, options: SocketOptions) -> Result<(), SocketError> {
        if !options.is_valid() {
            return Err(SocketError::InvalidArgument);
        }
        let socket = self.socket_mut(id)?;
        if *socket.options == options {
            return Ok(()); // As where a program tells each connection what its listener was told.
        }
        let options = Arc::new(options);
        socket.options = Arc::clone(&options);
        match socket.kind {
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                if let Some(entry) = self.flows.get_mut(flow) {
                    entry.set_options(&options);
                }
                self.touch_flow(flow); // What Nagle held back may leave now.
                self.touch_socket(id); // There may be more room to write.
                Ok(())
            }
            Kind::Listening(listener) => {
                self.listeners.set_options(listener, options);
                Ok(())
            }
            Kind::Udp(udp) => self.set_udp_options(udp, &options),
            Kind::Ended(ref mut ended) => {
                ended.unread.set_oob_inline(options.oob_inline);
                Ok(())
            }
            Kind::Fresh | Kind::Echo(_) => Ok(()),
        }
    }
}
