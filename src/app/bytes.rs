//! The body of `GET /bytes/N`: octets that anybody can check without a file.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// After how many octets the pattern repeats. A prime, so that it falls in step with no buffer,
/// segment or page, and a misplaced octet shows.
const PERIOD: usize = 251;

/// Octets of one frame: whole periods, so that each frame begins where the pattern does.
const FRAME: usize = PERIOD * 261;

/// One frame's worth of the pattern; every response is made of slices of it.
static PATTERN: [u8; FRAME] = pattern();

#[expect(clippy::cast_possible_truncation, reason = "a remainder of 251 fits in an octet")]
#[expect(clippy::large_stack_arrays, reason = "the compiler evaluates it")]
const fn pattern() -> [u8; FRAME] {
    let mut octets = [0; FRAME];
    let mut index = 0;
    while index < FRAME {
        octets[index] = (index % PERIOD) as u8;
        index += 1;
    }
    octets
}

/// `len` octets, of which octet i is i mod 251; none of them is allocated.
#[derive(Debug)]
pub(super) struct Pattern {
    left: u64,
}

impl Pattern {
    pub(super) fn new(len: u64) -> Self {
        Self { left: len }
    }
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = usize::try_from(self.left).map_or(FRAME, |left| left.min(FRAME));
        if len == 0 {
            return Poll::Ready(None);
        }
        self.left -= len as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&PATTERN[..len])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn octet_i_is_i_mod_251_across_frames() {
        for len in [0, 1, 250, 251, 252, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 5] {
            let body = Pattern::new(len as u64);
            assert_eq!(body.size_hint().exact(), Some(len as u64));
            let octets = body.collect().await.unwrap().to_bytes();
            assert_eq!(octets.len(), len);
            let is_right = |(index, &octet): (usize, &u8)| usize::from(octet) == index % PERIOD;
            assert!(octets.iter().enumerate().all(is_right), "{len}");
        }
    }
}
