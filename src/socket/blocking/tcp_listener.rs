//! A listener for TCP connections, as `std::net::TcpListener`.

use std::io;
use std::iter::FusedIterator;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use crate::runtime::Net;
use crate::socket::blocking::TcpStream;
use crate::socket::options::{socket_options, tcp_options};
use crate::socket::{Replicas, each_addr};

/// How many connections may wait to be accepted, unless [`crate::TcpConfig`] allows fewer.
/// 4096, as Linux's `somaxconn`.
pub(crate) const BACKLOG: u32 = 4096;

/// A listener for TCP connections whose calls block, as [`std::net::TcpListener`].
///
/// Of a stack with several shards it accepts from all in turn, and that of [`Net::shard`] only what
/// its shard carries.
///
/// Dropping the last clone closes it: connections that nobody has accepted are reset.
///
/// # Examples
///
/// ```no_run
/// use wharf::net::TcpListener;
///
/// # fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let listener = TcpListener::bind(net, "0.0.0.0:7")?;
/// for stream in listener.incoming() {
///     let stream = stream?;
///     std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TcpListener {
    core: Arc<Replicas>,
}

socket_options!(TcpListener);
tcp_options!(TcpListener);

impl TcpListener {
    /// Listens at the first of the addresses that can be had; port 0 takes a free one. As std's,
    /// it may take a port of which connections are in TIME-WAIT (SO_REUSEADDR).
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `AddrNotAvailable` if the address is not ours.
    pub fn bind(net: &Net, addr: impl ToSocketAddrs) -> io::Result<Self> {
        each_addr(addr, |addr| {
            let core = Replicas::open(net)?;
            core.set_option(|options| options.reuse_address = true)?;
            core.bind(addr)?;
            core.listen(BACKLOG)?;
            Ok(Self::new(Arc::new(core)))
        })
    }

    pub(crate) fn new(core: Arc<Replicas>) -> Self {
        Self { core }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn into_core(self) -> Arc<Replicas> {
        self.core
    }

    /// The address that it listens at.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.core.local_addr()
    }

    /// Another handle to the same listener: any number of threads may accept.
    ///
    /// # Errors
    ///
    /// None; a `Result` since std's is one.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.core.clone()))
    }

    /// Waits for the next connection, and tells who the peer is.
    ///
    /// # Errors
    ///
    /// `WouldBlock` in nonblocking mode; ENOBUFS when the stack's limits are reached; and the end
    /// of the stack.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (core, peer) = self.core.accept()?;
        Ok((TcpStream::new(Arc::new(core)), peer))
    }

    /// All connections, one after the other, without an end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
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

    /// The error that waits to be told (SO_ERROR), and clears it.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.core.take_error()
    }

    /// Whether accepting fails as `WouldBlock` when nobody waits; off at first.
    ///
    /// # Errors
    ///
    /// None; a `Result` since std's is one.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.core.first().set_nonblocking(nonblocking);
        Ok(())
    }
}

/// The connections of a listener, as [`std::net::Incoming`]. Never ends.
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}
