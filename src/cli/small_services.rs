//! What `--small-services` adds to `wharf serve`: echo, discard and chargen on TCP and UDP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Failure;
use crate::Net;
use crate::app::server::accept_each;
use crate::app::stop::{Guard, Stop};
use crate::app::{chargen, discard, echo};
use crate::tokio::{TcpKeepalive, TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Ports of RFC 862, RFC 863 and RFC 864.
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;

/// A peer that has vanished is given up after 4 minutes of silence: else it would hold its
/// connection for ever, since a service that waits sends nothing that goes unanswered.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(2))
    .with_interval(Duration::from_secs(30))
    .with_retries(4);

/// Connections to one listener that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// All of them.
pub(super) const PORTS: [u16; 3] = [ECHO, DISCARD, CHARGEN];

/// The sockets of the three services, which are not served yet.
#[derive(Debug)]
pub(super) struct SmallServices {
    echo: Sockets,
    discard: Sockets,
    chargen: Sockets,
}

/// Both sockets of one service; that for datagrams only where they arrive.
#[derive(Debug)]
struct Sockets {
    streams: TcpListener,
    datagrams: Option<UdpSocket>,
}

impl Sockets {
    async fn bind(shard: &Net, index: usize, addr: Ipv4Addr, port: u16) -> Result<Self, Failure> {
        let addr = SocketAddr::from((addr, port));
        let streams = listen(shard, addr, |_| Ok(()))?;
        if shard.udp_shard(port) != index {
            return Ok(Self { streams, datagrams: None });
        }
        let datagrams = UdpSocket::bind(shard, addr)
            .await
            .map_err(|error| Failure::runtime(format_args!("cannot bind UDP {addr}: {error}")))?;
        Ok(Self { streams, datagrams: Some(datagrams) })
    }
}

/// A listener, with more options by `set`. What it accepts inherits them, and is asked for signs of
/// life ([`KEEPALIVE`]).
pub(super) fn listen(
    net: &Net,
    addr: SocketAddr,
    set: impl FnOnce(&TcpSocket) -> io::Result<()>,
) -> Result<TcpListener, Failure> {
    let listen = || {
        let socket = TcpSocket::new_v4(net)?;
        socket.set_reuseaddr(true)?;
        socket.set_tcp_keepalive(&KEEPALIVE)?;
        set(&socket)?;
        socket.bind(addr)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| Failure::runtime(format_args!("cannot listen on {addr}: {error}")))
}

impl SmallServices {
    /// Binds all sockets of the shard `index`.
    pub(super) async fn bind(shard: &Net, index: usize, addr: Ipv4Addr) -> Result<Self, Failure> {
        Ok(Self {
            echo: Sockets::bind(shard, index, addr, ECHO).await?,
            discard: Sockets::bind(shard, index, addr, DISCARD).await?,
            chargen: Sockets::bind(shard, index, addr, CHARGEN).await?,
        })
    }

    /// Serves them until `stop` begins.
    pub(super) fn start(self, stop: &Stop) {
        let Self { echo, discard, chargen } = self;
        serve_streams(echo.streams, stop, "echo", |stream, _| async {
            echo::serve_stream(stream).await.map(drop)
        });
        serve_streams(discard.streams, stop, "discard", |stream, _| async {
            discard::serve_stream(stream).await.map(drop)
        });
        serve_streams(chargen.streams, stop, "chargen", chargen::serve_stream);
        serve_datagrams(stop, "echo", echo.datagrams.map(echo::serve_datagrams));
        serve_datagrams(stop, "discard", discard.datagrams.map(discard::serve_datagrams));
        serve_datagrams(stop, "chargen", chargen.datagrams.map(chargen::serve_datagrams));
    }
}

fn serve_streams<S, F>(listener: TcpListener, stop: &Stop, name: &'static str, serve: S)
where
    S: Fn(TcpStream, Guard) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let stop = stop.clone();
    tokio::spawn(async move {
        let serve = |stream, guard| {
            let service = serve(stream, guard);
            async move {
                if let Err(error) = service.await {
                    log::debug!("a connection to {name} ended early: {error}");
                }
            }
        };
        accept_each(listener, &stop, serve).await;
    });
}

/// Until the stop begins: there is nothing to finish.
fn serve_datagrams(
    stop: &Stop,
    name: &'static str,
    service: Option<impl Future<Output = io::Result<()>> + Send + 'static>,
) {
    let Some(service) = service else { return };
    let mut stopping = stop.guard();
    tokio::spawn(async move {
        tokio::select! {
            outcome = service => if let Err(error) = outcome {
                // Only the end of the stack does this, and that is somebody else's to report.
                log::info!("{name} over UDP is no longer served: {error}");
            },
            () = stopping.begun() => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Link, StackConfig};

    #[tokio::test]
    async fn who_is_served_is_asked_for_signs_of_life() {
        let (near, far) = Link::pair(1500);
        let net = |device, addr: &str| {
            let (net, driver) =
                Net::driver(device, StackConfig::new(addr.parse().unwrap())).unwrap();
            tokio::spawn(driver);
            net
        };
        let (server, client) = (net(near, "10.7.0.2/24"), net(far, "10.7.0.1/24"));
        let addr = "10.7.0.2:7".parse().unwrap();
        let listener = listen(&server, addr, |_| Ok(())).unwrap();
        let (accepted, _there) =
            tokio::try_join!(listener.accept(), TcpStream::connect(&client, addr)).unwrap();
        let (stream, _) = accepted;
        assert!(stream.keepalive().unwrap());
        assert_eq!(stream.tcp_keepalive_time().unwrap(), Duration::from_mins(2));
    }
}
