//! Accepts connections, serves each in a task of its own, and stops with grace.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::response::Response;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::alarm::LazyTimer;
use super::lingering::Lingering;
use super::stop::{Guard, Stop};

/// Time in which a request's head must be complete, and for which a connection may stay open
/// without a request. 30 s, as hyper's default; it bounds what a peer that sends its header one
/// octet at a time can hold.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Octets of a request line and its header fields; more is answered by 431. 32 KiB, four times
/// the 8,000 octets that RFC 9110 §4.1 wants for a URI alone.
pub const HEADER_OCTETS_MAX: usize = 32 << 10;

/// Serves `site`, a router or several, over HTTP/1.1 on what `listener` accepts, until `stop`
/// begins. Returns then at once: `stop` waits for the connections that are still open.
pub async fn serve_http<L, R>(listener: L, site: R, stop: &Stop)
where
    L: Listener,
    R: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    R: Clone + Send + Sync + 'static,
    R::Future: Send,
{
    accept_all(listener, stop, |stream, guard| serve_connection(stream, site.clone(), guard)).await;
}

/// Runs `serve` in a task for each connection that `listener` accepts, until `stop` begins. Each
/// task holds a guard of `stop` and is ended with it.
pub async fn accept_each<L, S, F>(listener: L, stop: &Stop, serve: S)
where
    L: Listener,
    S: Fn(L::Io, Guard) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    accept_all(listener, stop, |stream, guard| {
        // Boxed, or it would be there twice: as it is handed over, and where it is polled.
        let serving = Box::pin(serve(stream, guard.clone()));
        async { guard.run(serving).await.unwrap_or_default() }
    })
    .await;
}

/// As [`accept_each`], where the task ends itself when its guard says so.
async fn accept_all<L, S, F>(mut listener: L, stop: &Stop, serve: S)
where
    L: Listener,
    S: Fn(L::Io, Guard) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut stopping = stop.guard();
    let mut begun = pin!(stopping.begun());
    loop {
        let stream = tokio::select! {
            (stream, _) = listener.accept() => stream,
            () = &mut begun => return,
        };
        tokio::spawn(serve(stream, stop.guard()));
    }
}

/// One connection, from its first request to its last.
async fn serve_connection<S, R>(stream: S, site: R, guard: Guard)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    R: Clone + Send + 'static,
    R::Future: Send,
{
    let service = TowerToHyperService::new(site);
    let stream = TokioIo::new(Lingering::new(stream));
    let connection = http1::Builder::new()
        .timer(LazyTimer::default())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(HEADER_OCTETS_MAX)
        // A client may close its side behind its last request, and still waits for the answer.
        .half_close(true)
        .serve_connection(stream, service);
    // Boxed, since a task is copied whole at each step into its place, and out of it.
    let mut connection = Box::pin(connection.with_upgrades());
    // The request in progress is answered; an idle connection closes at once.
    let finish = |connection: Pin<&mut _>| UpgradeableConnection::graceful_shutdown(connection);
    if let Some(Err(error)) = guard.run_and_finish(connection.as_mut(), finish).await {
        log::debug!("a connection ended early: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Accepts what it is sent.
    struct Door(mpsc::UnboundedReceiver<DuplexStream>);

    impl Listener for Door {
        type Io = DuplexStream;
        type Addr = ();

        async fn accept(&mut self) -> (DuplexStream, ()) {
            match self.0.recv().await {
                Some(stream) => (stream, ()),
                None => std::future::pending().await,
            }
        }

        fn local_addr(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A client of a server that has one page.
    fn client(stop: &Stop) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 16);
        let (door, knocks) = mpsc::unbounded_channel();
        door.send(theirs).unwrap();
        let router = Router::new().route("/", get(async || "page"));
        let stop = stop.clone();
        tokio::spawn(async move { serve_http(Door(knocks), router, &stop).await });
        ours
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_in_is_given_up_after_30_seconds() {
        let (mut reader, mut writer) = tokio::io::split(client(&Stop::new()));
        let begun = Instant::now();
        let trickle = async {
            writer.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
            while writer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let mut answer = Vec::new();
        tokio::select! {
            () = trickle => {}
            _ = reader.read_to_end(&mut answer) => {}
        }
        assert_eq!(begun.elapsed().as_secs(), HEADER_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_after_30_seconds() {
        let mut stream = client(&Stop::new());
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let begun = Instant::now();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(b"page"));
        assert_eq!(begun.elapsed().as_secs(), HEADER_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_header_holds_a_stop_up_no_longer_than_its_grace() {
        let stop = Stop::new();
        let mut stream = client(&stop);
        stream.write_all(b"GET / HT").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        stop.finish(Duration::from_secs(5)).await;
        assert!(begun.elapsed() <= Duration::from_secs(5));
        drop(stream);
    }
}
