//! What people may know of all connections without looking at each: how many are in which state,
//! and some of them.

use std::cmp::Reverse;

use super::demux::FlowId;
use super::flow::FlowEntry;
use super::{ConnectionInfo, Event, Instant, Observer, Stack, TcpState};
use crate::collections::index_of;
use crate::tcp::Connection;

/// Looks at places that [`Stack::some_connections`] takes at most, beside those at the ones that it
/// names: a stack that is nearly empty after a rush is not searched to its end.
const LOOKS_MAX: usize = 16 << 10;

/// How many connections are in each state; half-open ones and records in TIME-WAIT count.
///
/// Kept as states change, where observers are told of it: so asking costs the same however many
/// there are, and nothing is done for a segment that changes no state. What a call ends at once, as
/// `close` with unread octets does, is counted and told to nobody: a call has no observer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts([usize; TcpState::ALL.len()]);

impl StateCounts {
    /// How many are in `state`; of CLOSED and LISTEN there are none.
    pub fn of(&self, state: TcpState) -> usize {
        self.0[state as usize]
    }

    /// Each state in which a connection can be, and how many are in it.
    pub fn iter(&self) -> impl Iterator<Item = (TcpState, usize)> {
        let states = TcpState::ALL.into_iter().zip(self.0);
        states.filter(|(state, _)| !matches!(state, TcpState::Closed | TcpState::Listen))
    }

    /// Adds those of another stack.
    fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Tells the observer when a flow's state is another than it last heard of.
    pub(super) fn report(
        &mut self,
        now: Instant,
        entry: &mut FlowEntry,
        observer: &mut dyn Observer,
    ) {
        self.report_as(now, entry, entry.tcp_state(), observer);
    }

    /// Tells the observer that a flow is no more.
    pub(super) fn report_closed(
        &mut self,
        now: Instant,
        entry: &mut FlowEntry,
        observer: &mut dyn Observer,
    ) {
        self.report_as(now, entry, TcpState::Closed, observer);
    }

    fn report_as(
        &mut self,
        now: Instant,
        entry: &mut FlowEntry,
        to: TcpState,
        observer: &mut dyn Observer,
    ) {
        let (flow, from) = (entry.tuple, entry.reported);
        if from == to {
            return;
        }
        entry.reported = to;
        if from != TcpState::Closed {
            self.0[from as usize] -= 1;
        }
        if to != TcpState::Closed {
            self.0[to as usize] += 1;
        }
        observer.on_event(now, &Event::StateChanged { flow, from, to });
    }
}

/// What a stack holds altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Connections, half-open ones and TIME-WAIT included.
    pub connections: usize,
    /// How many of them are in which state; one whose state has just changed may count as it was
    /// until it has had its turn to send.
    pub states: StateCounts,
    /// Connections that no socket holds and that still have something to say, TIME-WAIT apart.
    pub orphans: usize,
    /// Octets that the buffers of all TCP connections hold.
    pub buffered: usize,
}

impl Totals {
    /// Adds those of another stack.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { connections, states, orphans, buffered } = other;
        self.connections += connections;
        self.states.add(states);
        self.orphans += orphans;
        self.buffered += buffered;
    }
}

impl Stack {
    /// What the stack holds altogether. Asking costs the same however much that is.
    pub fn totals(&self) -> Totals {
        Totals {
            connections: self.flows.len(),
            states: self.states,
            orphans: self.orphans(),
            buffered: self.buffered(),
        }
    }

    /// At most `max` connections, in an order that stays as it is while they do. If there are more
    /// they are first of all those that have had something to send of late, of these the ones
    /// whose peers were heard of last, and then others, mostly old ones.
    ///
    /// The cost does not grow with the number of connections. So it may be that of few connections
    /// some are left out, where there were very many shortly before.
    pub fn some_connections(&self, max: usize) -> Vec<ConnectionInfo> {
        let heard_at = |id: FlowId| {
            let entry = self.flows.get(id)?;
            Some((Reverse(entry.connection().map(Connection::heard_at)), index_of(id), id))
        };
        let mut busy: Vec<_> = self.warm.iter().filter_map(heard_at).collect();
        busy.sort_unstable();
        let mut chosen: Vec<FlowId> = busy.into_iter().map(|(_, _, id)| id).take(max).collect();
        let others =
            self.flows.first(LOOKS_MAX.saturating_add(max)).filter(|(_, entry)| !entry.is_warm);
        chosen.extend(others.map(|(id, _)| id).take(max - chosen.len()));
        chosen.sort_unstable_by_key(|&id| index_of(id));
        chosen.iter().filter_map(|&id| self.flows.get(id)).map(FlowEntry::listed).collect()
    }
}

#[cfg(test)]
#[path = "tests/census.rs"]
mod tests;
