//! WebSockets (RFC 6455): the upgrade, the echo, and both ways of closing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio_tungstenite::tungstenite::Error;

use super::http::Site;
use super::stop::Guard;

/// Octets of the longest message that `/ws/echo` takes, in one frame or many. 16 MiB; a longer
/// one closes the connection with 1009.
pub const MESSAGE_OCTETS_MAX: usize = 16 << 20;

/// How long the peer has to answer our close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An upgrade, or why the request is none.
pub(super) type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `GET /ws/echo`: each text and binary message goes back as it came.
pub(super) async fn echo(State(site): State<Arc<Site>>, upgrade: Upgrade) -> Response {
    accept(&site, upgrade, MESSAGE_OCTETS_MAX, echo_messages)
}

/// Answers the handshake, then runs `serve` for as long as the site's stop lets it.
pub(super) fn accept<S, F>(site: &Site, upgrade: Upgrade, octets_max: usize, serve: S) -> Response
where
    S: FnOnce(WebSocket, Guard) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(refused) => return refusal(refused),
    };
    let guard = site.stop.guard();
    upgrade.max_message_size(octets_max).max_frame_size(octets_max).on_upgrade(
        async move |socket| {
            let stopping = guard.clone();
            guard.run(serve(socket, stopping)).await;
        },
    )
}

/// A version that we do not speak is answered by the one that we do (RFC 6455 §4.4).
fn refusal(refused: WebSocketUpgradeRejection) -> Response {
    if let WebSocketUpgradeRejection::InvalidWebSocketVersionHeader(_) = refused {
        let headers = [(header::SEC_WEBSOCKET_VERSION, "13")];
        return (StatusCode::UPGRADE_REQUIRED, headers).into_response();
    }
    refused.into_response()
}

/// Pings are answered, and a close is, by the protocol below, with the next read.
async fn echo_messages(mut socket: WebSocket, mut stopping: Guard) {
    loop {
        let received = tokio::select! {
            received = socket.recv() => received,
            () = stopping.begun() => return close(socket, close_code::AWAY, "stopping").await,
        };
        let outcome = match received {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                socket.send(message).await
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => Ok(()),
            Some(Err(error)) => return close_for(socket, error).await,
            None => return,
        };
        if outcome.is_err() {
            return;
        }
    }
}

/// Closes from our side (RFC 6455 §7.1.2): says why, then waits for the peer's answer.
pub(super) async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
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
pub(super) async fn close_for(socket: WebSocket, error: axum::Error) {
    let error = error.into_inner();
    match error.downcast_ref() {
        Some(Error::Capacity(_)) => close(socket, close_code::SIZE, "message too long").await,
        Some(Error::Utf8(_)) => close(socket, close_code::INVALID, "not UTF-8").await,
        Some(Error::Protocol(_)) => close(socket, close_code::PROTOCOL, "not WebSocket").await,
        _ => log::debug!("a WebSocket ended early: {error}"),
    }
}
