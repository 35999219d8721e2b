//! A TCP socket that is neither connected nor listening yet, as `tokio::net::TcpSocket`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::runtime::Net;
use crate::socket::SocketCore;
use crate::socket::tokio::{TcpListener, TcpStream};
use crate::stack::Stack;
use crate::time::Duration;

/// A TCP socket to be set up before it connects or listens, as
/// [`::tokio::net::TcpSocket`].
///
/// # Examples
///
/// ```no_run
/// use wharf::tokio::TcpSocket;
///
/// # async fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let socket = TcpSocket::new_v4(net)?;
/// socket.set_recv_buffer_size(4 << 20)?;
/// socket.bind("10.7.0.2:5000".parse().unwrap())?;
/// let stream = socket.connect("10.7.0.1:80".parse().unwrap()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    core: SocketCore,
}

impl TcpSocket {
    /// Makes a socket for IPv4.
    ///
    /// # Errors
    ///
    /// ENOBUFS when the stack's limits are reached.
    pub fn new_v4(net: &Net) -> io::Result<Self> {
        let core = SocketCore::open(net, Stack::tcp_socket)?;
        // Off for a new socket as the kernel's is; a listener made in one step has it on.
        core.set_option(|options| options.reuse_address = false)?;
        Ok(Self { core })
    }

    /// SO_REUSEADDR: whether it may bind to a port of which connections are in TIME-WAIT. Off at
    /// first.
    pub fn set_reuseaddr(&self, reuseaddr: bool) -> io::Result<()> {
        self.core.set_option(|options| options.reuse_address = reuseaddr)
    }

    /// SO_REUSEADDR.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.core.option(|options| options.reuse_address)
    }

    /// TCP_NODELAY: sends small segments at once (Nagle's algorithm off). Off at first.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.core.set_option(|options| options.nodelay = nodelay)
    }

    /// TCP_NODELAY.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.core.option(|options| options.nodelay)
    }

    /// SO_RCVBUF: how many octets wait for the application to read them; those that a listener
    /// accepts get the same.
    pub fn set_recv_buffer_size(&self, octets: u32) -> io::Result<()> {
        self.core.set_option(|options| options.receive_buffer = octets)
    }

    /// SO_RCVBUF.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        self.core.option(|options| options.receive_buffer)
    }

    /// SO_SNDBUF: how many octets wait for the peer to acknowledge them; those that a listener
    /// accepts get the same.
    pub fn set_send_buffer_size(&self, octets: u32) -> io::Result<()> {
        self.core.set_option(|options| options.send_buffer = octets)
    }

    /// SO_SNDBUF.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        self.core.option(|options| options.send_buffer)
    }

    /// SO_LINGER; see [`TcpStream::set_linger`].
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.core.set_option(|options| options.linger = linger)
    }

    /// SO_LINGER.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.core.option(|options| options.linger)
    }

    /// IP_TOS, of which the two ECN bits are TCP's own. 0 at first.
    pub fn set_tos_v4(&self, tos: u8) -> io::Result<()> {
        self.core.set_option(|options| options.tos = tos)
    }

    /// IP_TOS.
    pub fn tos_v4(&self) -> io::Result<u8> {
        self.core.option(|options| options.tos)
    }

    /// Whether a listener takes connections to any address, as a gateway does; the interface must
    /// allow it ([`crate::InterfaceConfig::any_destination`]). Off at first.
    pub fn set_any_destination(&self, any: bool) -> io::Result<()> {
        self.core.set_option(|options| options.any_destination = any)
    }

    /// Binds; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `AddrNotAvailable` if the address is not ours; `InvalidInput` the second
    /// time.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        self.core.bind(addr)
    }

    /// Our address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.local_addr()
    }

    /// The error that waits to be told (SO_ERROR), and clears it.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.take_error()
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect_core(self.core, addr).await
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the address has a listener already.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.core.listen(backlog)?;
        Ok(TcpListener::new(Arc::new(self.core)))
    }
}
