//! The four services on the host's own TCP stack: tokio, and hyper for HTTP.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

fn main() -> io::Result<()> {
    let mut addr = Ipv4Addr::UNSPECIFIED;
    let mut shards = 1usize;
    let args: Vec<String> = std::env::args().collect();
    for w in args.windows(2) {
        match w[0].as_str() {
            "--addr" => addr = w[1].parse().expect("--addr IP"),
            "--shards" => shards = w[1].parse().expect("--shards N"),
            _ => {}
        }
    }
    if shards == 1 {
        let cores = std::thread::available_parallelism()?.get();
        return tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores)
            .enable_all()
            .build()?
            .block_on(serve(addr));
    }
    // Threads with file tables of their own, sharing the ports: the open-file
    // limit of one process then no longer bounds the connections held.
    let threads: Vec<_> = (0..shards)
        .map(|_| {
            std::thread::spawn(move || -> io::Result<()> {
                if unsafe { libc::unshare(libc::CLONE_FILES) } < 0 {
                    return Err(io::Error::last_os_error());
                }
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(serve(addr))
            })
        })
        .collect();
    for t in threads {
        t.join().expect("shard")?;
    }
    Ok(())
}

async fn serve(addr: Ipv4Addr) -> io::Result<()> {
    let l7 = listen(addr, 7)?;
    let l9 = listen(addr, 9)?;
    let l19 = listen(addr, 19)?;
    let l80 = listen(addr, 80)?;
    tokio::spawn(accept(l7, |s| async { drop(echo(s).await) }));
    tokio::spawn(accept(l9, |s| async { drop(discard(s).await) }));
    tokio::spawn(accept(l19, |s| async { drop(source(s).await) }));
    accept(l80, |s| async {
        let service = service_fn(|_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, World!"))))
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(s), service)
            .await;
    })
    .await;
    Ok(())
}

fn listen(addr: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let s = TcpSocket::new_v4()?;
    s.set_reuseaddr(true)?;
    s.set_reuseport(true)?;
    s.set_nodelay(true)?; // What is accepted inherits it.
    s.bind(SocketAddrV4::new(addr, port).into())?;
    s.listen(16384)
}

async fn accept<F, Fut>(l: TcpListener, f: F)
where
    F: Fn(TcpStream) -> Fut,
    Fut: std::future::Future<Output = ()> + Send + 'static,
{
    loop {
        match l.accept().await {
            Ok((s, _)) => {
                tokio::spawn(f(s));
            }
            Err(e) => {
                eprintln!("accept: {e}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn echo(mut s: TcpStream) -> io::Result<()> {
    // Small at first, so that idle connections stay cheap.
    let mut buf = vec![0u8; 512];
    loop {
        let n = s.read(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        s.write_all(&buf[..n]).await?;
        if n == buf.len() && n < 65536 {
            buf.resize(65536, 0);
        }
    }
}

async fn discard(s: TcpStream) -> io::Result<()> {
    let mut buf = vec![0u8; 256 << 10];
    loop {
        s.readable().await?;
        match s.try_read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

async fn source(mut s: TcpStream) -> io::Result<()> {
    let buf = vec![0u8; 256 << 10];
    loop {
        s.write_all(&buf).await?;
    }
}
