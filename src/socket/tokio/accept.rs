//! Waiting with a task for a connection in any shard.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use crate::runtime::{Direction, Shard};
use crate::socket::replicas::accept_from;
use crate::socket::{Replicas, SocketCore};
use crate::stack::SocketId;

/// What a shard's listener says.
type Accepted = io::Result<(SocketId, SocketAddr)>;

impl Replicas {
    /// Waits for a connection. A shard that fails, since it has no sockets left, keeps nobody from
    /// what another has. Cancel-safe: a future that is dropped before it is ready has accepted
    /// nothing.
    pub(crate) async fn accept_async(&self) -> io::Result<(SocketCore, SocketAddr)> {
        let mut waits = self.waits();
        poll_fn(|cx| self.first_accepted(polled(&mut waits, cx))).await
    }

    /// As [`accept_async`](Self::accept_async), but a shard that fails is passed over: if all do,
    /// this waits for ever.
    #[cfg(feature = "axum")]
    pub(crate) async fn accept_where_possible(&self) -> (SocketCore, SocketAddr) {
        let mut waits = self.waits();
        poll_fn(|cx| match self.first_accepted(polled(&mut waits, cx)) {
            Poll::Ready(Ok(accepted)) => Poll::Ready(accepted),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// A wait in each shard, with its place.
    fn waits(&self) -> SmallVec<[(usize, impl Future<Output = Accepted> + Unpin); 1]> {
        let waits = self.in_turn().map(|(place, core)| {
            let accept = |shard: &mut Shard, now| accept_from(core, shard, now);
            (place, core.operation(Direction::Read, accept))
        });
        waits.collect()
    }

    /// Tries once, and leaves the task's waker in each shard if nobody waits anywhere.
    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(SocketCore, SocketAddr)>> {
        let polls = self.in_turn().map(|(place, core)| {
            let accepted = core
                .poll_operation(Direction::Read, cx, |shard, now| accept_from(core, shard, now));
            (place, accepted)
        });
        self.first_accepted(polls)
    }

    /// What the first that has something has, and else what the first that has failed says.
    fn first_accepted(
        &self,
        polls: impl Iterator<Item = (usize, Poll<Accepted>)>,
    ) -> Poll<io::Result<(SocketCore, SocketAddr)>> {
        let mut failure = None;
        for (place, poll) in polls {
            match poll {
                Poll::Ready(Ok(accepted)) => {
                    return Poll::Ready(Ok(self.accepted(place, accepted)));
                }
                Poll::Ready(Err(error)) => failure = failure.or(Some(error)),
                Poll::Pending => {}
            }
        }
        failure.map_or(Poll::Pending, |error| Poll::Ready(Err(error)))
    }
}

/// Polls all.
fn polled<F: Future + Unpin>(
    waits: &mut [(usize, F)],
    cx: &mut Context<'_>,
) -> impl Iterator<Item = (usize, Poll<F::Output>)> {
    waits.iter_mut().map(|(place, wait)| (*place, Pin::new(wait).poll(cx)))
}
