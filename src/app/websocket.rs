//! WebSockets (RFC 6455): the upgrade, the echo, and both ways of closing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::http::Site;
use super::metered::{Budget, Metered, READ_OCTETS, Written};
use super::stop::Guard;

/// Octets of the longest message that `/ws/echo` takes, in one frame or many. 16 MiB; a longer
/// one closes the connection with 1009.
pub const MESSAGE_OCTETS_MAX: usize = 16 << 20;

/// Octets that all WebSockets together hold because of messages of more than 64 KiB. 256 MiB. A
/// connection holds three times its longest until it ends. A message that would need more closes
/// its connection with 1013. A connection that holds some is closed with 1008 if for five minutes
/// it neither completes a message nor begins a long one.
pub const HELD_OCTETS_MAX: usize = 256 << 20;

/// How many WebSockets a site has open, all of them one client's if it likes. 4096; a handshake
/// more is answered by 503. Each holds 64 KiB from the begin. Its messages of up to 64 KiB may make
/// that more, by what it reads into, collects fragments in and sends from, but less than 1 MiB.
pub const WEBSOCKETS_MAX: usize = 4096;

/// How long the peer has to answer our close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Octets before the payload of a control frame of a client's (RFC 6455 §5.2, §5.5).
const CONTROL_HEADER_LEN: usize = 2 + 4;

/// Octets that wait to be sent together, in front of one message at most. 16 KiB: what a connection
/// sends from never gets smaller.
const WRITE_OCTETS: usize = 16 << 10;

/// A WebSocket of which little is known but that it counts what it holds.
pub(super) struct Socket<S = TokioIo<Upgraded>> {
    stream: WebSocketStream<Metered<S>>,
    /// Whether whoever reads has a message, and is done with it when it asks for the next.
    is_message_out: bool,
    /// Octets of pongs that may still wait to be sent.
    owed: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The server's side of `stream`, whose messages have at most so many octets.
    pub(super) async fn new(stream: S, octets_max: usize, budget: Budget) -> Self {
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_OCTETS)
            .write_buffer_size(WRITE_OCTETS)
            .max_message_size(Some(octets_max))
            .max_frame_size(Some(octets_max));
        let stream = Metered::new(stream, octets_max, budget);
        let stream = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits)).await;
        Self { stream, is_message_out: false, owed: 0 }
    }

    /// The next message, if there is one more; the one before is done with. Cancel safe.
    pub(super) async fn recv(&mut self) -> Option<Result<Message, Error>> {
        if std::mem::take(&mut self.is_message_out) {
            self.stream.get_mut().forget();
        }
        // The protocol below lets any number of pongs wait; who does not take them is not heard.
        if self.owed > WRITE_OCTETS
            && let Err(error) = self.flush().await
        {
            return Some(Err(error));
        }
        let received = self.stream.next().await;
        match &received {
            Some(Ok(Message::Text(_) | Message::Binary(_))) => self.is_message_out = true,
            Some(Ok(Message::Ping(octets) | Message::Pong(octets))) => {
                let len = CONTROL_HEADER_LEN + octets.len();
                self.stream.get_mut().forgive(len);
                self.owed += len;
            }
            Some(Ok(Message::Close(_) | Message::Frame(_)) | Err(_)) | None => {}
        }
        received
    }

    /// Sends a message and all that waits before it.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// Lets a message wait for the next flush.
    pub(super) async fn feed(&mut self, message: Message) -> Result<(), Error> {
        self.stream.feed(message).await
    }

    /// What counts the octets that the peer has left room for.
    pub(super) fn written(&self) -> Written {
        self.stream.get_ref().written()
    }

    /// Sends all that waits.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        self.stream.flush().await?;
        self.owed = 0;
        Ok(())
    }
}

/// A request for a WebSocket that is as RFC 6455 §4.2.1 wants it.
pub(super) struct Handshake {
    upgrade: OnUpgrade,
    /// What proves to the client that it was understood.
    accept: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let upgrade = parts.extensions.get::<OnUpgrade>().cloned();
        // axum looks at all fields; the WebSocket that it would make counts nothing.
        drop(WebSocketUpgrade::from_request_parts(parts, state).await.map_err(refusal)?);
        let mut keys = parts.headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
        let refused = |why: &'static str| (StatusCode::BAD_REQUEST, why).into_response();
        match (upgrade, keys.next(), keys.next()) {
            (None, ..) => Err(refused("This connection cannot be upgraded.\n")),
            (Some(upgrade), Some(key), None) if is_key(key.as_bytes()) => {
                Ok(Self { upgrade, accept: derive_accept_key(key.as_bytes()) })
            }
            (Some(_), ..) => Err(refused("Send one key, of 16 octets.\n")),
        }
    }
}

/// Whether a key is 16 octets in base64 (RFC 6455 §4.2.1).
fn is_key(key: &[u8]) -> bool {
    let is_digit = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    let digits = key.strip_suffix(b"==");
    digits.is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

/// A version that we do not speak is answered by the one that we do (RFC 6455 §4.4), of
/// the protocol that is wanted (RFC 9110 §15.5.22).
fn refusal(refused: WebSocketUpgradeRejection) -> Response {
    if let WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_) = refused {
        let headers = [
            (header::CONNECTION, "upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ];
        return (StatusCode::UPGRADE_REQUIRED, headers).into_response();
    }
    refused.into_response()
}

/// `GET /ws/echo`: each text and binary message goes back as it came.
pub(super) async fn echo(State(site): State<Arc<Site>>, handshake: Handshake) -> Response {
    accept(&site, handshake, MESSAGE_OCTETS_MAX, echo_messages)
}

/// Answers the handshake, then runs `serve` for as long as the site's stop lets it. Where too many
/// WebSockets are open, the answer is 503.
pub(super) fn accept<S, F>(
    site: &Site,
    handshake: Handshake,
    octets_max: usize,
    serve: S,
) -> Response
where
    S: FnOnce(Socket, Guard) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(place) = Arc::clone(&site.places).try_acquire_owned() else {
        let headers = [(header::RETRY_AFTER, "30")];
        let sentence = "All places of WebSockets are taken.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, headers, sentence).into_response();
    };
    let Handshake { upgrade, accept } = handshake;
    let (guard, budget) = (site.stop.guard(), site.held.clone());
    tokio::spawn(async move {
        let _until_it_ends = place;
        let Ok(upgraded) = upgrade.await else { return };
        let socket = Socket::new(TokioIo::new(upgraded), octets_max, budget).await;
        let stopping = guard.clone();
        guard.run(serve(socket, stopping)).await;
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, &accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Pings are answered, and a close is, by the protocol below, with the next read.
async fn echo_messages<S>(mut socket: Socket<S>, mut stopping: Guard)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let received = tokio::select! {
            received = socket.recv() => received,
            () = stopping.begun() => return close(socket, CloseCode::Away, "stopping").await,
        };
        let outcome = match received {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                socket.send(message).await
            }
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => return close_for(socket, error).await,
            None => return,
        };
        if outcome.is_err() {
            return;
        }
    }
}

/// Closes from our side (RFC 6455 §7.1.2): says why, then waits for the peer's answer. After an
/// error there is none to wait for; what the peer still sends then is thrown away by what the
/// server's connections lie in (`Lingering`), so that no reset takes the reason from it.
pub(super) async fn close<S>(mut socket: Socket<S>, code: CloseCode, reason: &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code, reason: reason.into() };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // A peer that does not answer is left: there is nobody to tell.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}

/// Closes because of what the peer sent (RFC 6455 §7.4.1); a broken connection is left as it is.
pub(super) async fn close_for<S>(socket: Socket<S>, error: Error)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    use std::io::ErrorKind::{QuotaExceeded, TimedOut};
    match error {
        Error::Capacity(_) => close(socket, CloseCode::Size, "message too long").await,
        Error::Utf8(_) => close(socket, CloseCode::Invalid, "not UTF-8").await,
        Error::Protocol(_) => close(socket, CloseCode::Protocol, "not WebSocket").await,
        Error::Io(error) if error.kind() == QuotaExceeded => {
            close(socket, CloseCode::Again, "too many long messages").await;
        }
        Error::Io(error) if error.kind() == TimedOut => {
            close(socket, CloseCode::Policy, "no message in time").await;
        }
        _ => log::debug!("a WebSocket ended early: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::{Instant, sleep};
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::super::metered::{FREE, KEPT, LONG_MESSAGE_TIMEOUT};
    use super::super::stop::Stop;
    use super::*;
    use crate::{Link, Net, StackConfig};

    type Client = WebSocketStream<DuplexStream>;

    /// A client of an echo that holds no more than `budget` lets it.
    async fn client(budget: &Budget) -> Client {
        // More than is read at a time.
        let (ours, theirs) = duplex(1 << 18);
        let socket = Socket::new(theirs, MESSAGE_OCTETS_MAX, budget.clone()).await;
        tokio::spawn(echo_messages(socket, Stop::new().guard()));
        WebSocketStream::from_raw_socket(ours, Role::Client, None).await
    }

    fn message(octets: usize) -> Message {
        Message::binary(vec![7; octets])
    }

    fn fragment(opcode: OpCode, octets: usize, is_last: bool) -> Message {
        Message::Frame(Frame::message(vec![7; octets], opcode, is_last))
    }

    /// Says so many octets of a message of which more should come.
    async fn begin(client: &mut Client, octets: usize) {
        client.send(fragment(OpCode::Data(Data::Binary), octets, false)).await.unwrap();
        client.send(Message::Ping("has it come".into())).await.unwrap();
        assert!(client.next().await.unwrap().unwrap().is_pong());
    }

    /// What must come, however late.
    async fn within<F: Future>(future: F) -> F::Output {
        tokio::time::timeout(Duration::from_hours(10), future).await.expect("it is waited for")
    }

    async fn closed_with(client: &mut Client) -> Option<CloseCode> {
        let mut code = None;
        while let Some(Ok(message)) = within(client.next()).await {
            if let Message::Close(Some(frame)) = message {
                code = Some(frame.code);
            }
        }
        code
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_places_are_taken_a_handshake_is_put_off_until_one_ends() {
        let stop = Stop::new();
        let (near, _far) = Link::pair(1500);
        let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
        let (net, _driver) = Net::driver(near, config).unwrap();
        let site = Site::new(Arc::new(net), stop.clone());
        let taken = site.places.try_acquire_many(u32::try_from(WEBSOCKETS_MAX).unwrap()).unwrap();
        let answer = || {
            let upgrade = hyper::upgrade::on(hyper::Request::new(()));
            let handshake = Handshake { upgrade, accept: String::new() };
            accept(&site, handshake, MESSAGE_OCTETS_MAX, echo_messages)
        };
        let refused = answer();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));
        drop(taken);
        assert_eq!(answer().status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(site.places.available_permits(), WEBSOCKETS_MAX - 1);
        // Nothing will ever upgrade it.
        let whole = u32::try_from(WEBSOCKETS_MAX).unwrap();
        let all = within(site.places.acquire_many(whole)).await;
        assert!(all.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn long_messages_of_all_together_are_bounded_and_short_ones_go_on() {
        let budget = Budget::new(KEPT << 20);
        let mut first = client(&budget).await;
        begin(&mut first, 900_000).await;
        let mut second = client(&budget).await;
        let _ = second.send(message(500_000)).await;
        assert_eq!(closed_with(&mut second).await, Some(CloseCode::Again));

        let mut third = client(&budget).await;
        for _ in 0..100 {
            third.send(message(FREE / 2)).await.unwrap();
            assert_eq!(third.next().await.unwrap().unwrap(), message(FREE / 2));
        }
        drop(first);
        sleep(Duration::from_secs(1)).await;
        for _ in 0..10 {
            third.send(message(1_000_000)).await.unwrap();
            assert_eq!(third.next().await.unwrap().unwrap(), message(1_000_000));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_message_that_does_not_end_is_given_up_and_a_long_silence_is_not() {
        let budget = Budget::new(KEPT << 20);
        let (mut long, mut short) = (client(&budget).await, client(&budget).await);
        begin(&mut short, FREE / 2).await;
        begin(&mut long, 900_000).await;
        let begun = Instant::now();
        for _ in 0..4 {
            sleep(LONG_MESSAGE_TIMEOUT / 5).await;
            long.send(fragment(OpCode::Data(Data::Continue), 1, false)).await.unwrap();
        }
        assert_eq!(closed_with(&mut long).await, Some(CloseCode::Policy));
        let took = begun.elapsed();
        assert!(took >= LONG_MESSAGE_TIMEOUT && took < LONG_MESSAGE_TIMEOUT / 5 * 6, "{took:?}");
        sleep(LONG_MESSAGE_TIMEOUT).await;
        short.send(Message::Ping("still there".into())).await.unwrap();
        assert!(short.next().await.unwrap().unwrap().is_pong());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_its_long_echo_is_given_up() {
        let budget = Budget::new(KEPT << 20);
        let mut deaf = client(&budget).await;
        deaf.send(message(1_000_000)).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let mut other = client(&budget).await;
        let _ = other.send(message(500_000)).await;
        assert_eq!(closed_with(&mut other).await, Some(CloseCode::Again));
        sleep(LONG_MESSAGE_TIMEOUT).await;
        let mut other = client(&budget).await;
        other.send(message(500_000)).await.unwrap();
        assert_eq!(within(other.next()).await.unwrap().unwrap(), message(500_000));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_long_message_cost_is_given_back_when_its_connection_ends() {
        let budget = Budget::new(KEPT << 20);
        let mut first = client(&budget).await;
        for octets in [900_000, 1, 1_000_000, 900_000] {
            first.send(message(octets)).await.unwrap();
            assert_eq!(first.next().await.unwrap().unwrap(), message(octets));
            sleep(LONG_MESSAGE_TIMEOUT / 2).await;
        }
        let mut second = client(&budget).await;
        let _ = second.send(message(500_000)).await;
        assert_eq!(closed_with(&mut second).await, Some(CloseCode::Again));

        // One that begins late has all its time.
        sleep(LONG_MESSAGE_TIMEOUT / 3).await;
        begin(&mut first, FREE * 3).await;
        sleep(LONG_MESSAGE_TIMEOUT / 10 * 9).await;
        first.send(fragment(OpCode::Data(Data::Continue), 0, true)).await.unwrap();
        assert_eq!(first.next().await.unwrap().unwrap(), message(FREE * 3));

        // It ends if it says nothing more, pings being nothing.
        first.send(Message::Ping("still there".into())).await.unwrap();
        assert!(first.next().await.unwrap().unwrap().is_pong());
        assert_eq!(closed_with(&mut first).await, Some(CloseCode::Policy));
        let mut second = client(&budget).await;
        second.send(message(500_000)).await.unwrap();
        assert_eq!(within(second.next()).await.unwrap().unwrap(), message(500_000));
    }

    #[tokio::test(start_paused = true)]
    async fn short_messages_cost_nothing_however_many_come_at_once() {
        let (mut said, mut heard) = client(&Budget::new(0)).await.split();
        let messages = || [1 << 10, 1, FREE, FREE - 1, FREE].into_iter().cycle().take(500);
        let saying = async {
            for octets in messages() {
                said.feed(message(octets)).await.unwrap();
            }
            said.flush().await.unwrap();
        };
        let hearing = async {
            for octets in messages() {
                assert_eq!(heard.next().await.unwrap().unwrap(), message(octets));
            }
        };
        within(async { tokio::join!(saying, hearing) }).await;
    }

    /// A message needs no octets to go on, and what it does not have is not held.
    #[tokio::test(start_paused = true)]
    async fn a_message_costs_no_more_than_the_longest() {
        let (ours, theirs) = duplex(1 << 18);
        let socket = Socket::new(theirs, 1 << 10, Budget::new(KEPT << 10)).await;
        tokio::spawn(echo_messages(socket, Stop::new().guard()));
        let mut client = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        begin(&mut client, 7).await;
        for _ in 0..100_000 {
            client.feed(fragment(OpCode::Data(Data::Continue), 0, false)).await.unwrap();
        }
        client.send(fragment(OpCode::Data(Data::Continue), 3, true)).await.unwrap();
        assert_eq!(within(client.next()).await.unwrap().unwrap(), message(10));
    }

    /// Pongs that nobody takes are memory that nobody has paid for.
    #[tokio::test(start_paused = true)]
    async fn who_takes_no_pongs_is_not_heard_until_it_does() {
        let (ours, theirs) = duplex(4 << 10);
        let socket = Socket::new(theirs, 1 << 10, Budget::new(0)).await;
        tokio::spawn(echo_messages(socket, Stop::new().guard()));
        let client = WebSocketStream::from_raw_socket(ours, Role::Client, None).await;
        let (mut said, mut heard) = client.split();
        let ping = Message::Ping(vec![7; 125].into());
        let mut sent = 0;
        let patience = Duration::from_secs(10);
        while let Ok(outcome) = tokio::time::timeout(patience, said.send(ping.clone())).await {
            outcome.unwrap();
            sent += 1;
            assert!(sent * 125 < 4 * WRITE_OCTETS + READ_OCTETS, "{sent} pings are heard");
        }
        while let Ok(pong) = tokio::time::timeout(patience, heard.next()).await {
            assert!(pong.unwrap().unwrap().is_pong());
        }
        let sending = said.send(message(1 << 10));
        within(sending).await.unwrap();
        while within(heard.next()).await.unwrap().unwrap() != message(1 << 10) {}
    }

    #[tokio::test(start_paused = true)]
    async fn control_frames_are_no_part_of_a_message() {
        let mut client = client(&Budget::new(0)).await;
        let ping = Message::Ping(vec![7; 125].into());
        for _ in 0..2 * FREE / 125 {
            client.send(ping.clone()).await.unwrap();
            assert!(client.next().await.unwrap().unwrap().is_pong());
        }
    }
}
