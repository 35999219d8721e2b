//! Which connections keep what only data needs although they have none: those that had some last.

use super::demux::{FlowId, Flows};
use super::flow::FlowEntry;
use crate::collections::OnceQueue;
use crate::tcp::Connection;

/// How many do. A connection that exchanges small messages with its peer would else ask the
/// allocator for each; a thousand that have fallen silent shall not keep anything.
const WARM_MAX: usize = 1024;

/// The connections that were busy last. Each has a bit in its entry.
#[derive(Debug, Default)]
pub(super) struct Warm {
    queue: OnceQueue<FlowId>,
}

impl Warm {
    /// The flow has had its turn: it may keep what it has.
    pub(super) fn on_turn(&mut self, id: FlowId, entry: &mut FlowEntry) {
        if !entry.is_warm && entry.connection().is_some_and(Connection::is_warm) {
            self.queue.join(id, &mut entry.is_warm);
        }
    }

    /// All of them, no more than a fixed number; some may have ended since.
    pub(super) fn iter(&self) -> impl Iterator<Item = FlowId> {
        self.queue.iter()
    }

    /// If there are too many, the one that has been warm longest may keep nothing. If that one is
    /// busy it stands here again after its turn.
    pub(super) fn cool_one(&mut self, flows: &mut Flows) {
        if self.queue.len() > WARM_MAX
            && let Some(oldest) = self.queue.pop()
            && let Some(entry) = flows.get_mut(oldest)
        {
            entry.is_warm = false;
            if let Some(connection) = entry.connection_mut() {
                connection.cool();
            }
        }
    }
}
