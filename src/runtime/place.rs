//! Where a handle makes its sockets: in one shard, or in any of several.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::runtime::shard::Shard;
use crate::runtime::shared::Shared;
use crate::wire::Steering;

/// Where a handle makes its sockets.
#[derive(Debug)]
pub(super) struct Place {
    /// The shard of the sockets that are made here, unless there are `views` to choose from.
    shared: Arc<Shared>,
    all: Arc<Handle>,
    /// If sockets are made in any of several shards: the place in each.
    views: Box<[Arc<Place>]>,
}

/// What all handles and sockets hold, and the drivers do not.
#[derive(Debug)]
struct Handle {
    shards: Box<[Arc<Shared>]>,
    steering: Steering,
    /// Whose turn it is to get a socket that may be anywhere.
    turn: AtomicUsize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        for shared in &self.shards {
            shared.ask(Shard::leave);
        }
    }
}

impl Place {
    /// The place that means all of a stack; `None` if it has no shard.
    pub(super) fn anywhere(shards: Vec<Arc<Shared>>, steering: Steering) -> Option<Arc<Self>> {
        let shards = shards.into_boxed_slice();
        let all = Arc::new(Handle { shards, steering, turn: AtomicUsize::new(0) });
        let views: Box<[_]> =
            all.shards.iter().map(|shared| Self::within(&all, shared.clone())).collect();
        match &*views {
            [] => None,
            [only] => Some(only.clone()),
            [first, ..] => {
                let shared = first.shared.clone();
                Some(Arc::new(Self { shared, all, views }))
            }
        }
    }

    fn within(all: &Arc<Handle>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, all: all.clone(), views: [].into() })
    }

    /// The place in one shard alone. Counting goes round.
    pub(super) fn in_shard(self: &Arc<Self>, index: usize) -> Arc<Self> {
        let index = index % self.all.shards.len();
        let shared = &self.all.shards[index];
        match self.views.get(index) {
            Some(view) => view.clone(),
            None if Arc::ptr_eq(&self.shared, shared) => self.clone(),
            None => Self::within(&self.all, shared.clone()),
        }
    }

    /// The place in each shard where sockets are made.
    pub(super) fn each(self: &Arc<Self>) -> &[Arc<Self>] {
        if self.views.is_empty() { slice::from_ref(self) } else { &self.views }
    }

    /// Which of [`Place::each`] gets a connection that may be anywhere: that whose driver shares
    /// the calling thread, else each in turn.
    pub(super) fn connecting(&self) -> usize {
        if self.views.is_empty() {
            return 0;
        }
        let here = self.views.iter().position(|view| view.shared.is_here());
        here.unwrap_or_else(|| self.all.turn.fetch_add(1, Ordering::Relaxed) % self.views.len())
    }

    /// The place of a connection that may be anywhere.
    pub(super) fn for_connection(self: &Arc<Self>) -> Arc<Self> {
        self.each()[self.connecting()].clone()
    }

    /// The place of a UDP socket: a port has one shard, whichever this place is.
    pub(super) fn for_udp_port(self: &Arc<Self>, port: u16) -> Arc<Self> {
        if port == 0 {
            return self.for_connection();
        }
        self.in_shard(self.udp_shard(port))
    }

    /// The shard that gets the datagrams for `port`.
    pub(super) fn udp_shard(&self, port: u16) -> usize {
        self.all.steering.owner_of_udp_port(port)
    }

    /// The shard of sockets that are made here.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// All shards of the stack, whatever this place is.
    pub(super) fn shards(&self) -> &[Arc<Shared>] {
        &self.all.shards
    }
}

#[cfg(test)]
#[path = "tests/place.rs"]
mod tests;
