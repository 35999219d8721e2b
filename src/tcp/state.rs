//! The states of a connection after the handshake, and the moves between them.

use self::Next::{Closed, Stay, TimeWait};
use self::State::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
use crate::observe::TcpState;

/// Where a connection is in RFC 9293 §3.3.2, Figure 5.
///
/// ```text
///   CLOSE / snd FIN  ┌─────────────┐  rcv FIN / snd ACK
///   ┌────────────────│ ESTABLISHED │────────────────┐
///   ▼                └─────────────┘                ▼
/// FIN-WAIT-1 ── rcv FIN ──▶ CLOSING            CLOSE-WAIT
///   │ rcv ACK of FIN          │ rcv ACK of FIN      │ CLOSE / snd FIN
///   ▼                         ▼                     ▼
/// FIN-WAIT-2 ── rcv FIN ──▶ TIME-WAIT           LAST-ACK ── rcv ACK of FIN ──▶ CLOSED
/// ```
///
/// LISTEN and SYN-RECEIVED live in `tcp::listener`, SYN-SENT in `tcp::connect`, TIME-WAIT in
/// `tcp::time_wait`: they hold other data. CLOSED is the absence of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
}

/// What a move out of a [`State`] leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Still a connection.
    Stay(State),
    /// Both FINs are through and we closed first: 2 MSL to go (RFC 9293 §3.6.1, MUST-13).
    TimeWait,
    /// Both FINs are through and the peer closed first: nothing is left to remember.
    Closed,
}

impl State {
    /// The user said CLOSE (RFC 9293 §3.10.4). Closing twice changes nothing.
    pub(crate) fn on_close(self) -> Self {
        match self {
            Established => FinWait1,
            CloseWait => LastAck,
            FinWait1 | FinWait2 | Closing | LastAck => self,
        }
    }

    /// The peer's FIN is next in sequence (RFC 9293 §3.10.7.4, eighth step).
    pub(crate) fn on_fin(self) -> Next {
        match self {
            Established => Stay(CloseWait),
            FinWait1 => Stay(Closing),
            FinWait2 => TimeWait,
            CloseWait | Closing | LastAck => Stay(self), // A retransmission.
        }
    }

    /// The peer acknowledged our FIN (RFC 9293 §3.10.7.4, fifth step).
    pub(crate) fn on_fin_acked(self) -> Next {
        match self {
            FinWait1 => Stay(FinWait2),
            Closing => TimeWait,
            LastAck => Closed,
            Established | CloseWait | FinWait2 => Stay(self),
        }
    }

    /// Whether the peer's FIN has not come yet, so that text may still arrive.
    pub(crate) fn may_receive(self) -> bool {
        match self {
            Established | FinWait1 | FinWait2 => true,
            CloseWait | Closing | LastAck => false,
        }
    }

    /// Whether the user has not said CLOSE yet, so that text may still be sent.
    pub(crate) fn may_send(self) -> bool {
        match self {
            Established | CloseWait => true,
            FinWait1 | FinWait2 | Closing | LastAck => false,
        }
    }
}

impl From<State> for TcpState {
    fn from(state: State) -> Self {
        match state {
            Established => Self::Established,
            FinWait1 => Self::FinWait1,
            FinWait2 => Self::FinWait2,
            CloseWait => Self::CloseWait,
            Closing => Self::Closing,
            LastAck => Self::LastAck,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which the two FINs cross decides the state that waits; nothing else does.
    #[test]
    fn must_13_only_the_side_that_closes_first_waits_two_msl() {
        assert_eq!(Established.on_close().on_fin_acked(), Stay(FinWait2));
        assert_eq!(FinWait2.on_fin(), TimeWait);

        assert_eq!(Established.on_close().on_fin(), Stay(Closing));
        assert_eq!(Closing.on_fin_acked(), TimeWait);

        assert_eq!(Established.on_fin(), Stay(CloseWait));
        assert_eq!(CloseWait.on_close().on_fin_acked(), Closed);
    }

    #[test]
    fn what_comes_twice_changes_nothing() {
        for state in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
            assert_eq!(state.on_close().on_close(), state.on_close());
            if !state.may_receive() {
                assert_eq!(state.on_fin(), Stay(state));
            }
        }
        for state in [Established, CloseWait, FinWait2] {
            assert_eq!(state.on_fin_acked(), Stay(state));
        }
    }
}
