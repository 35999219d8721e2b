//! What leaves: choose → permit → stamp → commit. Nothing is parsed here.

use super::congestion::CongestionControl as _;
use super::connection::Connection;
use super::new_text::{Blocked, NewText};
use super::receive::Growth;
use super::segment::SegmentPlan;
use super::seq::{SeqNumber, SeqRange};
use super::timestamps;
use crate::observe::SendReason;
use crate::packet::Payload;
use crate::time::Instant;
use crate::wire::tcp::TcpFlags;
use crate::wire::tcp_options::TcpOptions;

/// Octets of options that a header has room for.
const OPTIONS_MAX: u32 = 40;

/// Octets of the SACK option before its first block, with two NOPs (RFC 2018 §3).
const SACK_HEAD: u32 = 4;

/// Octets of a SACK block.
const SACK_BLOCK: u32 = 8;

/// Octets of text that a segment keeps room for beside SACK blocks: as many as the least MSS of 48
/// has beside a full header.
const TEXT_MIN: u32 = 8;

/// The first thing that there is a reason to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// What was lost.
    Again(NewText),
    /// New text, our FIN, or both.
    New(NewText),
    /// New text in a segment of so many octets, options included, to see whether it arrives.
    MtuProbe(NewText, u32),
    /// A question for the peer's window.
    Probe,
    /// A question whether the peer is there.
    KeepAlive,
    /// An acknowledgment alone.
    Ack,
}

/// What `stamp` adds from the receiving half: the same on every segment.
#[derive(Clone, Debug)]
struct Stamp {
    ack: SeqNumber,
    window: u16,
    edge: SeqNumber,
    options: TcpOptions,
}

impl Stamp {
    /// Octets of options.
    fn options_len(&self) -> u32 {
        u32::try_from(self.options.len()).unwrap_or(OPTIONS_MAX)
    }
}

impl Choice {
    /// How many segments leave.
    fn segments(&self) -> u32 {
        match self {
            Self::New(text) => text.parts(),
            Self::Again(_) | Self::MtuProbe(..) | Self::Probe | Self::KeepAlive | Self::Ack => 1,
        }
    }

    /// Whether it stands left of the window, so that the peer answers. Most receivers, Linux too,
    /// look at nothing else in such a one (RFC 9293 §3.10.7.4, first step).
    fn is_question(&self) -> bool {
        matches!(self, Self::Probe | Self::KeepAlive)
    }
}

impl Connection {
    /// The next segment to send, or `None` when there is nothing (more) that may leave now.
    ///
    /// `may_grow`: whether there is memory for a larger receive window than the least that a reader
    /// needs. `super_text`: octets of text of the largest super-segment that the device splits.
    pub(crate) fn transmit(
        &mut self,
        now: Instant,
        may_grow: bool,
        super_text: u32,
    ) -> Option<SegmentPlan> {
        if self.is_quiet() {
            self.end_burst(now, Blocked::Nothing);
            return None;
        }
        self.restart(now);
        let options = self.options(now);
        self.send.set_next_options(u8::try_from(options.len()).unwrap_or(0));
        // What is told by SACK and by the urgent pointer is another thing in each segment.
        let is_alike = options.sack.is_empty() && !self.urgent.is_sending();
        match self.choose(if is_alike { super_text } else { 0 }) {
            Ok(choice) => {
                let is_question = choice.is_question();
                let growth = if is_question { Growth::No } else { Growth::with(may_grow) };
                let (stamp, nxt) = (self.stamp(options, growth), self.send.nxt());
                let mut plan = self.commit(now, choice, stamp);
                if let Some(pointer) = self.urgent.pointer(plan.seq, nxt) {
                    plan.flags = plan.flags.with(TcpFlags::URG);
                    plan.urgent = pointer;
                }
                plan.is_last = self.is_quiet();
                if plan.is_last {
                    self.end_burst(now, Blocked::Nothing);
                }
                Some(plan)
            }
            Err(blocked) => {
                self.end_burst(now, blocked);
                None
            }
        }
    }

    /// Before new text leaves after a rest the congestion window becomes one of those that begin
    /// (RFC 5681 §4.1). Before it is chosen: a super-segment of the old window would be a burst.
    fn restart(&mut self, now: Instant) {
        if self.send.has_new()
            && let Some(idle) = self.recovery.idle(now, self.outstanding())
        {
            self.congestion.on_idle(idle, self.rtt.rto());
        }
    }

    /// Whether there is no reason to send at all, which [`choose`](Self::choose) would find out
    /// too: so ends every burst.
    fn is_quiet(&self) -> bool {
        let is_due = self.acks.is_due() || self.persist.is_due() || self.lifetime.is_probe_due();
        !is_due && !self.send.has_new() && self.recovery.next_lost().is_none()
    }

    /// No more leaves now, because of `blocked`.
    fn end_burst(&mut self, now: Instant, blocked: Blocked) {
        let out = self.outstanding();
        // So it is too where something is to be sent again that waits for room.
        let is_full = out.len() > 0 && self.congestion_room() < out.mss;
        let is_limited = is_full || blocked == Blocked::Congestion;
        self.recovery.on_burst_end(is_limited, out);
        self.settle(now);
    }

    /// Whether an acknowledgment is owed at once.
    pub(crate) fn owes_ack(&self) -> bool {
        self.acks.is_due()
    }

    /// Whether nothing may leave now (called by `check`, when nothing more has left).
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn is_silent(&self) -> bool {
        self.choose(0).is_err()
    }

    /// The order of reasons: what the peer waits for, what it has not seen, what it should know.
    fn choose(&self, super_text: u32) -> Result<Choice, Blocked> {
        let room = self.congestion_room();
        if let Some(again) = self.permit_again(room) {
            return Ok(Choice::Again(again));
        }
        let is_probe_due = self.persist.is_due();
        let blocked = match self.permit_mtu_probe() {
            Some((text, size)) if text.range.len() <= room => {
                return Ok(Choice::MtuProbe(text, size));
            }
            // It waits for room that smaller segments would take.
            Some(_) => Blocked::Congestion,
            None => match self.next_new(room, is_probe_due) {
                Ok(text) => return Ok(Choice::New(self.send.extend(text, room, super_text))),
                Err(blocked) => blocked,
            },
        };
        // Not where a cork has held for long enough and something else than the window holds now.
        if is_probe_due && blocked == Blocked::Window {
            Ok(Choice::Probe)
        } else if self.lifetime.is_probe_due() {
            Ok(Choice::KeepAlive)
        } else if self.acks.is_due() {
            Ok(Choice::Ack)
        } else {
            Err(blocked)
        }
    }

    /// What may be sent again. The first hole may always: its retransmission is what ends the
    /// episode (RFC 5681 §3.2, step 3); all else needs room in the congestion window.
    fn permit_again(&self, room: u32) -> Option<NewText> {
        let again = self.lost_text()?;
        let is_first = again.range.start == self.send.una();
        (is_first || again.range.len() <= room).then_some(again)
    }

    /// A probe of the path, while nothing is lost and the congestion window has room for it and for
    /// what must follow it.
    fn permit_mtu_probe(&self) -> Option<(NewText, u32)> {
        let size = self.path.next_probe()?;
        let text = self.send.next_probe(size)?;
        let needed = text.range.len().saturating_add(self.send.mss() * 3);
        let is_time = self.recovery.is_calm() && self.congestion.window() >= needed;
        is_time.then_some((text, size))
    }

    /// What is to be sent again first, if the peer's window allows it.
    fn lost_text(&self) -> Option<NewText> {
        self.send.next_again(self.recovery.next_lost()?)
    }

    /// Acknowledgment, window and options: each segment carries the newest.
    fn stamp(&self, options: TcpOptions, growth: Growth) -> Stamp {
        let (window, edge) = self.receive.offer(growth);
        Stamp { ack: self.receive.nxt(), window, edge, options }
    }

    /// The options of the next segment: timestamps where they are agreed, and while there is a
    /// hole, or a duplicate to tell of, SACK blocks (RFC 2018 §4), on text as on a bare
    /// acknowledgment.
    fn options(&self, now: Instant) -> TcpOptions {
        let timestamps = self.timestamps.map(|timestamps| timestamps.option(now));
        let sack = self.receive.sack_blocks(self.sack_room());
        TcpOptions { timestamps, sack, ..TcpOptions::default() }
    }

    /// How many SACK blocks a segment has room for: three beside timestamps and four without
    /// (RFC 2018 §3), fewer only where the path carries next to nothing.
    fn sack_room(&self) -> usize {
        let fixed = if self.timestamps.is_some() { timestamps::OPTION_LEN } else { 0 };
        let in_header = OPTIONS_MAX.saturating_sub(SACK_HEAD + u32::from(fixed));
        let in_segment = self.send.mss().saturating_sub(TEXT_MIN + SACK_HEAD);
        usize::try_from(in_header.min(in_segment) / SACK_BLOCK).unwrap_or(0)
    }

    /// New text that may leave. Urgent data waits neither for Nagle's algorithm nor for
    /// what the application is about to write, as in Linux.
    fn next_new(&self, room: u32, is_overdue: bool) -> Result<NewText, Blocked> {
        match self.send.next_new(room, is_overdue) {
            Err(Blocked::Nagle | Blocked::Cork) if self.urgent.is_sending() => {
                self.send.next_new(room, true)
            }
            outcome => outcome,
        }
    }

    /// The only step that changes anything: what is returned has been sent.
    fn commit(&mut self, now: Instant, choice: Choice, stamp: Stamp) -> SegmentPlan {
        self.receive.on_offered(stamp.edge);
        if !choice.is_question() {
            self.on_told(choice.segments(), &stamp);
        }
        match choice {
            Choice::Again(text) => {
                let payload = self.send.text(text.range);
                self.recovery.on_sent_again(now, sequence_of(&text));
                self.path.on_sent_again(now, sequence_of(&text));
                self.statistics.on_sent(1, text.range.len(), true);
                self.note_sizes(&text, stamp.options_len());
                plan_text(SendReason::Retransmission, &text, payload, stamp)
            }
            Choice::New(text) => {
                let reason = if text.fin { SendReason::Fin } else { SendReason::Data };
                self.commit_new(now, reason, &text, stamp)
            }
            Choice::MtuProbe(text, size) => {
                self.path.on_probe_sent(size, text.range);
                self.commit_new(now, SendReason::MtuProbe, &text, stamp)
            }
            Choice::Probe => {
                self.statistics.on_sent(1, 0, false);
                self.persist.on_probed(now);
                if self.urgent.is_sending() {
                    // A bare segment at SND.NXT tells of the pointer too, as from Linux.
                    self.acks.owe_now();
                }
                // An octet that the peer has already: it must answer, and nothing hangs on what
                // it does with it. Linux asks in the same way.
                plan_bare(SendReason::WindowProbe, self.send.una() - 1, stamp)
            }
            Choice::KeepAlive => {
                self.statistics.on_sent(1, 0, false);
                self.lifetime.on_probed(now);
                // No data, and a number left of the window, so that the peer must answer even if
                // it has lost nothing (RFC 9293 §3.8.4, SHLD-12).
                plan_bare(SendReason::KeepAlive, self.send.nxt() - 1, stamp)
            }
            Choice::Ack => {
                self.statistics.on_sent(1, 0, false);
                plan_bare(SendReason::Ack, self.send.bare_seq(), stamp)
            }
        }
    }

    /// So many segments left that tell the peer where we stand.
    fn on_told(&mut self, segments: u32, stamp: &Stamp) {
        self.acks.on_sent(segments);
        if self.receive.on_sack_sent(&stamp.options.sack) {
            self.acks.owe_now(); // Else the peer would take for lost what it is not told of.
        }
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.on_sent(stamp.ack);
        }
    }

    /// New text leaves.
    fn commit_new(
        &mut self,
        now: Instant,
        reason: SendReason,
        text: &NewText,
        stamp: Stamp,
    ) -> SegmentPlan {
        let payload = self.send.text(text.range);
        self.recovery.on_sent(now, sequence_of(text), text.first_len());
        self.acks.on_text_sent(now, self.statistics.data_received_at());
        self.statistics.on_sent(text.parts(), text.range.len(), false);
        self.note_sizes(text, stamp.options_len());
        self.persist.update(now, None); // It has an answer to wait for now.
        self.send.on_sent(text);
        plan_text(reason, text, payload, stamp)
    }

    /// Notes how large the segments are that leave with so many octets of options: of a
    /// super-segment the last one by itself, which may fit where the others do not.
    fn note_sizes(&mut self, text: &NewText, options_len: u32) {
        let SeqRange { start, end } = sequence_of(text);
        let last = text.range.end - text.last_len();
        if last != start {
            self.path.on_sent(SeqRange { start, end: last }, text.part_len(), options_len);
        }
        self.path.on_sent(SeqRange { start: last, end }, text.last_len(), options_len);
    }
}

/// The sequence numbers of a segment: its text, and one for the FIN.
fn sequence_of(text: &NewText) -> SeqRange {
    SeqRange { start: text.range.start, end: text.range.end + u32::from(text.fin) }
}

fn plan_bare(reason: SendReason, seq: SeqNumber, stamp: Stamp) -> SegmentPlan {
    let bare = SegmentPlan::bare(reason, seq, Some(stamp.ack), TcpFlags::NONE, stamp.window);
    SegmentPlan { options: stamp.options, ..bare }
}

fn plan_text(reason: SendReason, text: &NewText, payload: Payload, stamp: Stamp) -> SegmentPlan {
    let mut flags = TcpFlags::ACK;
    if text.fin {
        flags = flags.with(TcpFlags::FIN);
    }
    if text.push {
        flags = flags.with(TcpFlags::PSH);
    }
    SegmentPlan {
        reason,
        seq: text.range.start,
        ack: stamp.ack,
        flags,
        window: stamp.window,
        urgent: 0,
        options: stamp.options,
        payload,
        segment: text.part,
        is_last: false,
    }
}
