//! A connector with which hyper's client runs on our sockets.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::runtime::Net;
use crate::socket::tokio::TcpStream;
use crate::socket::{invalid, no_addresses};

/// Finds the addresses of a host by its name.
type Resolver = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Opens connections for hyper's client (`hyper_util::client::legacy::Client`), to `http` URIs.
///
/// A host is an address unless [`Connector::with_resolver`] knows more: a stack has no name
/// service of its own.
///
/// # Examples
///
/// ```no_run
/// use http_body_util::Empty;
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
///
/// # async fn example(net: &wharf::Net) -> Result<(), Box<dyn std::error::Error>> {
/// let client: Client<_, Empty<&[u8]>> =
///     Client::builder(TokioExecutor::new()).build(wharf::tokio::Connector::new(net));
/// let answer = client.get("http://10.7.0.1/".parse()?).await?;
/// println!("{}", answer.status());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    net: Net,
    resolver: Arc<Resolver>,
}

impl Connector {
    /// A connector for hosts that are IP addresses.
    pub fn new(net: &Net) -> Self {
        Self::with_resolver(net, |_| {
            Err(invalid("the host of the URI must be an IP address: there is no name service"))
        })
    }

    /// A connector that asks `resolver` for the addresses of a host that is none itself. They are
    /// tried in turn. The call must not block.
    pub fn with_resolver(
        net: &Net,
        resolver: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { net: net.clone(), resolver: Arc::new(resolver) }
    }

    /// The addresses that `uri` means.
    fn resolve(&self, uri: &Uri) -> io::Result<Vec<SocketAddr>> {
        if uri.scheme().is_some_and(|scheme| scheme != "http") {
            return Err(invalid("the scheme of the URI must be http"));
        }
        let host = uri.host().ok_or_else(|| invalid("the URI has no host"))?;
        let port = uri.port_u16().unwrap_or(80);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addrs = match bare.parse() {
            Ok(addr) => vec![addr],
            Err(_) => (self.resolver)(host)?,
        };
        Ok(addrs.into_iter().map(|addr| SocketAddr::new(addr, port)).collect())
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let net = self.net.clone();
        let addrs = self.resolve(&uri);
        Connecting {
            future: Box::pin(async move {
                let addrs = addrs?;
                if addrs.is_empty() {
                    return Err(no_addresses());
                }
                let stream = TcpStream::connect(&net, addrs.as_slice()).await?;
                Ok(TokioIo::new(stream))
            }),
        }
    }
}

/// A connection that [`Connector`] opens. Dropping it gives the connection up.
#[must_use = "futures do nothing unless polled"]
pub struct Connecting {
    future: Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>,
}

impl Future for Connecting {
    type Output = io::Result<TokioIo<TcpStream>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl fmt::Debug for Connecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").finish_non_exhaustive()
    }
}

impl Connection for TcpStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
