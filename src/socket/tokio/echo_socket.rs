//! A socket for echo requests (ping), for tasks.

use std::io;
use std::net::IpAddr;

use crate::runtime::{Direction, Net};
use crate::socket::SocketCore;
use crate::stack::{EchoReply, Stack};

/// A socket that sends ICMP echo requests and receives their replies, for tasks. It has an
/// identifier of its own, so that several may ping at once.
///
/// # Examples
///
/// ```no_run
/// use wharf::tokio::EchoSocket;
///
/// # async fn example(net: &wharf::Net) -> std::io::Result<()> {
/// let socket = EchoSocket::open(net)?;
/// socket.send_to([10, 7, 0, 1].into(), 1, b"are you there?").await?;
/// let reply = socket.recv().await?;
/// println!("{} octets from {}", reply.len, reply.source);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EchoSocket {
    core: SocketCore,
}

impl EchoSocket {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// ENOBUFS when the stack's limits are reached.
    pub fn open(net: &Net) -> io::Result<Self> {
        let core = SocketCore::open(&net.shard(0), Stack::echo_socket)?;
        Ok(Self { core })
    }

    /// Sends a request with `data` in it.
    ///
    /// # Errors
    ///
    /// EMSGSIZE if it does not fit into one packet; `HostUnreachable`, `NetworkUnreachable`.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has sent nothing.
    pub async fn send_to(&self, to: IpAddr, sequence: u16, data: &[u8]) -> io::Result<()> {
        let id = self.core.id();
        self.core
            .operation(Direction::Write, |shard, now| {
                shard.running()?.send_echo(now, id, to, sequence, data)
            })
            .await
    }

    /// Waits for a reply.
    ///
    /// # Errors
    ///
    /// The end of the stack.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has received nothing.
    pub async fn recv(&self) -> io::Result<EchoReply> {
        let id = self.core.id();
        self.core.operation(Direction::Read, |shard, _| shard.stack.recv_echo(id)).await
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
}
