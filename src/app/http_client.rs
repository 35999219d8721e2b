//! An HTTP/1.1 client (hyper's), and a WebSocket client that sends one message.

use std::fmt;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

/// How long the server has to answer our close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing was fetched. Its text is the end of a sentence.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection, or no HTTP over it.
    Http(hyper_util::client::legacy::Error),
    /// The answer is not 2xx.
    Status(StatusCode),
    /// The answer broke off.
    Body(hyper::Error),
    /// What was fetched could not be written.
    Write(std::io::Error),
    /// The URL makes no request.
    Url(http::Error),
    /// No WebSocket, or an error on it.
    WebSocket(tungstenite::Error),
    /// The server closed before it answered the message.
    Unanswered(Option<CloseFrame>),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "the request failed: {}", innermost(error)),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Body(error) => write!(f, "the answer broke off: {}", innermost(error)),
            Self::Write(error) => write!(f, "the answer cannot be written: {error}"),
            Self::Url(error) => write!(f, "the URL cannot be used: {error}"),
            Self::WebSocket(error) => write!(f, "the WebSocket failed: {error}"),
            Self::Unanswered(Some(frame)) => {
                write!(f, "the server closed before it answered, with {}", frame.code)
            }
            Self::Unanswered(None) => f.write_str("the server closed before it answered"),
        }
    }
}

impl std::error::Error for ClientError {}

/// hyper's errors say what it was doing; the one at the bottom says what went wrong.
fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a dyn std::error::Error {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// Asks for `url` and waits for the head of the answer, which must be 2xx; redirections are not
/// followed.
pub async fn get<C>(connector: C, url: Uri) -> Result<Response<Incoming>, ClientError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: Client<C, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let request = Request::get(url)
        .header(header::USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(ClientError::Url)?;
    let response = client.request(request).await.map_err(ClientError::Http)?;
    if response.status().is_success() {
        Ok(response)
    } else {
        Err(ClientError::Status(response.status()))
    }
}

/// Writes the body of `response` out as it arrives, and flushes. Octets written.
pub async fn save<W>(response: Response<Incoming>, into: &mut W) -> Result<u64, ClientError>
where
    W: AsyncWrite + Unpin,
{
    let mut body = response.into_body();
    let mut octets = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(ClientError::Body)?;
        if let Ok(data) = frame.into_data() {
            into.write_all(&data).await.map_err(ClientError::Write)?;
            octets += data.len() as u64;
        }
    }
    into.flush().await.map_err(ClientError::Write)?;
    Ok(octets)
}

/// Opens a WebSocket to `url` over `stream`, sends `text`, waits for the first text or binary
/// message, and closes with a handshake.
pub async fn ask<S>(stream: S, url: &str, text: &str) -> Result<Vec<u8>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut socket, _) =
        tokio_tungstenite::client_async(url, stream).await.map_err(ClientError::WebSocket)?;
    socket.send(Message::text(text)).await.map_err(ClientError::WebSocket)?;
    let answer = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => break text.as_bytes().to_vec(),
            Some(Ok(Message::Binary(octets))) => break octets.to_vec(),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(frame))) => return Err(ClientError::Unanswered(frame)),
            Some(Err(error)) => return Err(ClientError::WebSocket(error)),
            None => return Err(ClientError::Unanswered(None)),
        }
    };
    let closing = async {
        socket.close(None).await?;
        while let Some(received) = socket.next().await {
            received?;
        }
        Ok(())
    };
    match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        Ok(Err(error)) => Err(ClientError::WebSocket(error)),
        // A server that does not answer the close has answered the message.
        Ok(Ok(())) | Err(_) => Ok(answer),
    }
}
