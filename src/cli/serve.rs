//! `wharf serve`: the applications on a TUN device.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;

use super::Failure;
use super::device::DeviceArgs;
use super::signals::Signals;
use crate::Net;
use crate::app::http::{Site, router};
use crate::app::server::{accept_each, serve_http};
use crate::app::stop::{Guard, Stop};
use crate::app::{chargen, discard, echo};
use crate::tokio::{TcpListener, TcpStream, UdpSocket};

/// How long applications may take to finish after a signal, and then connections to close: 5 s
/// together.
const FINISH_TIMEOUT: Duration = Duration::from_millis(4500);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Ports of RFC 862, RFC 863 and RFC 864.
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// Queues of the device, each with a thread of its own; more than 1 is not built yet
    #[arg(long, default_value = "1", value_name = "N")]
    queues: NonZeroU16,

    /// Port of the HTTP server
    #[arg(long, default_value = "80", value_name = "PORT")]
    http: NonZeroU16,

    /// Serve echo (port 7), discard (9) and chargen (19) on TCP and UDP too
    #[arg(long)]
    small_services: bool,

    /// Congestion control; only reno is built yet
    #[arg(long, default_value = "reno", value_name = "ALGORITHM")]
    congestion: Congestion,

    /// Answer `wharf ss` on this socket (not built yet)
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Congestion {
    Cubic,
    Reno,
    Bbr,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.check()?;
        self.device.run(CLOSE_TIMEOUT, |net| self.serve(net))
    }

    /// Refuses what cannot be, before anything is opened.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.queues.get() != 1 {
            return Err(Failure::not_built("`--queues` other than 1"));
        }
        match self.congestion {
            Congestion::Reno => {}
            Congestion::Cubic => return Err(Failure::not_built("`--congestion cubic`")),
            Congestion::Bbr => return Err(Failure::not_built("`--congestion bbr`")),
        }
        if self.control.is_some() {
            return Err(Failure::not_built("`--control`"));
        }
        self.device.config().map(drop)
    }

    async fn serve(&self, net: Net) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let stop = Stop::new();
        self.start_http(&net, &stop).await?;
        if self.small_services {
            self.start_small_services(&net, &stop).await?;
        }
        self.say_ready()?;

        signals.next().await;
        // Whoever asks twice wants no grace.
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(1);
        });
        if !stop.finish(FINISH_TIMEOUT).await {
            log::info!("some connections did not finish in time");
        }
        Ok(())
    }

    async fn start_http(&self, net: &Net, stop: &Stop) -> Result<(), Failure> {
        let listener = self.listen(net, self.http.get()).await?;
        // A response leaves at once, whatever of the one before it is still on its way.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                log::debug!("a connection ended before it was served: {error}");
            }
        });
        let site = Site::new(Arc::new(net.clone()), stop.clone());
        let stop = stop.clone();
        tokio::spawn(async move { serve_http(listener, router(site), &stop).await });
        Ok(())
    }

    async fn start_small_services(&self, net: &Net, stop: &Stop) -> Result<(), Failure> {
        self.start_streams(net, stop, ECHO, |stream, _| async {
            echo::serve_stream(stream).await.map(drop)
        })
        .await?;
        self.start_streams(net, stop, DISCARD, |stream, _| async {
            discard::serve_stream(stream).await.map(drop)
        })
        .await?;
        self.start_streams(net, stop, CHARGEN, chargen::serve_stream).await?;
        let (echo, discard, chargen) = (
            self.bind(net, ECHO).await?,
            self.bind(net, DISCARD).await?,
            self.bind(net, CHARGEN).await?,
        );
        start_datagrams(stop, ECHO, echo::serve_datagrams(echo));
        start_datagrams(stop, DISCARD, discard::serve_datagrams(discard));
        start_datagrams(stop, CHARGEN, chargen::serve_datagrams(chargen));
        Ok(())
    }

    async fn start_streams<S, F>(
        &self,
        net: &Net,
        stop: &Stop,
        port: u16,
        serve: S,
    ) -> Result<(), Failure>
    where
        S: Fn(TcpStream, Guard) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = self.listen(net, port).await?;
        let stop = stop.clone();
        tokio::spawn(async move {
            let serve = |stream, guard| {
                let service = serve(stream, guard);
                async move {
                    if let Err(error) = service.await {
                        log::debug!("a connection to port {port} ended early: {error}");
                    }
                }
            };
            accept_each(listener, &stop, serve).await;
        });
        Ok(())
    }

    async fn listen(&self, net: &Net, port: u16) -> Result<TcpListener, Failure> {
        let addr = self.address(port);
        TcpListener::bind(net, addr)
            .await
            .map_err(|error| Failure::runtime(format_args!("cannot listen on {addr}: {error}")))
    }

    async fn bind(&self, net: &Net, port: u16) -> Result<UdpSocket, Failure> {
        let addr = self.address(port);
        UdpSocket::bind(net, addr)
            .await
            .map_err(|error| Failure::runtime(format_args!("cannot bind UDP {addr}: {error}")))
    }

    fn address(&self, port: u16) -> SocketAddr {
        (self.device.addr.addr(), port).into()
    }

    /// The one line on standard output: scripts wait for it.
    fn say_ready(&self) -> Result<(), Failure> {
        let addr = self.device.addr.addr();
        let port = match self.http.get() {
            80 => String::new(),
            port => format!(":{port}"),
        };
        let mut output = io::stdout().lock();
        writeln!(output, "ready http://{addr}{port}/").and_then(|()| output.flush()).map_err(
            |error| Failure::runtime(format_args!("cannot write to standard output: {error}")),
        )
    }
}

/// Serves datagrams until the stop begins: there is nothing to finish.
fn start_datagrams(
    stop: &Stop,
    port: u16,
    service: impl Future<Output = io::Result<()>> + Send + 'static,
) {
    let mut stopping = stop.guard();
    tokio::spawn(async move {
        tokio::select! {
            outcome = service => if let Err(error) = outcome {
                log::warn!("UDP port {port} is no longer served: {error}");
            },
            () = stopping.begun() => {}
        }
    });
}
