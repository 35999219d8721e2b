//! The HTTP server: what `wharf serve` answers.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::Request;
use axum::http::{StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use axum::routing::{get, post};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower_service::Service;

use super::bytes::Pattern;
use super::chat::Chat;
use super::dashboard::{self, Status};
use super::metered::Budget;
use super::server::HEADER_TIMEOUT;
use super::stop::Stop;
use super::timely::{Silence, Timely};
use super::websocket::{self, HELD_OCTETS_MAX, WEBSOCKETS_MAX};

/// Largest N of `GET /bytes/N`: 1 TiB. More is answered by 400.
pub const BYTES_MAX: u64 = 1 << 40;

/// Octets that a request's body may have; more is answered by 413. 64 KiB. `/sink` and `/echo`,
/// which hold no more of a body than one frame, take a body of any length, and of any duration as
/// long as it does not stop ([`BODY_PAUSE_MAX`]).
pub const BODY_OCTETS_MAX: usize = 64 << 10;

/// How long `/sink` and `/echo` wait for more of a body at least, and at most twice as long: 30 s,
/// as for a request's head. Then 408 is the answer, or if that has begun the connection ends.
pub const BODY_PAUSE_MAX: Duration = HEADER_TIMEOUT;

const OCTETS: [(header::HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "application/octet-stream")];

/// What the routes share.
pub struct Site {
    /// What the live page shows of the stack.
    pub(super) status: Arc<dyn Status>,
    /// Tells the WebSockets to close.
    pub(super) stop: Stop,
    /// The room of `/ws/chat`.
    pub(super) chat: Chat,
    /// What the WebSockets may hold of messages.
    pub(super) held: Budget,
    /// One for each WebSocket that may be open.
    pub(super) places: Arc<Semaphore>,
    started: Instant,
}

impl Site {
    /// A site that shows `status`, and whose WebSockets close when `stop` begins.
    pub fn new(status: Arc<dyn Status>, stop: Stop) -> Self {
        let (chat, held) = (Chat::new(), Budget::new(HELD_OCTETS_MAX));
        let places = Arc::new(Semaphore::new(WEBSOCKETS_MAX));
        Self { status, stop, chat, held, places, started: Instant::now() }
    }

    /// Seconds since the site was made.
    pub(super) fn uptime(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

/// All routes, twice: a request without a body, as most are, has nothing to be limited, and goes
/// the way without the layer that does so, at half the cost.
#[derive(Clone, Debug)]
pub struct Routes {
    bodiless: Router,
    limited: Router,
    /// Of a request that does not say for whom it is.
    hostless: Router,
}

impl Service<Request<Incoming>> for Routes {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // As a router is.
    }

    fn call(&mut self, request: Request<Incoming>) -> RouteFuture<Infallible> {
        let has_body = !request.body().is_end_stream();
        let routes = match (names_its_host(&request), has_body) {
            (false, _) => &mut self.hostless,
            (true, true) => &mut self.limited,
            (true, false) => &mut self.bodiless,
        };
        routes.call(request)
    }
}

/// Whether a request says once for which host it is, as one of HTTP/1.1 must and one before may,
/// and says it in the form of one (RFC 9112 §3.2). Of two servers in a row each might believe
/// another one of two hosts.
fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host.as_bytes()),
        (None, _) => request.version() < Version::HTTP_11,
        (Some(_), Some(_)) => false,
    }
}

/// Whether `field` is a host, or nothing, with or without a port (RFC 9110 §7.2): a name as RFC
/// 3986 §3.2.2 has it, but without the comma, behind which might be another one.
fn is_host(field: &[u8]) -> bool {
    let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(octet);
    let is_literal = |octet: &u8| is_name(octet) || *octet == b':';
    let end = match field.strip_prefix(b"[") {
        None => field.iter().position(|octet| !is_name(octet)).unwrap_or(field.len()),
        Some(rest) => match rest.iter().position(|octet| !is_literal(octet)) {
            Some(len) if len > 0 && rest[len] == b']' => len + 2,
            Some(_) | None => return false,
        },
    };
    match field[end..].split_first() {
        None => true,
        Some((b':', port)) => port.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

/// All routes of `site`.
pub fn router(site: Site) -> Routes {
    let site = Arc::new(site);
    let pages = dashboard::routes()
        .route("/hello", get(hello))
        .route("/bytes/{len}", get(bytes))
        .route("/ws/echo", get(websocket::echo))
        .route("/ws/chat", get(super::chat::join))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is no such page.\n") });
    let streaming = Router::new().route("/sink", post(sink)).route("/echo", post(echo));
    let limited = pages.clone().layer(middleware::from_fn(limit_body));
    let with_site = |pages: Router<_>| pages.merge(streaming.clone()).with_state(Arc::clone(&site));
    let hostless = Router::new().fallback(async || {
        let headers = [(header::CONNECTION, "close")];
        (StatusCode::BAD_REQUEST, headers, "Say by one Host field for whom the request is.\n")
    });
    Routes { bodiless: with_site(pages), limited: with_site(limited), hostless }
}

async fn hello() -> &'static str {
    "Hello, World!"
}

async fn bytes(Path(len): Path<String>) -> Response {
    // Rust would take a sign too.
    let len = len.parse::<u64>().ok().filter(|_| !len.starts_with('+'));
    match len {
        Some(len) if len <= BYTES_MAX => (OCTETS, Body::new(Pattern::new(len))).into_response(),
        Some(_) | None => {
            let sentence = format!("Ask for 0 to {BYTES_MAX} octets.\n");
            (StatusCode::BAD_REQUEST, sentence).into_response()
        }
    }
}

/// Reads all and keeps nothing but the count and the hash.
async fn sink(request: Request<Body>) -> Response {
    let mut body = Timely::new(request.into_body());
    let mut hash = Sha256::new();
    let mut octets = 0;
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => {
                octets += data.len() as u64;
                hash.update(&data);
            }
            Ok(Err(_trailers)) => {}
            Err(error) if error.is::<Silence>() => {
                return (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")])
                    .into_response();
            }
            Err(error) => {
                let sentence = format!("The body ended early: {error}.\n");
                return (StatusCode::BAD_REQUEST, sentence).into_response();
            }
        }
    }
    let mut sha256 = String::with_capacity(64);
    for octet in hash.finalize() {
        // Writing to a String cannot fail.
        let _ = write!(sha256, "{octet:02x}");
    }
    json(&serde_json::json!({ "octets": octets, "sha256": sha256 }))
}

/// The request's body is the response's: each frame goes back as it comes, and a client that
/// does not read its answer is not read from either. A body that stops ends the connection, for the
/// answer has begun.
async fn echo(request: Request<Body>) -> Response {
    (OCTETS, Body::new(Timely::new(request.into_body()))).into_response()
}

/// A response of JSON.
pub(super) fn json(value: &serde_json::Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, value.to_string()).into_response()
}

/// Reads the body of a request whose handler has no use for one, so that the connection stays in
/// step, and refuses what is too long or takes longer than a header may.
async fn limit_body(request: Request<Body>, next: Next) -> Response {
    let announced = request.body().size_hint().lower();
    if announced > BODY_OCTETS_MAX as u64 {
        return too_long();
    }
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_OCTETS_MAX).collect();
    match tokio::time::timeout(HEADER_TIMEOUT, body).await {
        Ok(Ok(_)) => next.run(Request::from_parts(parts, Body::empty())).await,
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => too_long(),
        Ok(Err(_)) => StatusCode::BAD_REQUEST.into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, [(header::CONNECTION, "close")]).into_response(),
    }
}

/// What is left of the body is not worth reading: the connection ends with the answer.
fn too_long() -> Response {
    let sentence = format!("A body here has at most {BODY_OCTETS_MAX} octets.\n");
    let headers = [(header::CONNECTION, "close")];
    (StatusCode::PAYLOAD_TOO_LARGE, headers, sentence).into_response()
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::{StreamExt as _, stream};
    use tokio::time::sleep;

    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// What must come, however late.
    async fn within<F: Future>(future: F) -> F::Output {
        tokio::time::timeout(Duration::from_hours(10), future).await.expect("it is waited for")
    }

    /// A request whose body comes an octet at a time, each behind a pause, and then stops.
    fn with_pauses(pauses: Vec<Duration>) -> Request<Body> {
        let octets = stream::iter(pauses).then(async |pause| {
            sleep(pause).await;
            Ok::<_, io::Error>("x")
        });
        let octets = octets.chain(stream::pending());
        Request::new(Body::from_stream(octets))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_given_up_and_a_slow_one_is_not() {
        for (pauses, slow) in [(vec![], 0), (vec![1], 1), (vec![29; 100], 2900), (vec![5; 7], 35)] {
            let request = || with_pauses(pauses.iter().copied().map(seconds).collect());
            let begun = Instant::now();
            let answer = within(sink(request())).await;
            assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
            assert_eq!(answer.headers()[header::CONNECTION], "close");
            let waited = begun.elapsed().as_secs() - slow;
            assert!((30..=60).contains(&waited), "{waited}");

            let begun = Instant::now();
            let mut echoed = echo(request()).await.into_body();
            for _ in &pauses {
                let frame = echoed.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), "x");
            }
            assert!(within(echoed.frame()).await.unwrap().is_err());
            let waited = begun.elapsed().as_secs() - slow;
            assert!((30..=60).contains(&waited), "{waited}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_its_time_is_not_taken_for_a_silent_sender() {
        let mut echoed = echo(with_pauses(vec![seconds(1); 4])).await.into_body();
        for _ in 0..4 {
            sleep(BODY_PAUSE_MAX * 3).await;
            assert_eq!(echoed.frame().await.unwrap().unwrap().into_data().unwrap(), "x");
        }
    }
}
