//! Waiting with a task for a connection in any shard.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use crate::runtime::Direction;
use crate::socket::{Replicas, SocketCore};

impl Replicas {
    /// Waits for a connection. Cancel-safe: a future that is dropped before it is ready has
    /// accepted nothing.
    pub(crate) async fn accept_async(&self) -> io::Result<(SocketCore, SocketAddr)> {
        let waits = self.in_turn().map(|(place, core)| {
            let id = core.id();
            let accept =
                core.operation(Direction::Read, move |shard, now| shard.stack.accept(now, id));
            (place, accept)
        });
        let mut waits: SmallVec<[_; 1]> = waits.collect();
        poll_fn(|cx| {
            for (place, accept) in &mut waits {
                if let Poll::Ready(result) = Pin::new(accept).poll(cx) {
                    return Poll::Ready(result.map(|accepted| self.accepted(*place, accepted)));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Tries once, and leaves the task's waker in each shard if nobody waits anywhere.
    pub(crate) fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(SocketCore, SocketAddr)>> {
        for (place, core) in self.in_turn() {
            let accepted = core.poll_operation(Direction::Read, cx, |shard, now| {
                shard.stack.accept(now, core.id())
            });
            if let Poll::Ready(result) = accepted {
                return Poll::Ready(result.map(|accepted| self.accepted(place, accepted)));
            }
        }
        Poll::Pending
    }
}
