//! The chat of the live page: what one says, all hear.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::http::Site;
use super::metered::Written;
use super::stop::Guard;
use super::websocket::{self, Handshake, Socket, close, close_for};

/// Octets of the longest message. 16 KiB; a longer one closes its sender's connection with 1009.
pub const MESSAGE_OCTETS_MAX: usize = 16 << 10;

/// How many messages a client may lag behind. 4096, at most 64 MiB for all clients together; a
/// client that falls further behind is closed with 1013, for it would miss some.
pub const MESSAGES_MAX: usize = 4096;

/// How long a client may leave no room for a single octet of what it should hear: so long at least,
/// and at most twice. Then it is closed with 1013 too, if it still hears that.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A room; clones are the same room.
#[derive(Clone, Debug)]
pub(super) struct Chat {
    messages: broadcast::Sender<Utf8Bytes>,
}

impl Chat {
    pub(super) fn new() -> Self {
        Self { messages: broadcast::Sender::new(MESSAGES_MAX) }
    }

    /// How many clients are in the room.
    pub(super) fn clients(&self) -> usize {
        self.messages.receiver_count()
    }
}

/// `GET /ws/chat`: each text message goes to everybody in the room, its sender included, and to
/// all in one order. Joining happens before the handshake is answered, so that a client which
/// sees the answer misses nothing that is said afterwards.
pub(super) async fn join(State(site): State<Arc<Site>>, handshake: Handshake) -> Response {
    let room = site.chat.messages.clone();
    let heard = room.subscribe();
    websocket::accept(&site, handshake, MESSAGE_OCTETS_MAX, |socket, stopping| {
        take_part(socket, stopping, room, heard)
    })
}

async fn take_part<S>(
    mut socket: Socket<S>,
    mut stopping: Guard,
    room: broadcast::Sender<Utf8Bytes>,
    mut heard: broadcast::Receiver<Utf8Bytes>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        tokio::select! {
            message = heard.recv() => {
                let written = socket.written();
                let telling = unless_deaf(tell(&mut socket, message, &mut heard), &written);
                let told = tokio::select! {
                    told = telling => told,
                    () = stopping.begun() => Err(Gone::Stopping),
                };
                match told {
                    Ok(()) => {}
                    Err(Gone::Slow) => {
                        return close(socket, CloseCode::Again, "too slow").await;
                    }
                    Err(Gone::Stopping) => {
                        return close(socket, CloseCode::Away, "stopping").await;
                    }
                    Err(Gone::Broken) => return,
                }
            }
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => {
                    // This client listens, so that somebody always does.
                    let _ = room.send(on_its_own(&text));
                }
                Some(Ok(Message::Binary(_))) => {
                    return close(socket, CloseCode::Unsupported, "text only").await;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return close_for(socket, error).await,
                None => return,
            },
            () = stopping.begun() => return close(socket, CloseCode::Away, "stopping").await,
        }
    }
}

/// The text in memory of its own: as it came it lies in what its connection reads into, all of
/// which a message of one octet would keep for as long as the slowest client has not heard it.
fn on_its_own(text: &Utf8Bytes) -> Utf8Bytes {
    text.as_str().into()
}

/// Why a client can be told nothing more.
enum Gone {
    /// It is so slow that messages were lost to it, or takes none at all.
    Slow,
    /// The site stops.
    Stopping,
    /// Its connection is.
    Broken,
}

/// Tells the client a message and all that have been said since, in one go. What is said meanwhile
/// is for the next time: between two the client itself is heard, and not before, so that a ping or
/// a close of one that is slow waits for its answer until it has read what it was told.
async fn tell<S>(
    socket: &mut Socket<S>,
    first: Result<Utf8Bytes, RecvError>,
    heard: &mut broadcast::Receiver<Utf8Bytes>,
) -> Result<(), Gone>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut message = first.map_err(|_| Gone::Slow)?;
    for left in (0..=heard.len()).rev() {
        let fed = socket.feed(Message::Text(message)).await;
        fed.map_err(|_| Gone::Broken)?;
        if left == 0 {
            break;
        }
        message = match heard.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Lagged(_)) => return Err(Gone::Slow),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        };
    }
    socket.flush().await.map_err(|_| Gone::Broken)
}

/// Runs `telling` for as long as it gets on. Its end may be far: a client may be slow and have much
/// to hear.
async fn unless_deaf(
    telling: impl Future<Output = Result<(), Gone>>,
    written: &Written,
) -> Result<(), Gone> {
    let mut telling = pin!(telling);
    loop {
        let before = written.get();
        if let Ok(outcome) = tokio::time::timeout(SEND_TIMEOUT, telling.as_mut()).await {
            return outcome;
        }
        if written.get() == before {
            return Err(Gone::Slow);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures_util::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::super::metered::Budget;
    use super::super::stop::Stop;
    use super::*;

    /// Octets that a connection holds which is not read from.
    const HELD: usize = 4 << 10;

    /// A client to whom `texts` have been said, 16 KiB each; what it has not read lies in `HELD`.
    async fn told(texts: usize) -> (DuplexStream, broadcast::Sender<Utf8Bytes>) {
        told_until(&Stop::new(), texts).await
    }

    async fn told_until(stop: &Stop, texts: usize) -> (DuplexStream, broadcast::Sender<Utf8Bytes>) {
        let (ours, theirs) = duplex(HELD);
        let room = broadcast::Sender::new(MESSAGES_MAX);
        let (heard, says) = (room.subscribe(), room.clone());
        let socket = Socket::new(theirs, MESSAGE_OCTETS_MAX, Budget::new(0)).await;
        let stopping = stop.guard();
        for _ in 0..texts {
            room.send("x".repeat(MESSAGE_OCTETS_MAX).into()).unwrap();
        }
        tokio::spawn(async move { take_part(socket, stopping, says, heard).await });
        (ours, room)
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_slowly_is_told_all_however_long_that_takes() {
        let (texts, header) = (100, 4);
        let (mut client, room) = told(texts).await;
        let begun = Instant::now();
        let mut left = texts * (header + MESSAGE_OCTETS_MAX);
        let mut octets = [0; HELD];
        while left > 0 {
            sleep(Duration::from_secs(1)).await;
            let len = left.min(HELD);
            client.read_exact(&mut octets[..len]).await.expect("it goes on");
            left -= len;
        }
        assert!(begun.elapsed() > 10 * SEND_TIMEOUT);
        assert_eq!(room.receiver_count(), 1, "it stays in the room");
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_nothing_is_given_up_after_a_while() {
        let (_client, room) = told(100).await;
        let begun = Instant::now();
        while room.receiver_count() > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        let waited = begun.elapsed();
        assert!((SEND_TIMEOUT..=2 * SEND_TIMEOUT + Duration::from_secs(5)).contains(&waited));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_being_told_something_hears_of_a_stop() {
        let stop = Stop::new();
        let (client, room) = told_until(&stop, 100).await;
        sleep(Duration::from_secs(1)).await;
        stop.begin();
        let mut client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
        let (mut code, mut texts) = (None, 0);
        while let Some(Ok(message)) = client.next().await {
            match message {
                Message::Close(Some(frame)) => code = Some(frame.code),
                _ => texts += 1,
            }
        }
        assert_eq!(code, Some(CloseCode::Away));
        assert!(texts < 10, "{texts} more were told");
        assert_eq!(room.receiver_count(), 0);
    }

    #[test]
    fn a_message_that_waits_keeps_no_more_memory_than_its_own() {
        let buffer = Bytes::from(vec![b'x'; 1 << 17]);
        let text = Utf8Bytes::try_from(buffer.slice(7..8)).unwrap();
        let waiting = Bytes::from(on_its_own(&text));
        drop(text);
        assert_eq!(waiting, "x");
        assert!(buffer.is_unique(), "nobody else keeps it");
    }
}
