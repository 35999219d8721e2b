//! A TCP socket that is neither connected nor listening yet, as `tokio::net::TcpSocket`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::socket::Replicas;
use crate::socket::tcp_options::tcp_socket_options;
use crate::socket::tokio::{TcpListener, TcpStream};

/// A TCP socket to be set up before it connects or listens, as [`::tokio::net::TcpSocket`].
///
/// # Examples
///
/// ```no_run
/// use wharf::tokio::TcpSocket;
///
/// # async fn example(net: &wharf::Net) -> Result<(), Box<dyn std::error::Error>> {
/// let socket = TcpSocket::new_v4(net)?;
/// socket.set_recv_buffer_size(4 << 20)?;
/// socket.bind("10.7.0.2:5000".parse()?)?;
/// let stream = socket.connect("10.7.0.1:80".parse()?).await?;
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
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up.
    pub async fn connect(self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connected(self.core.start_connect(addr)?).await
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
