//! Invariants of the whole stack; simulations call this after every step.

use super::Stack;
use super::flow::{Flow, Owner};
use super::socket::Kind;

impl Stack {
    /// Panics if two parts of the stack contradict each other. It looks at everything.
    ///
    /// Call it after `transmit` has returned nothing.
    pub fn check(&self) {
        let mut charged = 0;
        for (id, entry) in self.flows.iter() {
            assert_eq!(
                self.flows.find(&entry.tuple),
                Some(id),
                "{}: not in the table",
                entry.tuple
            );
            assert!(!entry.is_ready, "{}: still ready, though all was transmitted", entry.tuple);
            charged += entry.charged;
            if let Flow::Open(connection) = &entry.flow {
                connection.check();
                assert_eq!(entry.charged, connection.allocated(), "{}: charged", entry.tuple);
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
        assert_eq!(self.memory, charged, "the memory in use is not what is charged");
        for (id, socket) in &self.sockets {
            if let Kind::Connected(flow) | Kind::Connecting(flow) = socket.kind {
                let owner = self.flows.get(flow).map(|entry| entry.owner);
                assert_eq!(owner, Some(Owner::Socket(id)), "a socket's flow is not its own");
            }
        }
    }
}
