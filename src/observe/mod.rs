//! What happened: the vocabulary of events. No behaviour; counters and logs are derived.

mod counters;
mod drop_reason;
mod log;
mod tcp_state;

pub use self::counters::{Counter, Counters};
pub use self::drop_reason::DropReason;
pub use self::log::LogObserver;
pub use self::tcp_state::TcpState;

/// Why a TCP segment was sent: of an open connection the arm that was taken in `tcp::output`'s
/// `choose`; SYNs and resets come from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendReason {
    /// SYN, or SYN and ACK.
    Handshake,
    /// New octets.
    Data,
    /// Our FIN, with or without the last octets.
    Fin,
    /// Octets or a FIN that were sent before.
    Retransmission,
    /// New octets in a segment that may be too large for the path (RFC 4821).
    MtuProbe,
    /// A probe of a zero window (RFC 9293 §3.8.6.1).
    WindowProbe,
    /// A question to an idle peer whether it is still there (RFC 9293 §3.8.4).
    KeepAlive,
    /// An acknowledgment or a window update, and nothing else.
    Ack,
    /// RST of a connection that we abort.
    Reset,
}

/// Something that happened in the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A packet came in, of this many octets.
    PacketReceived {
        /// Octets of the whole packet.
        len: usize,
    },
    /// A packet went no further.
    PacketDropped {
        /// Why.
        reason: DropReason,
    },
    /// A packet came in over the queue of a shard to which it does not belong, and was handed to
    /// the one to which it does. There it has come in.
    StrayForwarded,
    /// A packet left, of this many octets.
    PacketSent {
        /// Octets of the whole packet.
        len: usize,
    },
    /// A segment of a TCP connection left.
    SegmentSent {
        /// Which connection.
        flow: crate::wire::FourTuple,
        /// Why.
        reason: SendReason,
        /// Octets of data in it.
        len: u32,
    },
    /// A connection moved from one state to another.
    StateChanged {
        /// Which connection.
        flow: crate::wire::FourTuple,
        /// The state before.
        from: TcpState,
        /// The state after.
        to: TcpState,
    },
    /// A SYN was answered by a cookie: nothing was kept of it.
    SynCookieSent {
        /// Between whom.
        flow: crate::wire::FourTuple,
    },
    /// An ACK brought a cookie back, and a connection was made of it. One that brought none while
    /// cookies were awaited was dropped as [`DropReason::BadCookie`], and one whose cookie had been
    /// taken before as [`DropReason::CookieSpent`].
    SynCookieTaken {
        /// Between whom.
        flow: crate::wire::FourTuple,
    },
    /// The buffers of all TCP connections have reached their limit
    /// ([`Limits::memory_max`](crate::Limits)), or are well below it again.
    MemoryPressure {
        /// Whether memory is short from now on.
        is_short: bool,
    },
    /// An orphan or a record in TIME-WAIT made room for a newer one.
    Evicted {
        /// Which connection.
        flow: crate::wire::FourTuple,
    },
    /// A retransmission timer ran out.
    RetransmissionTimeout {
        /// Which connection.
        flow: crate::wire::FourTuple,
    },
    /// Nothing was acknowledged for R1 retransmissions: the peer, or the way to it, may be gone
    /// (RFC 9293 §3.8.3).
    PeerSilent {
        /// Which connection.
        flow: crate::wire::FourTuple,
    },
    /// Duplicate acknowledgments told of a loss (RFC 5681 §3.2).
    FastRetransmit {
        /// Which connection.
        flow: crate::wire::FourTuple,
    },
}

/// Who is told. Passed into the calls that make things happen; the stack stores none.
pub trait Observer {
    /// Something happened at `now`.
    fn on_event(&mut self, now: crate::time::Instant, event: &Event);
}

/// Listens to nothing.
impl Observer for () {
    fn on_event(&mut self, _now: crate::time::Instant, _event: &Event) {}
}

/// Both are told.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn on_event(&mut self, now: crate::time::Instant, event: &Event) {
        self.0.on_event(now, event);
        self.1.on_event(now, event);
    }
}
