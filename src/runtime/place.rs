//! Where a handle makes its sockets: in one shard, or in any of several.

use std::sync::Arc;

use crate::runtime::shard::Shard;
use crate::runtime::shared::Shared;

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
    pub(super) fn anywhere(shards: Vec<Arc<Shared>>) -> Option<Arc<Self>> {
        let shards = shards.into_boxed_slice();
        let all = Arc::new(Handle { shards });
        let views: Box<[_]> =
            all.shards.iter().map(|shared| Self::within(&all, shared.clone())).collect();
        let shared = all.shards.first()?.clone();
        match &*views {
            [only] => Some(only.clone()),
            _ => Some(Arc::new(Self { shared, all, views })),
        }
    }

    fn within(all: &Arc<Handle>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared, all: all.clone(), views: [].into() })
    }

    /// The place in one shard alone. Counting goes round.
    pub(super) fn in_shard(self: &Arc<Self>, index: usize) -> Arc<Self> {
        let index = index % self.all.shards.len();
        match self.views.get(index) {
            Some(view) => view.clone(),
            None if Arc::ptr_eq(&self.shared, &self.all.shards[index]) => self.clone(),
            None => Self::within(&self.all, self.all.shards[index].clone()),
        }
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
