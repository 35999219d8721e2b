//! wharf's own programs on the host's TCP stack: HTTP by the site of `wharf serve`, or by the
//! server without a library. The same code on the same runtime, so that what differs is the stack.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use bench_wharf::plain;
use tokio::net::{TcpListener, TcpSocket};
use wharf::app::dashboard::Status;
use wharf::app::http::{router, Site};
use wharf::app::server::serve_http;
use wharf::app::stop::Stop;
use wharf::{ConnectionInfo, Counters, Totals};

const BACKLOG: u32 = 16_384;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |key: &str| words.iter().skip_while(|word| *word != key).nth(1);
    let addr: Ipv4Addr = value("--addr").ok_or("--addr IP is missing")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = listen(addr)?;
        match value("--http").map(String::as_str) {
            Some("plain") => serve_plain(listener).await?,
            Some("axum") => serve_axum(listener).await,
            other => return Err(format!("--http plain or axum, and not {other:?}").into()),
        }
        Ok(())
    })
}

fn listen(addr: Ipv4Addr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?; // What is accepted inherits it.
    socket.bind(SocketAddrV4::new(addr, 80).into())?;
    socket.listen(BACKLOG)
}

async fn serve_plain(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let _ = plain::serve(stream).await; // Peers may end as they like.
        });
    }
}

async fn serve_axum(listener: TcpListener) {
    let stop = Stop::new();
    serve_http(listener, router(Site::new(Arc::new(Nothing), stop.clone())), &stop).await;
}

/// No stack of wharf's runs here, of which the live page could tell.
struct Nothing;

impl Status for Nothing {
    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn totals(&self) -> Totals {
        Totals::default()
    }

    fn connections(&self, _max: usize) -> Vec<ConnectionInfo> {
        Vec::new()
    }
}
