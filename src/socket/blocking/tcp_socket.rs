//! A TCP socket that is neither connected nor listening yet, whose calls block.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::socket::blocking::{TcpListener, TcpStream};
use crate::socket::tcp_options::tcp_socket_options;
use crate::socket::{Replicas, invalid};
use crate::time::Duration;

/// A TCP socket to be set up before it connects or listens: the twin of
/// `wharf::tokio::TcpSocket`, since [`std::net`] has none.
///
/// # Examples
///
/// ```no_run
/// use wharf::net::TcpSocket;
///
/// # fn example(net: &wharf::Net) -> Result<(), Box<dyn std::error::Error>> {
/// let socket = TcpSocket::new_v4(net)?;
/// socket.set_recv_buffer_size(4 << 20)?;
/// socket.bind("10.7.0.2:5000".parse()?)?;
/// let stream = socket.connect("10.7.0.1:80".parse()?)?;
///
/// let socket = TcpSocket::new_v4(net)?;
/// socket.set_reuseaddr(true)?;
/// socket.bind("0.0.0.0:7".parse()?)?;
/// let listener = socket.listen(128)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    core: Replicas,
}

tcp_socket_options!(TcpSocket);

impl TcpSocket {
    /// Connects.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`].
    pub fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connected(self.core.start_connect(addr)?, None)
    }

    /// Connects, and gives up after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect_timeout`].
    pub fn connect_timeout(self, addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(invalid("cannot set a 0 duration timeout"));
        }
        TcpStream::connected(self.core.start_connect(addr)?, Some(timeout))
    }

    /// Listens, with room for `backlog` connections that nobody has accepted yet: at least 1 and
    /// at most [`crate::TcpConfig::backlog_max`]. An unbound socket gets a free port.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if the address has a listener already.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.core.listen(backlog)?;
        Ok(TcpListener::new(Arc::new(self.core)))
    }
}
