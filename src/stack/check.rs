//! Invariants of the whole stack; simulations call this after every step.

use std::collections::BTreeMap;

use super::flow::{Flow, FlowEntry, Owner};
use super::listeners::Child;
use super::socket::Kind;
use super::{Stack, TcpState};

impl Stack {
    /// Panics if two parts of the stack contradict each other. It looks at everything.
    ///
    /// Call it after `transmit` has returned nothing.
    pub fn check(&self) {
        let (mut charged, mut states) = (0, BTreeMap::new());
        for (id, entry) in self.flows.iter() {
            assert_eq!(
                self.flows.find(&entry.tuple),
                Some(id),
                "{}: not in the table",
                entry.tuple
            );
            assert!(!entry.is_ready, "{}: still ready, though all was transmitted", entry.tuple);
            if let Some(at) = entry.deadline() {
                let called = self.deadlines.of(id);
                assert!(
                    called.is_some_and(|called| called <= at),
                    "{}: wants to be called at {at:?}, and is at {called:?}",
                    entry.tuple
                );
            }
            charged += entry.charged;
            *states.entry(entry.tcp_state()).or_default() += 1;
            if let Flow::Open(connection) = &entry.flow {
                connection.check();
                assert!(connection.is_silent(), "{}: its turn was forgotten", entry.tuple);
                assert!(
                    !connection.is_busy() || entry.deadline().is_some(),
                    "{}: has something to send or in flight, and waits for no time",
                    entry.tuple
                );
                assert_eq!(entry.charged, connection.allocated(), "{}: charged", entry.tuple);
                let least = self.mtu().min(self.config.tcp.path_mtu_min.into());
                let mtu = connection.info().path_mtu;
                let is_believable = least <= mtu && mtu <= self.mtu();
                assert!(is_believable, "{}: believes in a path MTU of {mtu}", entry.tuple);
            }
            if let Owner::Socket(socket) = entry.owner {
                let kind = self.sockets.get(socket).map(|socket| &socket.kind);
                let is_linked = matches!(
                    kind,
                    Some(Kind::Connected(flow) | Kind::Connecting(flow)) if *flow == id
                );
                assert!(is_linked, "{}: its socket knows nothing of it", entry.tuple);
            }
        }
        for state in TcpState::ALL {
            let counted = states.get(&state).copied().unwrap_or(0);
            assert_eq!(self.states.of(state), counted, "connections that count as {state}");
        }
        self.check_lists();
        self.listeners.check();
        charged += self.held_by_the_ended();
        assert_eq!(self.memory.used(), charged, "the memory in use is not what is charged");
        for (id, socket) in self.sockets.iter() {
            if let Kind::Connected(flow) | Kind::Connecting(flow) = socket.kind {
                let owner = self.flows.get(flow).map(|entry| entry.owner);
                assert_eq!(owner, Some(Owner::Socket(id)), "a socket's flow is not its own");
            }
        }
        assert!(
            self.deadlines.len() <= self.live(),
            "{} deadlines of {} flows, records in TIME-WAIT apart",
            self.deadlines.len(),
            self.live()
        );
    }

    /// Octets of the largest packet that our interface takes.
    pub fn mtu(&self) -> u32 {
        self.config.interface.mtu
    }

    /// What the stack still holds, in sentences, while programs hold `sockets` of it. Nothing,
    /// once every connection has ended and TIME-WAIT is over.
    pub fn leftovers(&self, sockets: usize) -> Vec<String> {
        let mut left = Vec::new();
        let mut expect = |what: &str, held: usize, wanted: usize| {
            if held != wanted {
                left.push(format!("{held} {what} are held, and {wanted} should be"));
            }
        };
        expect("connections", self.flows.len(), 0);
        expect("octets of TCP buffers", self.memory.used(), 0);
        expect("deadlines", self.deadlines.len(), 0);
        expect("packets of nobody", self.departures.len(), 0);
        expect("sockets", self.sockets.len(), sockets);
        left
    }

    /// Every list has the flows that belong there, and no other.
    fn check_lists(&self) {
        let count = |wanted: &dyn Fn(&FlowEntry) -> bool| {
            self.flows.iter().filter(|(_, entry)| wanted(entry)).count()
        };
        let is_time_wait = |entry: &FlowEntry| matches!(entry.flow, Flow::TimeWait(_));
        assert_eq!(self.time_waits.len(), count(&is_time_wait), "in TIME-WAIT");
        let ends = self.time_waits.iter(&self.flows).map(|entry| match &entry.flow {
            Flow::TimeWait(record) => record.deadline(),
            _ => panic!("{}: not in TIME-WAIT", entry.tuple),
        });
        assert!(ends.is_sorted(), "records in TIME-WAIT stand in the order of their ends");
        let is_orphan = |entry: &FlowEntry| entry.owner == Owner::Nobody && !is_time_wait(entry);
        assert_eq!(self.orphans.len(), count(&is_orphan), "orphans");
        for id in self.listeners.ids() {
            let Some(entry) = self.listeners.get(id) else { continue };
            let half_open = count(&|child| child.owner == Owner::Listener(id));
            assert_eq!(entry.listener.half_open(), half_open, "half-open connections");
            let alive = |child: &&Child| matches!(child, Child::Open(_));
            let waiting = entry.listener.waiting().filter(alive).count();
            assert_eq!(entry.children.len(), half_open + waiting, "children of a listener");
        }
    }

    /// Octets that wait to be read though their connections have ended.
    fn held_by_the_ended(&self) -> usize {
        let in_sockets = self.sockets.iter().map(|(_, socket)| match &socket.kind {
            Kind::Ended(ended) => ended.unread.allocated(),
            _ => 0,
        });
        let ids = self.listeners.ids();
        let listeners = ids.iter().filter_map(|&id| self.listeners.get(id));
        let in_queues =
            listeners.flat_map(|entry| entry.listener.waiting()).map(|child| match child {
                Child::Ended(ended, _) => ended.unread.allocated(),
                Child::Open(_) => 0,
            });
        in_sockets.chain(in_queues).sum()
    }
}
