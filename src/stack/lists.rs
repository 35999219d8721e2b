//! Lists of flows that have something in common: the children of a listener, the orphans, the
//! records in TIME-WAIT.

use std::num::NonZeroU32;

use super::demux::{FlowId, Flows};
use super::flow::{Flow, Owner};
use super::listeners::Child;
use super::{Event, Instant, Observer, Stack};
use crate::collections::index_of;
use crate::tcp::Listener;

/// Flows in the order in which they joined, linked through their entries: joining, leaving and
/// finding the oldest cost the same however many there are.
///
/// A flow stands in one list at most: [`Stack::give_to`] and [`Stack::remove_flow`] see to it.
#[derive(Debug, Default)]
pub(super) struct FlowList {
    first: Option<FlowId>,
    last: Option<FlowId>,
    len: usize,
}

/// A flow's neighbours in its list, by their places: each is there for as long as it is linked, so
/// that half of an identifier names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    before: Option<Neighbour>,
    after: Option<Neighbour>,
}

/// The place of a flow, and one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Neighbour(NonZeroU32);

impl Neighbour {
    fn of(id: FlowId) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index_of(id)))
    }

    fn id(self, flows: &Flows) -> Option<FlowId> {
        flows.at(self.0.get() - 1)
    }
}

impl FlowList {
    /// How many stand in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The one that has stood here longest.
    pub(super) fn first(&self) -> Option<FlowId> {
        self.first
    }

    /// All that stand in it, the one first that has stood here longest.
    #[cfg(any(test, feature = "sim"))]
    pub(super) fn iter<'a>(
        &self,
        flows: &'a Flows,
    ) -> impl Iterator<Item = &'a super::flow::FlowEntry> {
        let after = |id: &FlowId| flows.get(*id)?.links.after?.id(flows);
        std::iter::successors(self.first, after).filter_map(|id| flows.get(id))
    }

    /// Appends a flow that stands in no list.
    fn push(&mut self, flows: &mut Flows, id: FlowId) {
        let before = self.last.replace(id);
        if let Some(entry) = flows.get_mut(id) {
            debug_assert_eq!(entry.links, Links::default(), "a flow stands in one list");
            entry.links = Links { before: before.map(Neighbour::of), after: None };
        }
        match before.and_then(|before| flows.get_mut(before)) {
            Some(entry) => entry.links.after = Some(Neighbour::of(id)),
            None => self.first = Some(id),
        }
        self.len += 1;
    }

    /// Takes a flow out that stands here.
    fn remove(&mut self, flows: &mut Flows, id: FlowId) {
        let Some(entry) = flows.get_mut(id) else { return };
        let links = std::mem::take(&mut entry.links);
        let before = links.before.and_then(|before| before.id(flows));
        let after = links.after.and_then(|after| after.id(flows));
        match before.and_then(|before| flows.get_mut(before)) {
            Some(entry) => entry.links.after = links.after,
            None => self.first = after,
        }
        match after.and_then(|after| flows.get_mut(after)) {
            Some(entry) => entry.links.before = links.before,
            None => self.last = before,
        }
        self.len -= 1;
    }
}

impl Stack {
    /// The flow is `owner`'s from now on.
    pub(super) fn give_to(&mut self, id: FlowId, owner: Owner) {
        if let Owner::Queue(listener, _) = owner
            && let Some(entry) = self.flows.get_mut(id)
            && entry.owner == Owner::Listener(listener)
        {
            entry.owner = owner; // A child of the same listener still, and not half-open any more.
            if let Some(entry) = self.listeners.get_mut(listener) {
                entry.listener.on_forgotten();
            }
            return;
        }
        self.leave_list(id);
        if let Some(entry) = self.flows.get_mut(id) {
            entry.owner = owner;
        }
        self.join_list(id);
    }

    /// Puts a flow, which stands in no list, at the end of the one that its owner calls for.
    pub(super) fn join_list(&mut self, id: FlowId) {
        if let Some((list, flows)) = self.list_of(id) {
            list.push(flows, id);
        }
        if let Some(listener) = self.half_open_listener(id) {
            listener.on_half_open();
        }
    }

    /// Takes a flow out of the list in which it stands, before its owner or its kind changes.
    pub(super) fn leave_list(&mut self, id: FlowId) {
        if let Some((list, flows)) = self.list_of(id) {
            list.remove(flows, id);
        }
        if let Some(listener) = self.half_open_listener(id) {
            listener.on_forgotten();
        }
    }

    /// Connections that count against their limit: all but the records in TIME-WAIT.
    pub(super) fn live(&self) -> usize {
        self.flows.len() - self.time_waits.len()
    }

    /// When the first of the records in TIME-WAIT ends. All wait equally long, so that they stand
    /// in the order of their ends and none needs an entry among the deadlines.
    pub(super) fn time_wait_end(&self) -> Option<Instant> {
        match &self.flows.get(self.time_waits.first()?)?.flow {
            Flow::TimeWait(record) => Some(record.deadline()),
            Flow::Connecting(_) | Flow::HalfOpen(_) | Flow::Open(_) => None,
        }
    }

    /// Removes the records in TIME-WAIT whose wait is over.
    pub(super) fn end_time_waits(&mut self, now: Instant, observer: &mut dyn Observer) {
        while self.time_wait_end().is_some_and(|end| end <= now)
            && let Some(id) = self.time_waits.first()
        {
            self.remove_flow(now, id, observer);
        }
    }

    /// Too many records in TIME-WAIT: those go that would end first. Too many orphans: the oldest
    /// are reset. They are the ones whose peers have kept them waiting longest; Linux resets the
    /// newest instead, which may be anybody's.
    pub(super) fn shed(&mut self, now: Instant, observer: &mut dyn Observer) {
        while self.time_waits.len() > self.config.limits.time_wait_max
            && let Some(id) = self.time_waits.first()
        {
            self.evict(now, id, observer);
        }
        while self.orphans.len() > self.config.limits.orphans_max
            && let Some(id) = self.orphans.first()
        {
            self.evict(now, id, observer);
        }
    }

    fn evict(&mut self, now: Instant, id: FlowId, observer: &mut dyn Observer) {
        let reset = self.flows.get(id).and_then(|entry| entry.abort(now));
        let Some(entry) = self.remove_flow(now, id, observer) else { return };
        observer.on_event(now, &Event::Evicted { flow: entry.tuple });
        if let Some(reset) = reset {
            self.depart(&entry, reset);
        }
    }

    /// The list in which a flow stands, or belongs.
    fn list_of(&mut self, id: FlowId) -> Option<(&mut FlowList, &mut Flows)> {
        let Self { flows, listeners, orphans, time_waits, .. } = self;
        let entry = flows.get(id)?;
        let list = match entry.owner {
            Owner::Socket(_) => return None,
            Owner::Listener(id) | Owner::Queue(id, _) => &mut listeners.get_mut(id)?.children,
            Owner::Nobody if matches!(entry.flow, Flow::TimeWait(_)) => time_waits,
            Owner::Nobody => orphans,
        };
        Some((list, flows))
    }

    /// The listener that counts the flow as half-open.
    fn half_open_listener(&mut self, id: FlowId) -> Option<&mut Listener<Child>> {
        let Owner::Listener(listener) = self.flows.get(id)?.owner else { return None };
        Some(&mut self.listeners.get_mut(listener)?.listener)
    }
}
