//! The chat of the live page: what one says, all hear.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::http::Site;
use super::stop::Guard;
use super::websocket::{self, Handshake, Socket, close, close_for};

/// Octets of the longest message. 16 KiB; a longer one closes its sender's connection with 1009.
pub const MESSAGE_OCTETS_MAX: usize = 16 << 10;

/// How many messages a client may lag behind. 4096, at most 64 MiB for all clients together; a
/// client that falls further behind is closed with 1013, for it would miss some.
pub const MESSAGES_MAX: usize = 4096;

/// How long a client may leave no room for what it should hear.
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

async fn take_part(
    mut socket: Socket,
    mut stopping: Guard,
    room: broadcast::Sender<Utf8Bytes>,
    mut heard: broadcast::Receiver<Utf8Bytes>,
) {
    loop {
        tokio::select! {
            message = heard.recv() => {
                let telling = tell(&mut socket, message, &mut heard);
                match tokio::time::timeout(SEND_TIMEOUT, telling).await {
                    Ok(Ok(())) => {}
                    Ok(Err(Gone::Lagged)) => {
                        return close(socket, CloseCode::Again, "too slow").await;
                    }
                    Ok(Err(Gone::Broken)) | Err(_) => return,
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
    /// It is so slow that messages were lost to it.
    Lagged,
    /// Its connection is.
    Broken,
}

/// Tells the client a message and all that were said since, in one go.
async fn tell(
    socket: &mut Socket,
    first: Result<Utf8Bytes, RecvError>,
    heard: &mut broadcast::Receiver<Utf8Bytes>,
) -> Result<(), Gone> {
    let mut message = first.map_err(|_| Gone::Lagged)?;
    loop {
        let fed = socket.feed(Message::Text(message)).await;
        fed.map_err(|_| Gone::Broken)?;
        message = match heard.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Lagged(_)) => return Err(Gone::Lagged),
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        };
    }
    socket.flush().await.map_err(|_| Gone::Broken)
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

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
