//! Invariants between the parts of a connection; simulations call this after every step.

use super::connection::{Connection, Reader};
use super::state::State;

impl Connection {
    /// Panics if two parts contradict each other.
    ///
    /// State and positions say the same thing twice on purpose: `FinWait2` if and only if our FIN
    /// is acknowledged and the peer's has not come, and so on.
    pub(crate) fn check(&self) {
        self.send.check();
        self.receive.check();
        self.recovery.check(self.outstanding());
        self.path.check(self.send.una(), self.send.nxt());
        let (ours, theirs) = (self.send.is_fin_acked(), self.receive.is_finished());
        let (may_send, may_receive) = (self.state.may_send(), self.state.may_receive());
        assert_eq!(may_receive, !theirs, "{:?}: the peer's FIN", self.state);
        match self.state {
            State::Established | State::CloseWait => {
                assert!(may_send && !self.send.is_fin_sent(), "a FIN left before CLOSE");
                assert_eq!(self.reader, Reader::Socket, "nobody reads, and nobody has closed");
            }
            State::FinWait1 | State::Closing | State::LastAck => {
                assert!(!ours, "{:?}, though our FIN is acknowledged", self.state);
            }
            State::FinWait2 => assert!(ours, "FIN-WAIT-2, though our FIN is not acknowledged"),
        }
    }
}
