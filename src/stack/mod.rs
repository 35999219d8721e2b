//! The public sans-IO object. (Skeleton: signatures that the other layers are written against.)
use crate::config::{ConfigError, StackConfig};
use crate::error::SocketError;
use crate::observe::{Observer, TcpState};
use crate::packet::{Frame, Outgoing};
use crate::rng::Seed;
use crate::tcp::TcpInfo;
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

crate::collections::new_key_type! {
    /// A socket: valid until `close`, then refused as `BadHandle` for ever.
    pub struct SocketId;
}

/// What a socket is ready for, as poll(2) means it. Level-triggered: derived from state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness(u8);
impl Readiness {
    /// `read`/`accept`/`recv_from` would not block (data, end of file, error or a connection waits).
    pub const READABLE: Self = Self(1);
    /// `write`/`send_to` would not block (room, or an error to report); a connect has finished.
    pub const WRITABLE: Self = Self(2);
    /// The peer sends no more (its FIN was reached, or the connection is over).
    pub const READ_CLOSED: Self = Self(4);
    /// We can send no more.
    pub const WRITE_CLOSED: Self = Self(8);
    /// An error waits to be taken.
    pub const ERROR: Self = Self(16);
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which directions `shutdown` closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    Read,
    Write,
    Both,
}

/// Options of a socket that can be read and set at any time (set_options takes effect as far as each one still can).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketOptions {
    /// TCP_NODELAY: Nagle off. false
    pub nodelay: bool,
    /// IP_TTL. 64
    pub ttl: u8,
    /// IP_TOS (DSCP; the two ECN bits are TCP's own). 0
    pub tos: u8,
    /// SO_LINGER: `Some(ZERO)` makes close reset. A positive time is honoured by blocking sockets' close. None
    pub linger: Option<Duration>,
    /// SO_RCVBUF / SO_SNDBUF, octets; before connect/listen. 256 KiB
    pub receive_buffer: u32,
    pub send_buffer: u32,
    /// SO_REUSEADDR: bind although a connection in TIME-WAIT has the port. true for listeners as std does
    pub reuse_address: bool,
    /// SO_BROADCAST (UDP). false
    pub broadcast: bool,
    /// Listener takes connections to any destination address (needs InterfaceConfig::any_destination). false
    pub any_destination: bool,
}

/// One connection, for `ss` and /api/connections.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: TcpState,
    /** None for half-open and TIME-WAIT records */
    pub info: Option<TcpInfo>,
}

/// An echo reply (ping).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoReply {
    pub source: std::net::IpAddr,
    pub sequence: u16,
    pub ttl: u8,
    pub len: usize,
}

/// The stack.
#[derive(Debug)]
pub struct Stack {}

impl Stack {
    pub fn new(config: StackConfig, seed: Seed) -> Result<Self, ConfigError> {
        todo!()
    }

    // ---- the one contract: feed any number of inputs, then transmit until None, then wait until next_timeout
    /// A packet arrived at `now` (stamped when it was read from the device).
    pub fn receive(&mut self, now: Instant, frame: Frame, observer: &mut dyn Observer) {
        todo!()
    }
    /// The next packet to send; `None` when nothing is left.
    pub fn transmit(&mut self, now: Instant, observer: &mut dyn Observer) -> Option<Outgoing> {
        todo!()
    }
    /// When `on_timeout` next has something to do; may be in the past.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        todo!()
    }
    /// Runs what is due.
    pub fn on_timeout(&mut self, now: Instant, observer: &mut dyn Observer) {
        todo!()
    }
    /// A socket whose readiness may have changed since it was last returned here (dirty list); ask `readiness`.
    pub fn poll_event(&mut self) -> Option<SocketId> {
        todo!()
    }

    // ---- sockets; every call that may make something to send is followed by `transmit`
    pub fn tcp_socket(&mut self) -> Result<SocketId, SocketError> {
        todo!()
    }
    pub fn udp_socket(&mut self) -> Result<SocketId, SocketError> {
        todo!()
    }
    /// A socket that sends echo requests and receives their replies (ping).
    pub fn echo_socket(&mut self) -> Result<SocketId, SocketError> {
        todo!()
    }
    pub fn bind(&mut self, socket: SocketId, addr: SocketAddr) -> Result<(), SocketError> {
        todo!()
    }
    pub fn listen(&mut self, socket: SocketId, backlog: u32) -> Result<(), SocketError> {
        todo!()
    }
    /// `WouldBlock` when nobody waits. The new socket and its peer.
    pub fn accept(
        &mut self,
        now: Instant,
        socket: SocketId,
    ) -> Result<(SocketId, SocketAddr), SocketError> {
        todo!()
    }
    /// TCP: `Err(InProgress)` the first time, as connect(2); done when readiness says WRITABLE: then take_error tells. UDP: sets the peer, Ok.
    pub fn connect(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
    ) -> Result<(), SocketError> {
        todo!()
    }
    /// Ok(0): end of file (or an empty buffer).
    pub fn read(
        &mut self,
        now: Instant,
        socket: SocketId,
        buffer: &mut [u8],
    ) -> Result<usize, SocketError> {
        todo!()
    }
    pub fn peek(&mut self, socket: SocketId, buffer: &mut [u8]) -> Result<usize, SocketError> {
        todo!()
    }
    pub fn write(
        &mut self,
        now: Instant,
        socket: SocketId,
        octets: &[u8],
    ) -> Result<usize, SocketError> {
        todo!()
    }
    pub fn shutdown(
        &mut self,
        now: Instant,
        socket: SocketId,
        how: Shutdown,
    ) -> Result<(), SocketError> {
        todo!()
    }
    /// Gives the handle up. TCP: closes in the background; unread data or linger 0 resets. Listener: resets its children.
    pub fn close(&mut self, now: Instant, socket: SocketId) {
        todo!()
    }
    /// UDP and echo: octets sent. `to` None: the connected peer.
    pub fn send_to(
        &mut self,
        now: Instant,
        socket: SocketId,
        octets: &[u8],
        to: Option<SocketAddr>,
    ) -> Result<usize, SocketError> {
        todo!()
    }
    /// UDP: copies one datagram, cut to the buffer. Returns (octets copied, sender).
    pub fn recv_from(
        &mut self,
        socket: SocketId,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr), SocketError> {
        todo!()
    }
    pub fn peek_from(
        &mut self,
        socket: SocketId,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr), SocketError> {
        todo!()
    }
    /// Echo socket: sends a request.
    pub fn send_echo(
        &mut self,
        now: Instant,
        socket: SocketId,
        to: std::net::IpAddr,
        sequence: u16,
        data: &[u8],
    ) -> Result<(), SocketError> {
        todo!()
    }
    pub fn recv_echo(&mut self, socket: SocketId) -> Result<EchoReply, SocketError> {
        todo!()
    }

    pub fn readiness(&self, socket: SocketId) -> Readiness {
        todo!()
    }
    /// SO_ERROR: the pending error, once.
    pub fn take_error(&mut self, socket: SocketId) -> Result<Option<SocketError>, SocketError> {
        todo!()
    }
    pub fn local_addr(&self, socket: SocketId) -> Result<SocketAddr, SocketError> {
        todo!()
    }
    pub fn peer_addr(&self, socket: SocketId) -> Result<SocketAddr, SocketError> {
        todo!()
    }
    pub fn options(&self, socket: SocketId) -> Result<SocketOptions, SocketError> {
        todo!()
    }
    pub fn set_options(
        &mut self,
        socket: SocketId,
        options: SocketOptions,
    ) -> Result<(), SocketError> {
        todo!()
    }
    /// Octets written and not yet acknowledged (SIOCOUTQ); for close with linger.
    pub fn unacknowledged(&self, socket: SocketId) -> Result<u32, SocketError> {
        todo!()
    }
    pub fn info(&self, socket: SocketId) -> Result<TcpInfo, SocketError> {
        todo!()
    }
    /// All connections, in slab order. Walks them all: for people, not for the data path.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        todo!()
    }
    /// How many connections still have something to do without a socket (orphans): the runtime lingers for them when it stops. TIME-WAIT does not count.
    pub fn orphans(&self) -> usize {
        todo!()
    }
    /// Every connection is reset, every socket gets `error` (device gone: NetworkDown; shutdown: Aborted). RSTs come out of `transmit`.
    pub fn abort_all(&mut self, error: SocketError) {
        todo!()
    }
    /// Stops listening everywhere (serve's Ctrl-C): new SYNs get RST, established connections go on.
    pub fn stop_listening(&mut self) {
        todo!()
    }
}
