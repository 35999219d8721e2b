//! A stream whose shutdown lets the peer finish its sentence.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Sleep;

/// How long the peer may go on sending after we have closed. 2 s.
const LINGER: Duration = Duration::from_secs(2);

/// How often the stream is read before other tasks have their turn.
const READS_PER_POLL: usize = 32;

const STREAM_IS_THERE: &str = "only drop takes the stream";

/// Shuts down as RFC 9112 §9.6 asks of a server: it closes its sending side, then reads until the
/// peer has closed too, for at most [`LINGER`]. Dropping a socket with unread data resets the
/// connection, and the reset would take the answer (a 400, a 413) away from the peer.
///
/// A stream that is dropped without a shutdown, as a WebSocket's is, does the same in a task of
/// its own.
#[derive(Debug)]
pub(super) struct Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// `None` only once dropping has begun.
    stream: Option<S>,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// Dropped; our FIN is on its way out.
    Closing,
    /// Our FIN is out; whatever arrives until then is thrown away.
    Draining(Pin<Box<Sleep>>),
    Done,
}

impl<S> Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) fn new(stream: S) -> Self {
        Self { stream: Some(stream), state: State::Open }
    }

    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(self.stream.as_mut().expect(STREAM_IS_THERE))
    }
}

impl<S> Drop for Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        let (State::Open, Some(stream)) = (&self.state, self.stream.take()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mut rest = Self {
                stream: Some(stream),
                // Once, and not again when the rest is dropped.
                state: State::Closing,
            };
            runtime.spawn(async move { rest.shutdown().await });
        }
    }
}

impl<S> AsyncRead for Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, into)
    }
}

impl<S> AsyncWrite for Lingering<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, octets)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().expect(STREAM_IS_THERE).is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..READS_PER_POLL {
            let Self { stream, state } = &mut *self;
            let stream = stream.as_mut().expect(STREAM_IS_THERE);
            match state {
                State::Open | State::Closing => {
                    ready!(Pin::new(stream).poll_shutdown(cx))?;
                    *state = State::Draining(Box::pin(tokio::time::sleep(LINGER)));
                }
                State::Draining(deadline) => {
                    let has_ended = poll_has_ended(stream, cx);
                    // Mostly the peer has closed: then nobody asks what time it is.
                    if matches!(has_ended, Poll::Ready(true))
                        || deadline.as_mut().poll(cx).is_ready()
                    {
                        *state = State::Done;
                    } else {
                        ready!(has_ended);
                    }
                }
                State::Done => return Poll::Ready(Ok(())),
            }
        }
        // A peer that sends faster than we throw away must not keep the thread to itself.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Reads once and says whether the peer has closed; an error is an end too.
fn poll_has_ended<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>) -> Poll<bool> {
    let mut scratch = [MaybeUninit::uninit(); 4096];
    let mut unwanted = ReadBuf::uninit(&mut scratch);
    let outcome = ready!(Pin::new(stream).poll_read(cx, &mut unwanted));
    Poll::Ready(outcome.is_err() || unwanted.filled().is_empty())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_when_the_peer_has_closed_and_not_before() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let closing = tokio::spawn(async move { Lingering::new(ours).shutdown().await });
        assert_eq!(theirs.read(&mut [0; 1]).await.unwrap(), 0);
        theirs.write_all(&vec![7; 50_000]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!closing.is_finished());
        drop(theirs);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_lets_the_peer_finish_too() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        drop(Lingering::new(ours));
        assert_eq!(theirs.read(&mut [0; 1]).await.unwrap(), 0);
        theirs.write_all(&vec![7; 50_000]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(theirs.write_all(&vec![7; 50_000]).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_closes_is_left_after_two_seconds() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let begun = Instant::now();
        Lingering::new(ours).shutdown().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_stops_sending_is_left_after_two_seconds() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        tokio::spawn(async move {
            while theirs.write_all(&[7; 16]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let begun = Instant::now();
        Lingering::new(ours).shutdown().await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 2);
    }
}
