//! A listener for TCP connections, as `tokio::net::TcpListener`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::{ToSocketAddrs, lookup_host};

use crate::runtime::Net;
use crate::socket::options::{socket_options, tcp_options};
use crate::socket::tokio::TcpStream;
use crate::socket::{Replicas, no_addresses};
#[cfg(feature = "axum")]
use crate::time::{Duration, Instant};

/// A listener for TCP connections, for tasks, as
/// [`::tokio::net::TcpListener`].
///
/// Of a stack with several shards it accepts from all in turn, and that of [`Net::shard`] only what
/// its shard carries.
///
/// With feature `axum` it is what `axum::serve` takes. Dropping it closes it: connections that
/// nobody has accepted are reset.
///
/// # Examples
///
/// ```no_run
/// use wharf::tokio::TcpListener;
///
/// # async fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let listener = TcpListener::bind(net, "0.0.0.0:7").await?;
/// loop {
///     let (mut stream, _) = listener.accept().await?;
///     tokio::spawn(async move {
///         let (mut read, mut write) = stream.split();
///         tokio::io::copy(&mut read, &mut write).await
///     });
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    core: Arc<Replicas>,
    /// When a lack of memory was last logged.
    #[cfg(feature = "axum")]
    complained: Option<Instant>,
}

socket_options!(TcpListener);
tcp_options!(TcpListener);

impl TcpListener {
    /// Listens at the first of the addresses that can be had; port 0 takes a free one. As
    /// tokio's, it may take a port of which connections are in TIME-WAIT (SO_REUSEADDR).
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `AddrNotAvailable` if the address is not ours.
    pub async fn bind(net: &Net, addr: impl ToSocketAddrs) -> io::Result<Self> {
        let addrs: Vec<SocketAddr> = lookup_host(addr).await?.collect();
        if addrs.is_empty() {
            return Err(no_addresses());
        }
        crate::net::TcpListener::bind(net, addrs.as_slice()).map(Self::from)
    }

    pub(crate) fn new(core: Arc<Replicas>) -> Self {
        Self {
            core,
            #[cfg(feature = "axum")]
            complained: None,
        }
    }

    /// Waits for the next connection, and tells who the peer is.
    ///
    /// # Errors
    ///
    /// ENOBUFS when the stack's limits are reached, and the end of the stack.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has accepted nothing: no connection is lost.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (core, peer) = self.core.accept_async().await?;
        Ok((TcpStream::new(Arc::new(core)), peer))
    }

    /// As [`TcpListener::accept`]; only the last task that polled is woken.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (core, peer) = ready!(self.core.poll_accept(cx))?;
        Poll::Ready(Ok((TcpStream::new(Arc::new(core)), peer)))
    }

    /// The address that it listens at.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.local_addr()
    }

    /// IP_TTL, for the listener and the connections that it will accept.
    ///
    /// # Errors
    ///
    /// `InvalidInput` unless it is from 1 to 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.core.set_ttl(ttl)
    }

    /// IP_TTL.
    pub fn ttl(&self) -> io::Result<u32> {
        self.core.option(|options| options.ttl.into())
    }
}

/// The same listener, for tasks.
impl From<crate::net::TcpListener> for TcpListener {
    fn from(listener: crate::net::TcpListener) -> Self {
        Self::new(listener.into_core())
    }
}

/// The same listener, for blocking calls.
impl From<TcpListener> for crate::net::TcpListener {
    fn from(listener: TcpListener) -> Self {
        Self::new(listener.core)
    }
}

/// For `axum::serve`. A lack of memory is waited out, as axum does with the kernel's, while the
/// shards that have some accept on; after the stack's end there is no next connection, so that
/// `accept` waits for ever and leaves it to the server's shutdown signal to end.
#[cfg(feature = "axum")]
impl axum::serve::Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        /// How long axum waits after an error that will not go away by itself.
        const PAUSE: Duration = Duration::from_secs(1);
        loop {
            match Self::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) => match error.raw_os_error() {
                    // Of a connection that died while it waited: the next one is there or not.
                    Some(libc::ECONNABORTED | libc::ECONNRESET | libc::ECONNREFUSED)
                        if self.is_alive() => {}
                    Some(libc::ENOBUFS) => {
                        self.complain(&error, PAUSE);
                        // Other shards may have room.
                        let elsewhere = self.core.accept_where_possible();
                        if let Ok((core, peer)) = tokio::time::timeout(PAUSE, elsewhere).await {
                            return (TcpStream::new(Arc::new(core)), peer);
                        }
                    }
                    _ => {
                        log::debug!(target: "wharf", "accept: {error}");
                        std::future::pending::<()>().await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Self::local_addr(self)
    }
}

#[cfg(feature = "axum")]
impl TcpListener {
    /// Logs the error, but not for each connection that another shard has meanwhile.
    fn complain(&mut self, error: &io::Error, pause: Duration) {
        let now = self.core.first().net().shared().now();
        if self.complained.is_none_or(|last| now - last >= pause) {
            log::error!(target: "wharf", "accept: {error}");
            self.complained = Some(now);
        }
    }

    /// Whether the stack still runs.
    fn is_alive(&self) -> bool {
        self.core.first().net().shared().ask(|shard, _| !shard.is_over())
    }
}
