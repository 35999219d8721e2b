//! The options of sockets: what there is to set, in which range, and what takes effect when.

use super::socket::Kind;
use super::{SocketId, Stack};
use crate::error::SocketError;
use crate::tcp::Settings;
use crate::time::Duration;

/// Options of a socket. Each takes effect as far as it still can: the sizes of buffers count for
/// connections and listeners that are opened from then on, all else at once. What a listener
/// accepts inherits its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is an option that is on or off by itself")]
pub struct SocketOptions {
    /// TCP_NODELAY: small segments do not wait for the ones before them. Off.
    pub nodelay: bool,
    /// IP_TTL: time to live of packets, 1 to 255. 64.
    pub ttl: u8,
    /// IP_TOS: DSCP in the upper six bits; the lower two are TCP's own. 0.
    pub tos: u8,
    /// SO_LINGER: `Some(Duration::ZERO)` makes `close` reset the connection. `None`. With a longer
    /// time `close` does what it does without: it returns at once, and what was written is sent in
    /// the background.
    pub linger: Option<Duration>,
    /// SO_RCVBUF: octets that wait to be read, 2 KiB to 1 GiB. 256 KiB.
    pub receive_buffer: u32,
    /// SO_SNDBUF: octets that wait to be acknowledged, 2 KiB to 1 GiB. 256 KiB.
    pub send_buffer: u32,
    /// SO_REUSEADDR: the address may be shared by sockets that do not listen. Off.
    pub reuse_address: bool,
    /// SO_BROADCAST: datagrams may go to broadcast addresses. Off.
    pub broadcast: bool,
    /// A listener takes connections to addresses that are not ours; needs
    /// [`InterfaceConfig::any_destination`](crate::InterfaceConfig). Off.
    pub any_destination: bool,
}

impl SocketOptions {
    /// The defaults of a stack with these buffers.
    pub(super) fn new(receive_buffer: u32, send_buffer: u32, nagle: bool) -> Self {
        Self {
            nodelay: !nagle,
            ttl: 64,
            tos: 0,
            linger: None,
            receive_buffer,
            send_buffer,
            reuse_address: false,
            broadcast: false,
            any_destination: false,
        }
    }

    /// What a connection needs to know of them.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            nodelay: self.nodelay,
            receive_buffer: self.receive_buffer,
            send_buffer: self.send_buffer,
        }
    }

    /// The TOS octet of TCP packets: the two ECN bits stay zero.
    pub(super) fn dscp(&self) -> u8 {
        self.tos & !3
    }

    /// Whether every value is in its range.
    pub(super) fn is_valid(&self) -> bool {
        let buffers = 2048..=1 << 30;
        self.ttl > 0
            && buffers.contains(&self.receive_buffer)
            && buffers.contains(&self.send_buffer)
    }
}

impl Stack {
    /// The socket's options.
    ///
    /// # Errors
    ///
    /// `BadHandle`.
    pub fn options(&self, id: SocketId) -> Result<SocketOptions, SocketError> {
        Ok(self.socket(id)?.options)
    }

    /// Sets the socket's options; those of a connection that can still change do at once.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: a value is out of its range.
    pub fn set_options(&mut self, id: SocketId, options: SocketOptions) -> Result<(), SocketError> {
        if !options.is_valid() {
            return Err(SocketError::InvalidArgument);
        }
        let socket = self.socket_mut(id)?;
        socket.options = options;
        match socket.kind {
            Kind::Connecting(flow) | Kind::Connected(flow) => {
                if let Some(entry) = self.flows.get_mut(flow) {
                    (entry.ttl, entry.tos) = (options.ttl, options.dscp());
                    if let Some(open) = entry.connection_mut() {
                        open.set_nodelay(options.nodelay);
                    }
                }
                self.touch_flow(flow); // What Nagle held back may leave now.
                Ok(())
            }
            Kind::Udp(udp) => self.set_udp_options(udp, &options),
            Kind::Fresh | Kind::Listening(_) | Kind::Ended(_) | Kind::Echo(_) => Ok(()),
        }
    }
}
