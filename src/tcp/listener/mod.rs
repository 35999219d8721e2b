//! LISTEN: the backlog, and the connections that wait for `accept` (RFC 9293 §3.10.7.2).

pub(crate) mod half_open;

use std::collections::VecDeque;

use super::reset::reset_for;
use super::segment::{Segment, SegmentPlan};
use crate::observe::DropReason;

/// A passive open. `K` is the handle under which its owner knows a connection.
#[derive(Debug)]
pub(crate) struct Listener<K> {
    /// Connections that may wait for `accept`, and half-open ones that may exist.
    backlog: usize,
    /// Half-open connections.
    half_open: usize,
    /// Established connections that nobody has accepted, the oldest first.
    ready: VecDeque<K>,
}

/// What a listener does with a segment for which there is no connection.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A SYN that is to be answered: a half-open connection is to be made.
    Open,
    /// An ACK of something that is not here.
    Answer(SegmentPlan),
    /// Nothing happens.
    Drop(DropReason),
}

impl<K: Copy + PartialEq> Listener<K> {
    /// Listens, with room for `backlog` connections that wait.
    pub(crate) fn new(backlog: usize) -> Self {
        Self { backlog: backlog.max(1), half_open: 0, ready: VecDeque::new() }
    }

    /// Another `listen` on the same socket changes the backlog, as on Linux.
    pub(crate) fn set_backlog(&mut self, backlog: usize) {
        self.backlog = backlog.max(1);
    }

    /// SEGMENT ARRIVES in LISTEN (RFC 9293 §3.10.7.2): first RST, second ACK, third SYN; all
    /// else cannot be meant for us. A SYN with a FIN is dropped: nobody sends one in good faith.
    ///
    /// A full backlog drops the SYN, and does not reset: the peer tries again, and by then there
    /// may be room (as Linux).
    pub(crate) fn judge(&self, segment: &Segment) -> Verdict {
        if segment.rst {
            return Verdict::Drop(DropReason::StrayReset);
        }
        if segment.ack.is_some() {
            return match reset_for(segment) {
                Some(reset) => Verdict::Answer(reset),
                None => Verdict::Drop(DropReason::NotForListener),
            };
        }
        if !segment.syn || segment.fin {
            Verdict::Drop(DropReason::NotForListener)
        } else if self.ready.len() >= self.backlog {
            Verdict::Drop(DropReason::AcceptQueueFull)
        } else if self.half_open >= self.backlog {
            Verdict::Drop(DropReason::BacklogFull)
        } else {
            Verdict::Open
        }
    }

    /// A half-open connection was made.
    pub(crate) fn on_half_open(&mut self) {
        self.half_open += 1;
    }

    /// A half-open connection has gone without being established.
    pub(crate) fn on_forgotten(&mut self) {
        debug_assert!(self.half_open > 0);
        self.half_open = self.half_open.saturating_sub(1);
    }

    /// Whether a half-open connection may become established: else its last ACK is dropped, and
    /// the SYN-ACK or the peer's data will bring another.
    pub(crate) fn has_room(&self) -> bool {
        self.ready.len() < self.backlog
    }

    /// A half-open connection is established.
    pub(crate) fn on_established(&mut self, connection: K) {
        self.on_forgotten();
        self.ready.push_back(connection);
    }

    /// A connection ended before anybody accepted it.
    pub(crate) fn on_ended(&mut self, connection: K) {
        self.ready.retain(|&waiting| waiting != connection);
    }

    /// The connection that has waited longest.
    pub(crate) fn accept(&mut self) -> Option<K> {
        self.ready.pop_front()
    }

    /// Whether somebody waits.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::{TcpFlags, TcpHeader};
    use crate::wire::tcp_options::TcpOptions;

    fn segment(flags: TcpFlags) -> Segment {
        let header = TcpHeader {
            source_port: 1,
            destination_port: 2,
            seq: 7,
            ack: 9,
            flags,
            window: 0,
            urgent: 0,
        };
        Segment::new(&header, TcpOptions::default(), bytes::Bytes::new())
    }

    #[test]
    fn rst_is_ignored_ack_is_reset_syn_is_answered_and_the_rest_dropped() {
        let listener = Listener::<u32>::new(1);
        let (syn, ack, fin, rst) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN, TcpFlags::RST);
        assert!(matches!(listener.judge(&segment(syn)), Verdict::Open));
        for flags in [ack, syn.with(ack), fin.with(ack)] {
            assert!(matches!(listener.judge(&segment(flags)), Verdict::Answer(_)), "{flags:?}");
        }
        for flags in [rst, rst.with(ack), TcpFlags::NONE, fin, syn.with(fin), syn.with(rst)] {
            assert!(matches!(listener.judge(&segment(flags)), Verdict::Drop(_)), "{flags:?}");
        }
    }

    #[test]
    fn a_full_backlog_drops_and_has_room_again_later() {
        let mut listener = Listener::<u32>::new(2);
        listener.on_half_open();
        listener.on_half_open();
        let verdict = listener.judge(&segment(TcpFlags::SYN));
        assert!(matches!(verdict, Verdict::Drop(DropReason::BacklogFull)));
        listener.on_established(1);
        listener.on_established(2);
        assert!(!listener.has_room());
        let verdict = listener.judge(&segment(TcpFlags::SYN));
        assert!(matches!(verdict, Verdict::Drop(DropReason::AcceptQueueFull)));
        assert_eq!(listener.accept(), Some(1));
        assert!(listener.has_room());
        assert!(matches!(listener.judge(&segment(TcpFlags::SYN)), Verdict::Open));
    }

    #[test]
    fn a_connection_that_died_before_accept_is_not_handed_out() {
        let mut listener = Listener::<u32>::new(2);
        for connection in [1, 2] {
            listener.on_half_open();
            listener.on_established(connection);
        }
        listener.on_ended(1);
        assert_eq!((listener.accept(), listener.accept()), (Some(2), None));
    }
}
