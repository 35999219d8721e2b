//! The four services on userspace stacks that hand out tokio streams:
//! ipstack and netstack-smoltcp. HTTP is hyper's.

mod tun;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tun::Tun;

fn main() -> io::Result<()> {
    let (mut name, mut mtu, mut stack) = (String::from("tb0"), 1500usize, String::from("ipstack"));
    let v: Vec<String> = std::env::args().skip(1).collect();
    for w in v.chunks(2) {
        match w[0].as_str() {
            "--tun" => name = w[1].clone(),
            "--mtu" => mtu = w[1].parse().expect("--mtu"),
            "--stack" => stack = w[1].clone(),
            "--addr" | "--prefix" | "--peer" => {}
            other => panic!("unknown argument {other}"),
        }
    }
    let cores = std::thread::available_parallelism()?.get();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .enable_all()
        .build()?
        .block_on(async move {
            match stack.as_str() {
                "ipstack" => ipstack_run(&name, mtu).await,
                "netstack-smoltcp" => netstack_run(&name, mtu).await,
                other => panic!("no stack {other}"),
            }
        })
}

async fn ipstack_run(name: &str, mtu: usize) -> io::Result<()> {
    let mut cfg = ipstack::IpStackConfig::default();
    cfg.mtu(mtu as u16).map_err(io::Error::other)?;
    let mut tcp = ipstack::TcpConfig::default();
    tcp.timeout = std::time::Duration::from_secs(600);
    tcp.options = Some(vec![ipstack::TcpOptions::MaximumSegmentSize((mtu - 40) as u16)]);
    tcp.max_unacked_bytes = 1 << 20;
    tcp.read_buffer_size = 1 << 20;
    cfg.with_tcp_config(tcp);
    let mut stack = ipstack::IpStack::new(cfg, Tun::open(name)?);
    loop {
        match stack.accept().await.map_err(io::Error::other)? {
            ipstack::IpStackStream::Tcp(s) => {
                let port = s.peer_addr().port();
                tokio::spawn(service(s, port));
            }
            _ => continue,
        }
    }
}

async fn netstack_run(name: &str, mtu: usize) -> io::Result<()> {
    let (stack, runner, _, listener) = netstack_smoltcp::StackBuilder::default()
        .enable_tcp(true)
        .mtu(mtu)
        .tcp_recv_buffer_size(1 << 20)
        .tcp_send_buffer_size(1 << 20)
        .build()?;
    if let Some(r) = runner {
        tokio::spawn(r);
    }
    let mut listener = listener.expect("tcp is enabled");
    let (mut sink, mut stream) = stack.split();
    let dev = Arc::new(Tun::open(name)?);
    let out = dev.clone();
    tokio::spawn(async move {
        while let Some(Ok(p)) = stream.next().await {
            let _ = out.send(&p).await;
        }
    });
    tokio::spawn(async move {
        let mut buf = vec![0u8; 65536];
        while let Ok(n) = dev.recv(&mut buf).await {
            if sink.send(buf[..n].to_vec()).await.is_err() {
                break;
            }
        }
    });
    while let Some((s, local, remote)) = listener.next().await {
        // The names are the tunnel's: one of the two is the service's port.
        let port =
            if matches!(remote.port(), 7 | 9 | 19 | 80) { remote.port() } else { local.port() };
        tokio::spawn(service(s, port));
    }
    Ok(())
}

async fn service<S>(s: S, port: u16)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _ = match port {
        7 => echo(s).await,
        9 => discard(s).await,
        19 => source(s).await,
        80 => {
            let f = service_fn(|_: Request<hyper::body::Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(s), f)
                .await
                .map_err(io::Error::other)
        }
        _ => Ok(()),
    };
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut s: S) -> io::Result<()> {
    // Small at first, so that idle connections stay cheap.
    let mut buf = vec![0u8; 512];
    loop {
        let n = s.read(&mut buf).await?;
        if n == 0 {
            return s.shutdown().await;
        }
        s.write_all(&buf[..n]).await?;
        if n == buf.len() && n < 65536 {
            buf.resize(65536, 0);
        }
    }
}

async fn discard<S: AsyncRead + AsyncWrite + Unpin>(mut s: S) -> io::Result<()> {
    let mut buf = vec![0u8; 256 << 10];
    while s.read(&mut buf).await? > 0 {}
    s.shutdown().await
}

async fn source<S: AsyncRead + AsyncWrite + Unpin>(mut s: S) -> io::Result<()> {
    let buf = vec![0u8; 256 << 10];
    loop {
        s.write_all(&buf).await?;
    }
}
