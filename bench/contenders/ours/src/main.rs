//! The four services on wharf's sockets, with a plain HTTP server or hyper's: what the sockets are
//! worth without the web framework of `wharf serve`.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use bench_wharf::args::{Args, Bulk, Http};
use bench_wharf::plain;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wharf::tokio::{TcpListener, TcpStream};
use wharf::{Net, StackConfig, Tun, TunConfig};

/// Octets that a connection may hold each way, as `wharf serve`.
const BUFFER: u32 = 2 << 20;

/// Octets that one may hold which are copied before they leave: of several senders more than these
/// would be in no cache any more when their turn comes.
const COPIED: u32 = 512 << 10;

const BACKLOG: u32 = 16_384;

/// How long bulk transfers may gather: as `wharf serve`.
const COALESCING: Duration = Duration::from_micros(60);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args = Args::read();
    let mut device = TunConfig::new(&args.tun);
    device.mtu = args.mtu;
    let mut config = StackConfig::new(format!("{}/{}", args.addr, args.prefix).parse()?);
    config.interface.mtu = args.mtu;
    config.tcp.receive_buffer = BUFFER;
    config.tcp.send_buffer = match args.bulk {
        Bulk::Reference => BUFFER,
        Bulk::Copy => COPIED,
    };
    let tun = Tun::open(&device)?;
    // The device, the stack and the services share one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (net, driver) = Net::driver(tun, config)?;
    net.set_busy_poll(Duration::from_micros(args.busy_poll));
    net.set_coalescing(COALESCING);
    runtime.block_on(async move {
        // A task like others: tokio asks the kernel for news each time that the future of
        // `block_on` is woken.
        let driver = tokio::spawn(driver);
        serve(&net, &args).await?;
        driver.await??;
        Ok(())
    })
}

/// Starts the services, each in a task.
async fn serve(net: &Net, args: &Args) -> io::Result<()> {
    tokio::spawn(accept(listen(net, args.addr, 7).await?, |stream| settle(echo(stream))));
    let (drain, spring) = (listen(net, args.addr, 9).await?, listen(net, args.addr, 19).await?);
    match args.bulk {
        Bulk::Reference => {
            tokio::spawn(accept(drain, |stream| settle(discard(stream))));
            tokio::spawn(accept(spring, |stream| settle(source(stream))));
        }
        Bulk::Copy => {
            tokio::spawn(accept(drain, |stream| settle(discard_copying(stream))));
            tokio::spawn(accept(spring, |stream| settle(source_copying(stream))));
        }
    }
    let web = listen(net, args.addr, 80).await?;
    match args.http {
        Http::Plain => tokio::spawn(accept(web, |stream| settle(plain::serve(stream)))),
        Http::Hyper => tokio::spawn(accept(web, hyper_serve)),
    };
    Ok(())
}

async fn listen(net: &Net, addr: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let socket = wharf::tokio::TcpSocket::new_v4(net)?;
    socket.set_nodelay(true)?; // What is accepted inherits it.
    socket.bind((addr, port).into())?;
    socket.listen(BACKLOG)
}

/// Serves each connection in a task of its own.
async fn accept<F, S>(listener: TcpListener, serve: S)
where
    S: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream));
            }
            Err(error) => {
                eprintln!("accept: {error}");
                return;
            }
        }
    }
}

/// Peers may end a connection as they like.
async fn settle(service: impl Future<Output = io::Result<()>>) {
    drop(service.await);
}

async fn hyper_serve(stream: TcpStream) {
    let service = service_fn(|_: Request<hyper::body::Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
    });
    let connection = hyper::server::conn::http1::Builder::new();
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    // Small at first, so that idle connections stay cheap.
    let mut buffer = vec![0; 512];
    loop {
        let len = stream.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..len]).await?;
        if len == buffer.len() && len < 65_536 {
            buffer.resize(65_536, 0);
        }
    }
}

async fn discard(stream: TcpStream) -> io::Result<()> {
    while !stream.read_bytes(1 << 20).await?.is_empty() {}
    Ok(())
}

async fn source(stream: TcpStream) -> io::Result<()> {
    let octets = Bytes::from(vec![0; 256 << 10]);
    loop {
        stream.write_all_bytes(octets.clone()).await?;
    }
}

async fn discard_copying(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn source_copying(mut stream: TcpStream) -> io::Result<()> {
    let octets = vec![0; 256 << 10];
    loop {
        stream.write_all(&octets).await?;
    }
}
