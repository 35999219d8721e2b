//! LISTEN: the backlog, and the connections that wait for `accept` (RFC 9293 §3.10.7.2).

pub(crate) mod cookies;
pub(crate) mod half_open;
pub(crate) mod promises;
mod spent;

use std::collections::VecDeque;

use super::config::SynCookies;
use super::reset::reset_for;
use super::segment::{Segment, SegmentPlan};
use crate::observe::DropReason;

/// A passive open. `C` is what its owner knows of a connection that waits.
#[derive(Debug)]
pub(crate) struct Listener<C> {
    /// Half-open connections that may exist; one more may wait for `accept`, as on Linux.
    backlog: usize,
    /// Half-open connections.
    half_open: usize,
    /// Established connections that nobody has accepted, the oldest first.
    ready: VecDeque<C>,
    /// The ticket of the first of them.
    first: Ticket,
    /// When SYNs are answered by cookies.
    cookies: SynCookies,
}

/// A place in the queue of connections that wait for `accept`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// What a listener does with a segment for which there is no connection.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A SYN that is to be answered: a half-open connection is to be made.
    Open,
    /// A SYN that is to be answered by a cookie: nothing is kept of it.
    SendCookie,
    /// An ACK that may bring a cookie back. If it does not it is dropped in silence: a flood of
    /// forged ones is to cause no flood of resets. One that has had its connection is reset.
    TakeCookie,
    /// An ACK of something that is not here.
    Answer(SegmentPlan),
    /// Nothing happens.
    Drop(DropReason),
}

impl<C> Listener<C> {
    /// Listens, with room for `backlog` connections that wait.
    pub(crate) fn new(backlog: usize, cookies: SynCookies) -> Self {
        Self {
            backlog: backlog.max(1),
            half_open: 0,
            ready: VecDeque::new(),
            first: Ticket::default(),
            cookies,
        }
    }

    /// Another `listen` on the same socket changes the backlog, as on Linux.
    pub(crate) fn set_backlog(&mut self, backlog: usize) {
        self.backlog = backlog.max(1);
    }

    /// How many may wait.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog
    }

    /// SEGMENT ARRIVES in LISTEN (RFC 9293 §3.10.7.2): first RST, second ACK, third SYN; all
    /// else cannot be meant for us. A SYN with a FIN is dropped: nobody sends one in good faith.
    ///
    /// A full accept queue drops the SYN, and does not reset: the peer tries again, and by then
    /// there may be room (as Linux). A full queue of half-open connections is what cookies are for.
    ///
    /// `awaits_cookies`: whether any may come back, be it that another listener has sent them that
    /// shares or shared our port.
    pub(crate) fn judge(&self, segment: &Segment, awaits_cookies: bool) -> Verdict {
        if segment.rst {
            return Verdict::Drop(DropReason::StrayReset);
        }
        if segment.ack.is_some() {
            if !segment.syn && awaits_cookies {
                return Verdict::TakeCookie;
            }
            return match reset_for(segment) {
                Some(reset) => Verdict::Answer(reset),
                None => Verdict::Drop(DropReason::NotForListener),
            };
        }
        if !segment.syn || segment.fin {
            return Verdict::Drop(DropReason::NotForListener);
        }
        if !self.has_room() {
            return Verdict::Drop(DropReason::AcceptQueueFull);
        }
        match (self.cookies, self.half_open < self.backlog) {
            (SynCookies::UnderPressure | SynCookies::Off, true) => Verdict::Open,
            (SynCookies::Always, _) | (SynCookies::UnderPressure, false) => Verdict::SendCookie,
            (SynCookies::Off, false) => Verdict::Drop(DropReason::BacklogFull),
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
    /// the SYN-ACK or the peer's data will bring another. The queue holds one more than the
    /// backlog says (as Linux, `sk_acceptq_is_full`).
    pub(crate) fn has_room(&self) -> bool {
        self.ready.len() <= self.backlog
    }

    /// A connection waits for `accept` from now on.
    pub(crate) fn enqueue(&mut self, connection: C) -> Ticket {
        let place = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        self.ready.push_back(connection);
        Ticket(self.first.0.wrapping_add(place))
    }

    /// The connection that waits with this ticket.
    pub(crate) fn waiting_mut(&mut self, ticket: Ticket) -> Option<&mut C> {
        let place = ticket.0.wrapping_sub(self.first.0);
        self.ready.get_mut(usize::try_from(place).ok()?)
    }

    /// The connection that has waited longest.
    pub(crate) fn accept(&mut self) -> Option<C> {
        let connection = self.ready.pop_front()?;
        self.first.0 = self.first.0.wrapping_add(1);
        Some(connection)
    }

    /// Those that wait, the oldest first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &C> {
        self.ready.iter()
    }

    /// How many half-open connections there are.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn half_open(&self) -> usize {
        self.half_open
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

    fn listener(backlog: usize, cookies: SynCookies) -> Listener<u32> {
        Listener::new(backlog, cookies)
    }

    fn judge(listener: &Listener<u32>, flags: TcpFlags) -> Verdict {
        listener.judge(&segment(flags), false)
    }

    #[test]
    fn rst_is_ignored_ack_is_reset_syn_is_answered_and_the_rest_dropped() {
        let listener = listener(1, SynCookies::UnderPressure);
        let (syn, ack, fin, rst) = (TcpFlags::SYN, TcpFlags::ACK, TcpFlags::FIN, TcpFlags::RST);
        assert!(matches!(judge(&listener, syn), Verdict::Open));
        for flags in [ack, syn.with(ack), fin.with(ack)] {
            assert!(matches!(judge(&listener, flags), Verdict::Answer(_)), "{flags:?}");
        }
        for flags in [rst, rst.with(ack), TcpFlags::NONE, fin, syn.with(fin), syn.with(rst)] {
            assert!(matches!(judge(&listener, flags), Verdict::Drop(_)), "{flags:?}");
        }
    }

    #[test]
    fn a_full_backlog_drops_or_sends_cookies_and_has_room_again_later() {
        for cookies in [SynCookies::Off, SynCookies::UnderPressure] {
            let mut listener = listener(2, cookies);
            listener.on_half_open();
            listener.on_half_open();
            match judge(&listener, TcpFlags::SYN) {
                Verdict::Drop(reason) => {
                    assert_eq!((cookies, reason), (SynCookies::Off, DropReason::BacklogFull));
                }
                Verdict::SendCookie => assert_eq!(cookies, SynCookies::UnderPressure),
                verdict => panic!("{cookies:?}: {verdict:?}"),
            }
            listener.on_forgotten();
            assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::Open));
        }
        let listener = listener(2, SynCookies::Always);
        assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::SendCookie));
    }

    #[test]
    fn a_second_listen_changes_the_backlog_and_no_backlog_is_one() {
        let mut listener = listener(0, SynCookies::Off);
        assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::Open));
        listener.on_half_open();
        assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::Drop(_)));
        listener.set_backlog(2);
        assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::Open));
        listener.set_backlog(0);
        assert_eq!(listener.backlog(), 1);
    }

    #[test]
    fn acks_are_looked_at_for_cookies_while_any_are_awaited_and_else_reset() {
        let listener = listener(1, SynCookies::UnderPressure);
        let (ack, syn_ack) = (TcpFlags::ACK, TcpFlags::SYN.with(TcpFlags::ACK));
        for awaits_cookies in [false, true] {
            let verdict = listener.judge(&segment(ack), awaits_cookies);
            assert_eq!(matches!(verdict, Verdict::TakeCookie), awaits_cookies);
            assert_eq!(matches!(verdict, Verdict::Answer(_)), !awaits_cookies);
            let verdict = listener.judge(&segment(syn_ack), awaits_cookies);
            assert!(matches!(verdict, Verdict::Answer(_)));
        }
    }

    #[test]
    fn one_more_than_the_backlog_waits_for_accept_and_then_syns_are_dropped() {
        let mut listener = listener(2, SynCookies::Off);
        assert!(!listener.is_ready());
        for connection in [1, 2, 3] {
            assert!(listener.has_room());
            assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::Open));
            listener.enqueue(connection);
        }
        assert!(!listener.has_room() && listener.is_ready());
        let verdict = judge(&listener, TcpFlags::SYN);
        assert!(matches!(verdict, Verdict::Drop(DropReason::AcceptQueueFull)));
        assert_eq!(listener.accept(), Some(1));
        assert!(listener.has_room());
        assert!(matches!(judge(&listener, TcpFlags::SYN), Verdict::Open));
    }

    #[test]
    fn a_ticket_finds_its_connection_whoever_was_accepted_before() {
        let mut listener = listener(9, SynCookies::Off);
        listener.first = Ticket(u32::MAX - 1); // Tickets wrap.
        let tickets = [1, 2, 3, 4].map(|connection| listener.enqueue(connection));
        assert_eq!(listener.accept(), Some(1));
        for (ticket, connection) in tickets.into_iter().zip([None, Some(2), Some(3), Some(4)]) {
            assert_eq!(listener.waiting_mut(ticket).copied(), connection);
        }
        *listener.waiting_mut(tickets[2]).unwrap() = 30;
        assert_eq!([2, 3, 4].map(|_| listener.accept()), [Some(2), Some(30), Some(4)]);
        assert_eq!(listener.waiting_mut(tickets[3]), None);
    }
}
