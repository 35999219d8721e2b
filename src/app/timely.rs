//! A body that must not stop.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::http::BODY_PAUSE_MAX;

/// The body of a request, which fails by [`Silence`] when nothing comes for too long.
///
/// The time counts only while somebody waits for more: whoever does not read is not timed.
#[derive(Debug)]
pub(super) struct Timely {
    body: Body,
    /// Goes off when silence may have lasted for too long. Set when something is first waited for,
    /// and anew only when it has gone off: so no frame of a bulk transfer asks what time it is.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether anything has come since the alarm was set.
    has_moved: bool,
}

/// Nothing came for too long.
#[derive(Debug)]
pub(super) struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body did not go on")
    }
}

impl std::error::Error for Silence {}

impl Timely {
    pub(super) fn new(body: Body) -> Self {
        Self { body, alarm: None, has_moved: false }
    }
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.has_moved = true;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Self { alarm, has_moved, .. } = &mut *self;
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep(BODY_PAUSE_MAX)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if !std::mem::take(has_moved) {
                return Poll::Ready(Some(Err(Silence.into())));
            }
            alarm.as_mut().reset(Instant::now() + BODY_PAUSE_MAX);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
