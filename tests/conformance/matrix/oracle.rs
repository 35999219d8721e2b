//! What a TCP does with a segment, written down from RFC 9293 §3.10.7 and RFC 5961.
//!
//! Nothing here comes from `src/tcp`, and numbers are relative and do not wrap. Where wharf does
//! something else than the RFC's text, a [`Row`] says so and why; `src/manual/differences.md` lists
//! them too.

use super::cell::{Numbers, Seg};
use super::rows::Row;
use super::scene::{Scene, State};

/// What leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Nothing.
    Silence,
    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`, at once.
    Ack { seq: i64, ack: i64 },
    /// The same, at once or within half a second (§3.8.6.3).
    AckSoon { seq: i64, ack: i64 },
    /// `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>`; of a new connection nobody knows ISS.
    SynAck { seq: Option<i64>, ack: i64 },
    /// `<SEQ=SEG.ACK><CTL=RST>`.
    Reset { seq: i64 },
    /// `<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>`.
    ResetOfAll { ack: i64 },
}

/// What the application finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct App {
    /// Octets to read.
    pub(super) octets: i64,
    /// Behind them the end of the stream.
    pub(super) end: bool,
    /// Behind them an error.
    pub(super) error: Option<&'static str>,
}

/// What must come of a cell.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) reply: Reply,
    pub(super) state: State,
    pub(super) app: App,
    /// Where that is not what the RFC says.
    pub(super) rows: Vec<Row>,
}

/// A connection as the RFC describes it, and what has become of it so far.
struct Tcb {
    state: State,
    n: Numbers,
    app: App,
    rows: Vec<Row>,
}

/// The largest window that the peer has ever offered: MAX.SND.WND of RFC 5961 §5.
const MAX_SND_WND: i64 = 5000;

/// What must come of `seg` in the state that `scene` sets.
pub(super) fn expect(scene: &Scene, seg: &Seg) -> Expected {
    let has_fin =
        matches!(scene.state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait);
    let app = App { octets: scene.unread, end: has_fin, error: None };
    let mut tcb = Tcb { state: scene.state, n: scene.numbers, app, rows: Vec::new() };
    let reply = match scene.state {
        State::Closed => closed(seg),
        State::Listen => tcb.listen(seg),
        State::SynSent => tcb.syn_sent(seg),
        State::TimeWait => tcb.time_wait(seg),
        State::SynReceivedPassive
        | State::SynReceivedActive
        | State::Established
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait
        | State::Closing
        | State::LastAck => tcb.other(seg),
    };
    Expected { reply, state: tcb.state, app: tcb.app, rows: tcb.rows }
}

/// §3.10.7.1, and the same reset in LISTEN, SYN-SENT and SYN-RECEIVED for an ACK of nothing.
fn closed(seg: &Seg) -> Reply {
    match seg.ack {
        _ if seg.rst() => Reply::Silence,
        Some(ack) => Reply::Reset { seq: ack },
        None => Reply::ResetOfAll { ack: seg.seq + seg.len() },
    }
}

impl Tcb {
    fn ack(&self) -> Reply {
        Reply::Ack { seq: self.n.nxt, ack: self.n.rcv_nxt }
    }

    fn edge(&self) -> i64 {
        self.n.rcv_nxt + self.n.rcv_wnd
    }

    fn is_in_window(&self, seq: i64) -> bool {
        (self.n.rcv_nxt..self.edge()).contains(&seq)
    }

    /// §3.10.7.2: first RST, second ACK, third SYN; anything else is dropped.
    fn listen(&mut self, seg: &Seg) -> Reply {
        if seg.rst() || seg.ack.is_some() {
            return closed(seg);
        }
        if !seg.syn() {
            return Reply::Silence;
        }
        if seg.fin() {
            self.rows.push(Row::SynFin);
            return Reply::Silence;
        }
        // Text on a SYN waits for ESTABLISHED, or comes again: the acknowledgment is of the SYN.
        self.state = State::SynReceivedPassive;
        Reply::SynAck { seq: None, ack: seg.seq + 1 }
    }

    /// §3.10.7.3.
    fn syn_sent(&mut self, seg: &Seg) -> Reply {
        // First: SEG.ACK =< ISS or SEG.ACK > SND.NXT is reset, unless it is a reset itself.
        let is_good = seg.ack.map(|ack| 0 < ack && ack <= self.n.nxt);
        if is_good == Some(false) {
            return closed(seg);
        }
        // Second: a reset counts with an acceptable ACK only.
        if seg.rst() {
            if is_good == Some(true) {
                (self.state, self.app.error) = (State::Closed, Some("ECONNREFUSED"));
            }
            return Reply::Silence;
        }
        // Fifth: neither SYN nor RST.
        if !seg.syn() {
            return Reply::Silence;
        }
        // Fourth: SYN.
        self.n.rcv_nxt = seg.seq + 1;
        if is_good.is_none() {
            self.state = State::SynReceivedActive;
            return Reply::SynAck { seq: Some(0), ack: seg.seq + 1 };
        }
        self.state = State::Established;
        let rest = Seg { seq: seg.seq + 1, ..*seg };
        self.text_and_fin(&rest);
        self.ack()
    }

    /// §3.10.7.4.
    fn other(&mut self, seg: &Seg) -> Reply {
        let is_handshake =
            matches!(self.state, State::SynReceivedPassive | State::SynReceivedActive);
        if seg.rst() {
            return self.reset(seg);
        }
        if is_handshake && seg.syn() && seg.seq == self.n.rcv_nxt - 1 {
            return self.same_syn(seg);
        }
        // First: the four cases of Table 6.
        if !self.is_acceptable(seg) {
            return self.refused(seg);
        }
        // Fourth: SYN, as RFC 5961 §4 says.
        if seg.syn() {
            if self.state == State::SynReceivedPassive {
                self.rows.push(Row::SynInSynReceived);
            }
            return self.ack();
        }
        // Fifth: ACK.
        let Some(ack) = seg.ack else { return Reply::Silence };
        if is_handshake {
            if !(self.n.una < ack && ack <= self.n.nxt) {
                return closed(seg);
            }
            self.state = State::Established;
        }
        if !self.is_good_ack(ack) {
            return self.ack();
        }
        self.acknowledge(ack);
        if self.state == State::Closed {
            return Reply::Silence;
        }
        self.text_and_fin(seg)
    }

    /// Second: RST, as RFC 5961 §3 says: exactly at RCV.NXT, even of a shut window (MUST-66).
    fn reset(&mut self, seg: &Seg) -> Reply {
        if seg.seq != self.n.rcv_nxt {
            return if self.is_in_window(seg.seq) { self.ack() } else { Reply::Silence };
        }
        match self.state {
            State::SynReceivedPassive => self.state = State::Listen,
            State::SynReceivedActive => {
                (self.state, self.app.error) = (State::Closed, Some("ECONNREFUSED"));
            }
            State::Established | State::FinWait1 | State::FinWait2 => {
                (self.state, self.app.error) = (State::Closed, Some("ECONNRESET"));
            }
            State::CloseWait => {
                self.rows.push(Row::ResetAfterFin);
                self.state = State::Closed;
            }
            State::Closing | State::LastAck => self.state = State::Closed,
            State::Closed | State::Listen | State::SynSent | State::TimeWait => unreachable!(),
        }
        Reply::Silence
    }

    /// The peer's SYN again in SYN-RECEIVED.
    fn same_syn(&mut self, seg: &Seg) -> Reply {
        let is_ack_of_ours = seg.ack == Some(self.n.nxt);
        if self.state == State::SynReceivedActive && is_ack_of_ours {
            // §3.5, Figure 7, line 7; the text of §3.10.7.4 would refuse it.
            self.rows.push(Row::Figure7);
            self.state = State::Established;
            self.text_and_fin(&Seg { seq: seg.seq + 1, ..*seg });
            return self.ack();
        }
        if self.state == State::SynReceivedPassive && seg.ack.is_some() {
            return self.ack();
        }
        self.rows.push(Row::SynAgain);
        Reply::SynAck { seq: Some(0), ack: self.n.rcv_nxt }
    }

    fn is_acceptable(&mut self, seg: &Seg) -> bool {
        let (seq, len) = (seg.seq, seg.len());
        match (len, self.n.rcv_wnd) {
            (0, 0) => seq == self.n.rcv_nxt,
            (0, _) => self.is_in_window(seq),
            (1, 0) if seg.fin() && seg.text == 0 && seq == self.n.rcv_nxt => {
                self.rows.push(Row::FinAtShutWindow);
                true
            }
            (_, 0) => false,
            (_, _) => self.is_in_window(seq) || self.is_in_window(seq + len - 1),
        }
    }

    /// An unacceptable segment is acknowledged and dropped; but for the ACK of some.
    fn refused(&mut self, seg: &Seg) -> Reply {
        let (seq, len) = (seg.seq, seg.len());
        let is_probe = seq == self.n.rcv_nxt - 1 && len <= 1;
        let is_at_shut = self.n.rcv_wnd == 0 && seq == self.n.rcv_nxt;
        let is_at_edge = seq == self.edge() && len == 0;
        // All places left of the window lie in the one before.
        let is_again = seg.text > 0 && seq < self.n.rcv_nxt;
        let counts = is_probe || is_at_shut || is_at_edge || is_again;
        let is_open = !matches!(self.state, State::SynReceivedPassive | State::SynReceivedActive);
        if let Some(ack) = seg.ack
            && counts
            && is_open
            && !seg.syn()
            && self.is_good_ack(ack)
        {
            self.rows.push(Row::AckOfRefused);
            self.acknowledge(ack);
            if self.state == State::Closed {
                return Reply::Silence;
            }
        }
        self.ack()
    }

    /// The range of RFC 5961 §5.
    fn is_good_ack(&self, ack: i64) -> bool {
        (self.n.una - MAX_SND_WND..=self.n.nxt).contains(&ack)
    }

    /// Fifth: what SEG.ACK covers. Our FIN, where it has been sent, ends at SND.NXT.
    fn acknowledge(&mut self, ack: i64) {
        self.n.una = self.n.una.max(ack);
        let is_fin_acked = self.n.una == self.n.nxt;
        self.state = match self.state {
            State::FinWait1 if is_fin_acked => State::FinWait2,
            State::Closing if is_fin_acked => State::TimeWait,
            State::LastAck if is_fin_acked => State::Closed,
            state => state,
        };
    }

    /// Seventh, text, and eighth, FIN.
    fn text_and_fin(&mut self, seg: &Seg) -> Reply {
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            if seg.fin() {
                self.rows.push(Row::SecondFin);
            }
            return Reply::Silence;
        }
        if seg.text == 0 && !seg.fin() {
            return Reply::Silence;
        }
        let end = seg.seq + seg.text;
        if seg.seq > self.n.rcv_nxt {
            return self.ack(); // It is kept, and told of at once (SHLD-31, MAY-13).
        }
        let new = (end - self.n.rcv_nxt).clamp(0, self.n.rcv_wnd);
        self.app.octets += new;
        self.n.rcv_nxt += new;
        self.n.rcv_wnd -= new;
        if seg.fin() && end == self.n.rcv_nxt {
            self.n.rcv_nxt += 1;
            self.app.end = true;
            self.state = match self.state {
                State::Established => State::CloseWait,
                State::FinWait1 => State::Closing,
                _ => State::TimeWait,
            };
            return self.ack();
        }
        Reply::AckSoon { seq: self.n.nxt, ack: self.n.rcv_nxt }
    }

    /// TIME-WAIT in §3.10.7.4, with RFC 1337 and MAY-2.
    fn time_wait(&mut self, seg: &Seg) -> Reply {
        if seg.rst() {
            self.rows.push(Row::Assassination);
            return Reply::Silence;
        }
        if seg.syn() && seg.ack.is_none() && seg.seq > self.n.rcv_nxt {
            self.rows.push(Row::Reopened);
            return self.listen(seg); // The old connection's socket is none of the new one's.
        }
        if seg.syn() || !self.is_acceptable(seg) {
            return self.ack();
        }
        if seg.len() == 0 && seg.seq == self.n.rcv_nxt {
            return Reply::Silence; // The last ACK again, or one like it.
        }
        self.rows.push(Row::TimeWaitAnswers);
        self.ack()
    }
}
