//! What `--small-services` adds to `wharf serve`: echo, discard and chargen on TCP and UDP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::Failure;
use crate::Net;
use crate::app::server::accept_each;
use crate::app::stop::{Guard, Stop};
use crate::app::{chargen, discard, echo};
use crate::tokio::{TcpListener, TcpStream, UdpSocket};

/// Ports of RFC 862, RFC 863 and RFC 864.
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;

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
        let streams = TcpListener::bind(shard, addr).await;
        let streams = streams.map_err(|error| cannot_listen(addr, &error))?;
        if shard.udp_shard(port) != index {
            return Ok(Self { streams, datagrams: None });
        }
        let datagrams = UdpSocket::bind(shard, addr)
            .await
            .map_err(|error| Failure::runtime(format_args!("cannot bind UDP {addr}: {error}")))?;
        Ok(Self { streams, datagrams: Some(datagrams) })
    }
}

pub(super) fn cannot_listen(addr: SocketAddr, error: &io::Error) -> Failure {
    Failure::runtime(format_args!("cannot listen on {addr}: {error}"))
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
