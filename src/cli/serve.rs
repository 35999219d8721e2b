//! `wharf serve`: the applications on a TUN device.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Failure;
use super::device::DeviceArgs;
use super::signals::Signals;
use super::small_services::{self, SmallServices, listen};
use crate::Net;
use crate::app::http::{Routes, Site, router};
use crate::app::server::serve_http;
use crate::app::stop::Stop;
use crate::tokio::TcpListener;

/// How long applications may take to finish after a signal, and then connections to close: 5 s
/// together.
const FINISH_TIMEOUT: Duration = Duration::from_millis(4500);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// Queues of the device, 256 at most, each with a thread that serves its own connections
    #[arg(long, default_value = "1", value_name = "N")]
    queues: NonZeroU16,

    /// Port of the HTTP server
    #[arg(long, default_value = "80", value_name = "PORT")]
    http: NonZeroU16,

    /// Serve echo (port 7), discard (9) and chargen (19) on TCP and UDP too
    #[arg(long)]
    small_services: bool,

    /// Look for packets for so long before sleeping: faster answers for busier processors
    #[arg(long, default_value_t = 0, value_name = "MICROSECONDS")]
    busy_poll: u32,

    /// Let packets of a bulk sender gather for so long, 1000 at most; 0: do not
    #[arg(long, default_value_t = 60, value_name = "MICROSECONDS",
        value_parser = clap::value_parser!(u32).range(..=1000))]
    coalesce: u32,

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
        let [busy_poll, coalescing] =
            [self.busy_poll, self.coalesce].map(|micros| Duration::from_micros(micros.into()));
        match self.queues.get() {
            1 => self.device.run(CLOSE_TIMEOUT, |net| {
                net.set_busy_poll(busy_poll);
                net.set_coalescing(coalescing);
                self.serve(net, vec![Handle::current()])
            }),
            queues => self.device.run_shards(queues, CLOSE_TIMEOUT, |net, threads| {
                net.set_busy_poll(busy_poll);
                net.set_coalescing(coalescing);
                self.serve(net, threads)
            }),
        }
    }

    /// Refuses what cannot be, before anything is opened.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.congestion {
            Congestion::Reno => {}
            Congestion::Cubic => return Err(Failure::not_built("`--congestion cubic`")),
            Congestion::Bbr => return Err(Failure::not_built("`--congestion bbr`")),
        }
        if self.control.is_some() {
            return Err(Failure::not_built("`--control`"));
        }
        if self.small_services && small_services::PORTS.contains(&self.http.get()) {
            return Err(Failure::usage(format_args!(
                "--http {} is the port of one of --small-services: choose another",
                self.http
            )));
        }
        self.device.config().map(drop)
    }

    /// Serves the connections of each shard on the thread of its own.
    async fn serve(&self, net: Net, threads: Vec<Handle>) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let stop = Stop::new();
        // All that can fail comes before anything is served.
        let addr = self.device.addr.addr();
        let mut http = Vec::new();
        let mut small = Vec::new();
        for index in 0..threads.len() {
            let shard = net.shard(index);
            http.push(listen_http(&shard, (addr, self.http.get()).into())?);
            if self.small_services {
                small.push(SmallServices::bind(&shard, index, addr).await?);
            }
        }
        self.say_ready()?;
        let routes = router(Site::new(Arc::new(net.clone()), stop.clone()));
        let mut small = small.into_iter();
        for (thread, listener) in threads.iter().zip(http) {
            let _there = thread.enter();
            start_http(listener, routes.clone(), &stop);
            if let Some(small) = small.next() {
                small.start(&stop);
            }
        }

        signals.next().await;
        signals.end_at_next(&net);
        if !stop.finish(FINISH_TIMEOUT).await {
            log::info!("some connections did not finish in time");
        }
        Ok(())
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

/// A listener whose connections send small segments at once: a response leaves whatever of the one
/// before it is still on its way.
fn listen_http(net: &Net, addr: SocketAddr) -> Result<TcpListener, Failure> {
    listen(net, addr, |socket| socket.set_nodelay(true))
}

fn start_http(listener: TcpListener, routes: Routes, stop: &Stop) {
    let stop = stop.clone();
    tokio::spawn(async move { serve_http(listener, routes, &stop).await });
}
