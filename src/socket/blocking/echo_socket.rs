//! A socket for echo requests (ping).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::runtime::{Direction, Net};
use crate::socket::SocketCore;
use crate::stack::{EchoReply, Stack};
use crate::time::Duration;

/// A socket that sends ICMP echo requests and receives their replies, as Linux's
/// `socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)`. It has an identifier of its own, so that several
/// may ping at once.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use wharf::net::EchoSocket;
///
/// # fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let socket = EchoSocket::open(net)?;
/// socket.set_read_timeout(Some(Duration::from_secs(1)))?;
/// socket.send_to([10, 7, 0, 1].into(), 1, b"are you there?")?;
/// let reply = socket.recv()?;
/// println!("{} octets from {}", reply.len, reply.source);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EchoSocket {
    core: Arc<SocketCore>,
}

impl EchoSocket {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// ENOBUFS when the stack's limits are reached.
    pub fn open(net: &Net) -> io::Result<Self> {
        let core = SocketCore::open(&net.shard(0), Stack::echo_socket)?;
        let core = Arc::new(core);
        Ok(Self { core })
    }

    /// Sends a request with `data` in it.
    ///
    /// # Errors
    ///
    /// EMSGSIZE if it does not fit into one packet; `HostUnreachable`, `NetworkUnreachable`.
    pub fn send_to(&self, to: IpAddr, sequence: u16, data: &[u8]) -> io::Result<()> {
        let id = self.core.id();
        self.core.block(Direction::Write, |shard, now| {
            shard.running()?.send_echo(now, id, to, sequence, data)
        })
    }

    /// Waits for a reply.
    ///
    /// # Errors
    ///
    /// `WouldBlock` in nonblocking mode or after the timeout.
    pub fn recv(&self) -> io::Result<EchoReply> {
        let id = self.core.id();
        self.core.block(Direction::Read, |shard, _| shard.stack.recv_echo(id))
    }

    /// How long receiving waits before it fails as `WouldBlock`; `None`, for ever, at first.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time of zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.core.set_timeout(Direction::Read, timeout)
    }

    /// How long receiving waits.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.core.timeout(Direction::Read))
    }

    /// IP_TTL of the requests; 64 at first.
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

    /// Whether calls that would wait fail as `WouldBlock` instead; off at first.
    ///
    /// # Errors
    ///
    /// None; a `Result` as that of the other sockets.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.core.set_nonblocking(nonblocking);
        Ok(())
    }
}
