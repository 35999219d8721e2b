//! A connection that has been through the handshake: its parts, and the user's calls on it.

use std::sync::Arc;

use bytes::Bytes;

use super::ack::AckScheduler;
use super::config::TcpConfig;
use super::congestion::{Algorithm, CongestionControl as _};
use super::lifetime::{Lifetime, R1};
use super::negotiated::Negotiated;
use super::persist::Persist;
use super::pmtu::{Path, PathLimit};
use super::receive::{Growth, ReceiveSide};
use super::recovery::{Outstanding, Recovery};
use super::rtt::RttEstimator;
use super::segment::SegmentPlan;
use super::send::SendSide;
use super::seq::SeqNumber;
use super::spares::{Need, Spares};
use super::state::State;
use super::statistics::Statistics;
use super::time_wait::TimeWait;
use super::timestamps::Timestamping;
use super::unread::Unread;
use super::urgent::{OutOfLine, Urgent};
use crate::observe::{DropReason, SendReason, TcpState};
use crate::options::{CongestionAlgorithm, SocketOptions};
use crate::time::{Duration, Instant, nanos};
use crate::wire::tcp::TcpFlags;

/// A connection that has been through the handshake (RFC 9293 §3.3.1).
///
/// Each part owns its variables and never sees the connection: what one part must know of
/// another is passed in as a value. `tcp::input` is what arrives, `tcp::output` what leaves.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Where the two FINs are.
    pub(super) state: State,
    /// What the handshake fixed.
    pub(super) agreed: Negotiated,
    /// SND.* and the octets not yet acknowledged.
    pub(super) send: SendSide,
    /// RCV.* and the octets not yet read.
    pub(super) receive: ReceiveSide,
    /// TS.Recent and our own clock; `None` unless both SYNs had timestamps.
    pub(super) timestamps: Option<Timestamping>,
    /// SND.UP and RCV.UP.
    pub(super) urgent: Urgent,
    /// Whether an acknowledgment is owed, and how long it may wait.
    pub(super) acks: AckScheduler,
    /// SRTT and RTTVAR.
    pub(super) rtt: RttEstimator,
    /// What was lost, and the retransmission timer.
    pub(super) recovery: Recovery,
    /// cwnd and ssthresh.
    pub(super) congestion: Algorithm,
    /// The largest segment that the path carries.
    pub(super) path: PathLimit,
    /// Probes of a shut window.
    pub(super) persist: Persist,
    /// When to ask for a sign of life, and when to give up.
    pub(super) lifetime: Lifetime,
    /// What it has counted.
    pub(super) statistics: Statistics,
    /// What the socket has been told; shared with it.
    pub(super) options: Arc<SocketOptions>,
    /// Whether a socket can still read what arrives.
    pub(super) reader: Reader,
    /// Whether a segment that comes as foretold goes the short way.
    pub(super) predicts: bool,
    /// How long TIME-WAIT lasts, nanoseconds.
    pub(super) time_wait: u64,
}

/// Whether anybody can still read what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A socket holds the connection.
    Socket,
    /// The socket is closed; the connection only finishes what was written (an orphan).
    Gone,
}

/// What the handshake left behind for the connection to start from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// Our initial sequence number.
    pub(crate) iss: SeqNumber,
    /// The peer's initial sequence number.
    pub(crate) irs: SeqNumber,
    /// What both SYNs fixed.
    pub(crate) agreed: Negotiated,
    /// The peer's window, octets; a SYN's is not scaled, any other segment's is.
    pub(crate) window: u32,
    /// SEG.SEQ and SEG.ACK of the segment that brought that window.
    pub(crate) window_from: (SeqNumber, SeqNumber),
    /// The window that we announced with our SYN, octets.
    pub(crate) offered: u32,
    /// What the timestamps start from, where they are agreed.
    pub(crate) timestamps: Option<Timestamping>,
    /// The round trip of our SYN if it was sent once and we know when.
    pub(crate) rtt: Option<Duration>,
    /// Whether our SYN had to be sent again.
    pub(crate) was_sent_again: bool,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both FINs are through and we wait 2 MSL.
    TimeWait(Box<TimeWait>),
    /// Both FINs are through.
    Closed,
    /// The peer reset it.
    Reset,
    /// We reset it: data came that nobody can read (SHLD-3). The RST is to be sent.
    Aborted(Box<SegmentPlan>),
    /// The peer fell silent. An RST is sent where Linux sends one.
    TimedOut(Option<Box<SegmentPlan>>),
}

/// What became of an input.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may come with any other")]
pub(crate) struct Outcome {
    /// There is more to read, or the end of the file.
    pub(crate) readable: bool,
    /// There is more room to write.
    pub(crate) writable: bool,
    /// There is urgent data, or more of it than before.
    pub(crate) urgent: bool,
    /// Duplicate acknowledgments told of a loss.
    pub(crate) fast_retransmit: bool,
    /// The retransmission timer ran out.
    pub(crate) timed_out: bool,
    /// The peer has been silent for R1 (SHLD-9).
    pub(crate) is_silent: bool,
    /// The connection is over.
    pub(crate) end: Option<End>,
    /// Why the text of the segment was not taken, although its ACK was.
    pub(crate) dropped: Option<DropReason>,
}

impl Connection {
    /// The connection that a handshake has opened over `path`.
    pub(crate) fn new(
        now: Instant,
        config: &TcpConfig,
        options: &Arc<SocketOptions>,
        opened: &Opened,
        path: Path,
    ) -> Self {
        let Opened { iss, irs, agreed, window, window_from, offered, timestamps, .. } = *opened;
        let mut estimator = RttEstimator::new(config.min_rto);
        if let Some(rtt) = opened.rtt {
            estimator.sample(rtt);
        } else if opened.was_sent_again {
            estimator.on_syn_timeout(); // RFC 6298 (5.7).
        }
        let mut send = SendSide::new(iss, agreed, window, window_from, options.send_buffer);
        send.set_options(options);
        let mut acks = AckScheduler::new(config.ack_delay, config.quick_acks);
        acks.set_quick(options.quick_ack);
        // The socket may have been told of a smaller buffer since the window was offered.
        let receive_buffer = options.receive_buffer.max(offered);
        let path = PathLimit::new(config, agreed.send_mss, path, iss + 1);
        send.set_mss(path.mss());
        let mss = send.mss();
        // RFC 5681 §3.1: after the loss of a SYN the initial window is one segment.
        let initial_window = if opened.was_sent_again { 1 } else { config.initial_window };
        Self {
            state: State::Established,
            agreed,
            send,
            receive: ReceiveSide::new(irs, agreed, offered, receive_buffer),
            timestamps,
            urgent: Urgent::new(options.oob_inline),
            acks,
            rtt: estimator,
            recovery: Recovery::default(),
            congestion: match options.congestion {
                CongestionAlgorithm::Reno => {
                    Algorithm::reno(mss, initial_window.saturating_mul(mss))
                }
            },
            path,
            persist: Persist::default(),
            lifetime: Lifetime::new(now, config),
            statistics: Statistics::default(),
            options: Arc::clone(options),
            reader: Reader::Socket,
            predicts: config.header_prediction,
            time_wait: nanos(config.time_wait),
        }
    }

    /// The state by its name in the RFC.
    pub(crate) fn tcp_state(&self) -> TcpState {
        self.state.into()
    }

    /// SEND: takes as many octets as there is room for; `None` after CLOSE. `more` will follow.
    pub(crate) fn write(&mut self, octets: &[u8], more: bool) -> Option<usize> {
        let room = usize::try_from(self.writable()?).unwrap_or(usize::MAX);
        let more = more && octets.len() <= room;
        let octets = octets.get(..room).unwrap_or(octets);
        if !octets.is_empty() {
            self.send.expect_more(more);
        }
        usize::try_from(self.send.write(octets)).ok()
    }

    /// SEND without a copy: as [`write`](Self::write).
    pub(crate) fn write_bytes(&mut self, mut octets: Bytes) -> Option<usize> {
        octets.truncate(usize::try_from(self.writable()?).unwrap_or(usize::MAX));
        if !octets.is_empty() {
            self.send.expect_more(false);
        }
        usize::try_from(self.send.push(octets)).ok()
    }

    /// SEND with the URGENT flag (RFC 9293 §3.10.2): as [`write`](Self::write), and what is taken
    /// is urgent, as is all that stands before it.
    pub(crate) fn write_urgent(&mut self, octets: &[u8]) -> Option<usize> {
        let written = self.write(octets, false)?;
        if written > 0 {
            self.urgent.on_written(self.send.una() + self.send.queued());
        }
        Some(written)
    }

    /// Does something that needs memory, or gives some back, with the stack's spare memory at hand.
    pub(crate) fn with_spares<R>(
        &mut self,
        spares: &mut Spares,
        need: Need,
        act: impl FnOnce(&mut Self) -> R,
    ) -> R {
        self.receive.lend(spares, need == Need::Pages);
        self.send.lend(spares, need == Need::Chunks);
        let outcome = act(self);
        self.receive.take_back(spares);
        self.send.take_back(spares);
        outcome
    }

    /// Octets in order that wait to be read, urgent data out of the stream included.
    pub(crate) fn unread(&self) -> u32 {
        self.receive.readable()
    }

    /// RECEIVE: copies octets out, up to the mark of urgent data; 0 when there are none.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let cut = self.urgent.cut(self.receive.readable());
        self.receive.pass_over(cut.skip());
        let octets = self.receive.read(cut.limit(buffer));
        self.urgent.on_read(cut.skip() + octets);
        octets
    }

    /// RECEIVE without a copy where there is none to be made: at most `max` octets.
    pub(crate) fn read_bytes(&mut self, max: usize) -> Bytes {
        let cut = self.urgent.cut(self.receive.readable());
        self.receive.pass_over(cut.skip());
        let octets = self.receive.take_text(cut.limit_len(max));
        self.urgent.on_read(cut.skip() + octets.len());
        octets
    }

    /// The reader may have freed room of which the peer is to hear unasked, as far as `growth`
    /// allows.
    pub(crate) fn tell_of_room(&mut self, growth: Growth) {
        if self.receive.is_update_due(growth) {
            self.acks.owe_now();
        }
    }

    /// Whether the window could be much larger than the one offered, if there is memory.
    pub(crate) fn could_offer_more(&self) -> bool {
        self.receive.could_offer_more(Growth::Free)
    }

    /// There is memory again for a larger window: the peer, which may wait for it, is told.
    pub(crate) fn reopen(&mut self) {
        if self.could_offer_more() {
            self.acks.owe_now();
        }
    }

    /// Copies octets and leaves them to be read.
    pub(crate) fn peek(&self, buffer: &mut [u8]) -> usize {
        let cut = self.urgent.cut(self.receive.readable());
        self.receive.peek(cut.skip(), cut.limit(buffer))
    }

    /// The urgent octet that stands out of the stream; `is_peek`: it stays.
    pub(crate) fn take_urgent(&mut self, is_peek: bool) -> OutOfLine {
        self.urgent.take(is_peek)
    }

    /// Octets to read before the mark of urgent data; `None` without any.
    pub(crate) fn urgent_ahead(&self) -> Option<u32> {
        self.urgent.ahead()
    }

    /// Whether urgent data waits to be looked at.
    pub(crate) fn is_priority(&self) -> bool {
        self.urgent.is_priority()
    }

    /// CLOSE of RFC 9293 §3.10.4: nothing more will be written; what has been is sent, then our
    /// FIN. Reading goes on (half-close, §3.6).
    pub(crate) fn shutdown_write(&mut self) {
        if self.state.may_send() {
            self.send.close();
            self.state = self.state.on_close();
        }
    }

    /// The socket goes away. What was written is still sent; if something was not read, the peer
    /// must learn that it is lost, and the connection is reset (SHLD-3, RFC 2525 §2.17).
    /// `patience`: how long nothing may be acknowledged from now on.
    pub(crate) fn abandon(&mut self, now: Instant, patience: Duration) -> Option<End> {
        if self.receive.readable() > 0 {
            return Some(End::Aborted(Box::new(self.abort(now))));
        }
        self.shutdown_write();
        self.reader = Reader::Gone;
        self.lifetime.limit(patience);
        None
    }

    /// Whether ABORT tells the peer: not in CLOSING and LAST-ACK, where only the acknowledgment of
    /// our FIN is missing (RFC 9293 §3.10.5). The states count from CLOSE on, and what was written
    /// before it may not have left: then the peer would wait for it (Linux: `tcp_disconnect`).
    pub(crate) fn is_abort_told(&self) -> bool {
        self.send.has_new() || !matches!(self.state, State::Closing | State::LastAck)
    }

    /// Whether a close that is to be an ABORT tells the peer: also if something was not read.
    pub(crate) fn is_reset_due(&self) -> bool {
        self.receive.readable() > 0 || self.is_abort_told()
    }

    /// ABORT (RFC 9293 §3.10.5): the RST that tells the peer. The connection is then to be
    /// forgotten.
    pub(crate) fn abort(&self, now: Instant) -> SegmentPlan {
        // Not past an edge that has moved left, where the peer would drop it unseen.
        let (seq, ack) = (self.send.bare_seq(), self.receive.nxt());
        let mut reset = SegmentPlan::bare(SendReason::Reset, seq, Some(ack), TcpFlags::RST, 0);
        // RFC 7323 §3.2: an RST should have timestamps too.
        reset.options.timestamps = self.timestamps.map(|timestamps| timestamps.option(now));
        reset
    }

    /// Whether an ICMP error that quotes `seq` may be about a segment of ours: SND.UNA to SND.NXT
    /// (RFC 5927 §4.1, MUST-54; as Linux with SND.NXT itself, where bare acknowledgments stand).
    pub(crate) fn has_sent(&self, seq: SeqNumber) -> bool {
        seq.at_or_after(self.send.una()) && seq.at_or_before(self.send.nxt())
    }

    /// Whether the octet or the FIN at `seq` is sent and not acknowledged.
    pub(crate) fn is_outstanding(&self, seq: SeqNumber) -> bool {
        seq.at_or_after(self.send.una()) && seq.before(self.send.nxt())
    }

    /// Whether there may be news of the path since the last.
    pub(crate) fn is_path_stale(&self, now: Instant, generation: u32) -> bool {
        self.path.is_stale(now, generation)
    }

    /// News of the path. What is outstanding and too large for it is sent again at once, in
    /// segments that fit; that is no congestion (RFC 1191 §6.4), and cwnd, which counts octets,
    /// stays.
    pub(crate) fn on_path_news(&mut self, now: Instant, path: Path) {
        let too_large = self.path.on_news(now, path);
        self.take_mss();
        if let Some(range) = too_large {
            self.recovery.on_too_large(now, range, self.outstanding());
        }
    }

    /// Segments are as large as the path carries from now on.
    pub(super) fn take_mss(&mut self) {
        self.send.set_mss(self.path.mss());
        self.congestion.on_mss(self.send.mss());
    }

    /// An acknowledgment is owed at once: the one that ends the handshake of an active open, which
    /// has cost a segment each way so far.
    pub(crate) fn owe_ack(&mut self, now: Instant) {
        self.statistics.on_sent(1, 0, false);
        self.statistics.on_arrived(now, 1, 0);
        self.acks.owe_now();
    }

    /// The socket has been told other options. Says whether they are others: then a deadline may
    /// be another too, or something may leave.
    pub(crate) fn set_options(&mut self, options: &Arc<SocketOptions>) -> bool {
        if Arc::ptr_eq(&self.options, options) {
            return false;
        }
        self.send.set_options(options);
        self.receive.grow_buffer(options.receive_buffer);
        self.tell_of_room(Growth::Free);
        self.acks.set_quick(options.quick_ack);
        self.urgent.set_inline(options.oob_inline);
        self.options = Arc::clone(options);
        true
    }

    /// Octets that `read` would give; those behind the mark of urgent data to a second one.
    pub(crate) fn readable(&self) -> u32 {
        self.urgent.readable(self.receive.readable())
    }

    /// Whether the peer's FIN has been reached, so that nothing more will become readable.
    pub(crate) fn is_finished(&self) -> bool {
        self.receive.is_finished()
    }

    /// Octets that `write` would take; `None` after CLOSE.
    pub(crate) fn writable(&self) -> Option<u32> {
        self.state.may_send().then(|| {
            let room = self.send.room();
            match self.options.notsent_lowat {
                None => room,
                // At least a segment at a time: a mark of one octet makes no segments of one.
                Some(mark) if self.send.unsent() < mark => {
                    room.min((mark - self.send.unsent()).max(self.send.mss()))
                }
                Some(_) => 0,
            }
        })
    }

    /// Whether a writer that waits should be woken: a third of the buffer has room, as Linux. One
    /// that is woken for each octet acknowledged would do a call for each. With TCP_NOTSENT_LOWAT
    /// less than half of what that allows must wait to be sent, also as Linux.
    pub(crate) fn is_write_worthwhile(&self) -> bool {
        let has_few = |mark| self.send.unsent() <= mark / 2 && self.send.unsent() < mark;
        self.send.room() >= (self.send.buffer_max() / 3).max(1)
            && self.options.notsent_lowat.is_none_or(has_few)
    }

    /// Whether a writer may have to be woken because octets have left, and not only because they
    /// were acknowledged.
    pub(crate) fn wakes_by_sending(&self) -> bool {
        self.options.notsent_lowat.is_some() && self.is_write_worthwhile()
    }

    /// Octets written and not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u32 {
        self.send.queued()
    }

    /// Octets of memory that the buffers hold.
    pub(crate) fn allocated(&self) -> usize {
        self.send.allocated() + self.receive.allocated()
    }

    /// Whether something is held for what may come, though nothing may lie in it.
    pub(crate) fn is_warm(&self) -> bool {
        self.recovery.is_warm()
    }

    /// Gives up what only data needs, as far as there are none.
    pub(crate) fn cool(&mut self) {
        self.recovery.cool();
    }

    /// Something of each part, so that whoever asks has been to all of the connection.
    pub(crate) fn look_at(&self) -> u64 {
        let positions = self.send.una().0 ^ self.receive.nxt().0 ^ self.acks.largest();
        let path = self.path.mtu() ^ self.congestion.window() ^ self.statistics.segments_sent;
        let heard = self.lifetime.heard_at().as_nanos() ^ self.time_wait;
        let owned = u64::from(self.is_warm()) ^ u64::from(self.rtt.srtt().is_some());
        u64::from(positions ^ path)
            ^ heard
            ^ owned
            ^ u64::from(self.persist.deadline(Duration::ZERO).is_some())
    }

    /// Something of what the connection keeps elsewhere.
    pub(crate) fn look_beside(&self) -> u64 {
        u64::from(self.readable() ^ self.unacknowledged())
            ^ u64::from(self.recovery.is_calm())
            ^ u64::from(self.statistics.data_received_at().is_some())
    }

    /// Whether no socket holds it any more.
    pub(super) fn is_orphan(&self) -> bool {
        self.reader == Reader::Gone
    }

    /// Whether the peer has been silent for R1, and not yet for R2.
    pub(crate) fn is_peer_silent(&self) -> bool {
        self.lifetime.retransmits() >= R1
    }

    /// What nobody has read, for a socket that outlives its connection.
    pub(crate) fn into_unread(self) -> Unread {
        Unread::new(self.receive.into_unread(), self.urgent)
    }

    /// Whether octets or a FIN wait to be sent or acknowledged.
    pub(crate) fn is_busy(&self) -> bool {
        self.send.queued() > 0 || self.send.outstanding() > 0
    }

    /// The send sequence space as `recovery` needs to know it.
    pub(super) fn outstanding(&self) -> Outstanding {
        Outstanding { una: self.send.una(), nxt: self.send.nxt(), mss: self.send.mss() }
    }

    /// Octets that the congestion window has room for.
    pub(super) fn congestion_room(&self) -> u32 {
        let in_flight = self.recovery.in_flight(self.outstanding());
        self.congestion.window().saturating_sub(in_flight)
    }
}
