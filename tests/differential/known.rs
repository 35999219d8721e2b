//! The differences that are meant to be. Each has its reason in `src/manual/differences.md`; a
//! script that meets one is compared up to there and no further.

use rustix::event::PollFlags;
use wharf::TcpState;
use wharf::sim::TcpFlags;

use crate::backend::Outcome;
use crate::compare::{joined, told_early};
use crate::play::{Moment, Seen};
use crate::script::{Ack, Call, Damage, How, Opt, Script, Segment, Seq, Stamp, Step};

/// One difference that is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// Linux drops a segment without ACK, SYN or RST before it looks at its place; we answer one
    /// outside of the window (RFC 9293 §3.10.7.4, first step).
    NoFlags,
    /// Linux reads the options up to one with an impossible length; we drop the segment.
    OptionLength,
    /// Linux's SYN-ACK of a simultaneous open repeats the options of its SYN, offered or not.
    SimultaneousOptions,
    /// Linux answers a SYN in SYN-RECEIVED with a reset and gives up, or cuts the SYN off if it
    /// is the first one's again; we challenge it.
    SynInSynReceived,
    /// Linux resets a connection whose peer sends text over the place of its FIN; we ignore it.
    TextPastFin,
    /// Linux resets when text comes in FIN-WAIT after the reading side was shut; we take it.
    TextAfterShutRead,
    /// Linux forgets a FIN that came early if text is later sent over it; ours stays.
    ContradictoryFin,
    /// For Linux the right edge of the window is in it, and it is where it would be if the field
    /// could say it to the octet.
    RightEdge,
    /// Linux challenges a reset that reaches into the window; we look at where it begins.
    ResetFromLeft,
    /// After the peer's FIN Linux takes a reset one octet left of the window.
    ResetBeforeFin,
    /// Linux takes the acknowledgment and the urgent pointer of a segment that ends where the
    /// window begins, or even left of it if the window has not been told since; ours those of any
    /// text of the last window.
    OldText,
    /// For Linux an acknowledgment of no more than our SYN is no answer to a SYN of the past if
    /// the connection was opened actively: there it counts the SYN as an octet acknowledged.
    AckOfSyn,
    /// Ours has a budget of challenges for the handshake and one for the connection.
    BudgetAfterOpen,
    /// In SYN-RECEIVED every answer of ours counts for the budget, in Linux only those to
    /// segments without text and FIN.
    BudgetOfHalfOpen,
    /// Linux's FIN waits for the congestion window.
    FinBeyondCongestion,
    /// Linux's congestion window grows by what an acknowledgment covers, and its bursts wait for
    /// more to send at once: one has sent more of the same octets than the other.
    CongestionWindow,
    /// Linux throws the text of a SYN-ACK away.
    SynAckText,
    /// After an open was given up poll says less of ours.
    GivenUpOpen,
    /// While two SYNs cross Linux's FIN leaves at once; ours waits until the connection is open.
    EndInSynReceived,
    /// Linux forgets the half-open connections of a listener that is closed; we reset them.
    HalfOpenOfListener,
    /// In SYN-RECEIVED Linux looks at the acknowledgment before it looks at the place, and after
    /// two SYNs that crossed it opens by an old one.
    AckInSynReceived,
    /// Linux's record of FIN-WAIT-2 without a socket answers a SYN by a reset, a reset outside of
    /// the window by an acknowledgment, and an acknowledgment of what was not sent not at all.
    OrphanInFinWait2,
    /// A reset ends Linux's TIME-WAIT.
    ResetInTimeWait,
    /// Linux and we differ in whether the timestamp of a segment that is refused counts, and in
    /// whether a block tells of what it brings again.
    StampOfRefused,
    /// Ours tells in a SACK block that it had what a segment with an old timestamp brings again.
    SackOfOldStamp,
    /// In Linux the answer to text with an old timestamp is not limited.
    BudgetOfOldStamp,
    /// For Linux an acknowledgment with text or with another window may be a duplicate too.
    FastRetransmit,
    /// A SYN that comes twice is a lost SYN-ACK to us, and lets the connection begin slowly.
    SynTwice,
    /// Linux tells of a FIN that came early in a SACK block.
    SackOfFin,
    /// Linux's reset tells of what came early.
    SackOnReset,
    /// For Linux a reset behind the last octet that came early is in its place.
    ResetAtSack,
    /// In SYN-RECEIVED Linux drops a reset with an old timestamp.
    StampInSynReceived,
    /// What was closed while two SYNs cross acknowledges in another order.
    ClosedInSynReceived,
    /// Linux does not let the peer take window back with the same numbers.
    WindowTakenBack,
    /// Linux's FIN waits for a shut window to open.
    FinAtShutWindow,
    /// When the peer has taken window back, what carries no text stands at the window's edge,
    /// which may be left of what was sent; in Linux each such segment, with us a bare
    /// acknowledgment or a reset. Which windows count is another difference, and a FIN that a shut
    /// window did not hold back lies past the edge.
    EdgeTakenBack,
    /// Linux's reset tells of urgent data.
    UrgentOnReset,
    /// We take the acknowledgment of a probe one octet left of the window.
    AckOfProbe,
    /// Linux's buffers count what a segment costs beside its text.
    BufferOfSmallSegments,
}

/// What a rule looks at.
struct Case<'a> {
    script: &'a Script,
    earlier: &'a [Moment],
    segment: Option<&'a Segment>,
    before: TcpState,
    linux: &'a Moment,
    ours: &'a Moment,
}

/// Whether a difference is of one kind.
type Rule = fn(&Case) -> bool;

impl Known {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        RULES.iter().map(|(known, _)| *known)
    }
}

/// The rules in their order.
const RULES: [(Known, Rule); 39] = [
    (Known::NoFlags, is_no_flags),
    (Known::OptionLength, is_option_length),
    (Known::SimultaneousOptions, is_simultaneous_options),
    (Known::SynInSynReceived, is_syn_in_syn_received),
    (Known::TextPastFin, is_text_past_fin),
    (Known::TextAfterShutRead, is_text_after_shut_read),
    (Known::ContradictoryFin, is_contradictory_fin),
    (Known::RightEdge, is_right_edge),
    (Known::ResetFromLeft, is_reset_from_left),
    (Known::ResetBeforeFin, is_reset_before_fin),
    (Known::OldText, is_old_text),
    (Known::AckOfSyn, is_ack_of_syn),
    (Known::BudgetAfterOpen, is_budget_after_open),
    (Known::BudgetOfHalfOpen, is_budget_of_half_open),
    (Known::FinBeyondCongestion, is_fin_beyond_congestion),
    (Known::CongestionWindow, is_congestion_window),
    (Known::SynAckText, is_syn_ack_text),
    (Known::GivenUpOpen, is_given_up_open),
    (Known::EndInSynReceived, is_end_in_syn_received),
    (Known::HalfOpenOfListener, is_half_open_of_listener),
    (Known::AckInSynReceived, is_ack_in_syn_received),
    (Known::OrphanInFinWait2, is_orphan_in_fin_wait_2),
    (Known::ResetInTimeWait, is_reset_in_time_wait),
    (Known::StampOfRefused, is_stamp_of_refused),
    (Known::SackOfOldStamp, is_sack_of_old_stamp),
    (Known::BudgetOfOldStamp, is_budget_of_old_stamp),
    (Known::FastRetransmit, is_fast_retransmit),
    (Known::SynTwice, is_syn_twice),
    (Known::SackOfFin, is_sack_of_fin),
    (Known::SackOnReset, is_sack_on_reset),
    (Known::ResetAtSack, is_reset_at_sack),
    (Known::StampInSynReceived, is_stamp_in_syn_received),
    (Known::ClosedInSynReceived, is_closed_in_syn_received),
    (Known::WindowTakenBack, is_window_taken_back),
    (Known::FinAtShutWindow, is_fin_at_shut_window),
    (Known::EdgeTakenBack, is_edge_taken_back),
    (Known::UrgentOnReset, is_urgent_on_reset),
    (Known::AckOfProbe, is_ack_of_probe),
    (Known::BufferOfSmallSegments, is_buffer_of_small_segments),
];

/// The rule by which the difference at `step` is meant to be.
pub(crate) fn known(
    script: &Script,
    step: usize,
    linux: &[Moment],
    ours: &[Moment],
) -> Option<Known> {
    let segment = match script.steps.get(step)? {
        Step::Segment(segment) => Some(segment),
        Step::Call(_) | Step::Wait(_) => None,
    };
    let before = step.checked_sub(1).and_then(|last| linux.get(last));
    let case = Case {
        script,
        earlier: linux.get(..step)?,
        segment,
        before: before.map_or(TcpState::Closed, |moment| moment.state),
        linux: linux.get(step)?,
        ours: ours.get(step)?,
    };
    RULES.iter().find(|(_, holds)| holds(&case)).map(|(known, _)| *known)
}

/// Whether exactly one segment with these flags left.
fn is_one(moment: &Moment, flags: TcpFlags) -> bool {
    matches!(&moment.seen[..], [only] if only.flags == flags)
}

fn has(segment: &Segment, flags: TcpFlags) -> bool {
    segment.flags.contains(flags)
}

fn is_reset(moment: &Moment) -> bool {
    matches!(&moment.seen[..], [only] if only.flags.contains(TcpFlags::RST))
}

fn is_no_flags(case: &Case) -> bool {
    case.segment.is_some_and(|segment| {
        let any = TcpFlags::ACK.with(TcpFlags::SYN).with(TcpFlags::RST).bits();
        segment.flags.bits() & any == 0
    }) && case.linux.seen.is_empty()
        && is_one(case.ours, TcpFlags::ACK)
}

fn is_option_length(case: &Case) -> bool {
    case.segment.is_some_and(|segment| {
        // Behind a data offset that is too large the text is read as options.
        segment.damage == Damage::DataOffset(15)
            || segment.options.iter().any(|option| matches!(option, Opt::Raw(raw) if raw[0] == 200))
    }) && case.ours.seen.is_empty()
}

fn is_simultaneous_options(case: &Case) -> bool {
    let both = TcpFlags::SYN.with(TcpFlags::ACK);
    case.before == TcpState::SynSent
        && case.linux.state == TcpState::SynReceived
        && is_one(case.linux, both)
        && is_one(case.ours, both)
        && case.linux.seen[0].options != case.ours.seen[0].options
}

fn is_syn_in_syn_received(case: &Case) -> bool {
    case.before == TcpState::SynReceived
        && case.segment.is_some_and(|segment| has(segment, TcpFlags::SYN))
        && case.linux.state != TcpState::Established
}

fn is_text_past_fin(case: &Case) -> bool {
    let is_after_fin = matches!(
        case.before,
        TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait
    );
    is_after_fin
        && case.segment.is_some_and(|segment| segment.len > 0)
        && case.linux.is_contradictory
        && is_reset(case.linux)
        && case.ours.seen.iter().all(|seen| seen.flags == TcpFlags::ACK)
}

fn is_text_after_shut_read(case: &Case) -> bool {
    let is_shut = case.earlier.iter().zip(&case.script.steps).any(|(moment, step)| {
        moment.outcome == Some(Outcome::Done(0))
            && matches!(step, Step::Call(Call::Shutdown(How::Read | How::Both)))
    });
    matches!(case.before, TcpState::FinWait1 | TcpState::FinWait2)
        && is_shut
        && case.segment.is_some_and(|segment| segment.len > 0 || has(segment, TcpFlags::FIN))
        && is_reset(case.linux)
}

fn is_contradictory_fin(case: &Case) -> bool {
    case.linux.is_contradictory
}

fn is_right_edge(case: &Case) -> bool {
    let is_at_edge = |segment: &Segment| matches!(segment.seq, Seq::Edge(0..=1));
    let is_reset = |segment: &Segment| {
        has(segment, TcpFlags::RST) && matches!(segment.seq, Seq::Edge(0..=1000))
    };
    // An acknowledgment at the edge may show later.
    case.script
        .steps
        .iter()
        .take(case.earlier.len() + 1)
        .any(|step| matches!(step, Step::Segment(segment) if is_at_edge(segment)))
        && case.linux.state == case.ours.state
        || case.segment.is_some_and(is_reset)
            && is_one(case.linux, TcpFlags::ACK)
            && case.ours.seen.is_empty()
}

fn is_reset_from_left(case: &Case) -> bool {
    case.segment.is_some_and(|segment| {
        has(segment, TcpFlags::RST) && matches!(segment.seq, Seq::Next(by) if by < 0)
    }) && is_one(case.linux, TcpFlags::ACK)
        && case.ours.seen.is_empty()
}

fn is_reset_before_fin(case: &Case) -> bool {
    let is_after_fin =
        matches!(case.before, TcpState::CloseWait | TcpState::LastAck | TcpState::Closing);
    is_after_fin
        && case.linux.state == TcpState::Closed
        && case.segment.is_some_and(|segment| {
            has(segment, TcpFlags::RST) && matches!(segment.seq, Seq::Next(-1))
        })
}

fn is_old_text(case: &Case) -> bool {
    case.script.steps.iter().take(case.earlier.len() + 1).any(|step| {
        let Step::Segment(segment) = step else { return false };
        let Seq::Next(by) = segment.seq else { return false };
        let len = i32::from(segment.len) + i32::from(has(segment, TcpFlags::FIN));
        let says_something = has(segment, TcpFlags::URG) || !matches!(segment.ack, Ack::Una(0));
        by < 0 && len > 0 && by + len <= 0 && says_something
    })
}

fn is_ack_of_syn(case: &Case) -> bool {
    // The answer spends the budget of challenges, which may show later.
    let is_old = case.script.steps.iter().take(case.earlier.len() + 1).any(|step| {
        matches!(step, Step::Segment(segment) if matches!(segment.ack, Ack::Una(by) if by < 0))
    });
    matches!(case.script.steps.first(), Some(Step::Call(Call::Connect)))
        && is_old
        && case.linux.seen.len().abs_diff(case.ours.seen.len()) == 1
        && (is_one(case.ours, TcpFlags::ACK) || is_one(case.linux, TcpFlags::ACK))
}

fn is_budget_after_open(case: &Case) -> bool {
    case.earlier.iter().any(|moment| moment.state == TcpState::SynReceived)
        && case.linux.seen.is_empty()
        && is_one(case.ours, TcpFlags::ACK)
}

fn is_budget_of_half_open(case: &Case) -> bool {
    case.before == TcpState::SynReceived
        && is_one(case.linux, TcpFlags::ACK)
        && case.ours.seen.is_empty()
}

fn is_fin_beyond_congestion(case: &Case) -> bool {
    let sent: usize = case.earlier.iter().map(|moment| moment.seen.len()).sum();
    sent >= 10 && case.linux.seen.is_empty() && is_one(case.ours, TcpFlags::FIN.with(TcpFlags::ACK))
}

fn is_congestion_window(case: &Case) -> bool {
    let sent: usize = case.earlier.iter().map(|moment| moment.seen.len()).sum();
    sent + case.ours.seen.len() >= 10 && is_more_of_the_same(case.linux, case.ours)
}

fn is_syn_ack_text(case: &Case) -> bool {
    case.before == TcpState::SynSent
        && case.segment.is_some_and(|segment| {
            has(segment, TcpFlags::SYN.with(TcpFlags::ACK)) && segment.len > 0
        })
}

fn is_given_up_open(case: &Case) -> bool {
    case.before == TcpState::SynSent
        && matches!(case.script.steps.get(case.earlier.len()), Some(Step::Call(Call::Shutdown(_))))
        && case.linux.outcome == case.ours.outcome
        && case.linux.poll != case.ours.poll
}

fn is_end_in_syn_received(case: &Case) -> bool {
    case.before == TcpState::SynReceived
        && case.linux.outcome == Some(Outcome::Done(0))
        && case.ours.outcome == case.linux.outcome
        && is_one(case.linux, TcpFlags::FIN.with(TcpFlags::ACK))
        && case.linux.state == TcpState::FinWait1
        && case.ours.seen.is_empty()
        && case.ours.state == TcpState::SynReceived
}

fn is_half_open_of_listener(case: &Case) -> bool {
    case.before == TcpState::SynReceived
        && matches!(
            case.script.steps.get(case.earlier.len()),
            Some(Step::Call(Call::CloseListener))
        )
        && case.linux.seen.is_empty()
        && is_reset(case.ours)
}

fn is_ack_in_syn_received(case: &Case) -> bool {
    case.before == TcpState::SynReceived
        && case.segment.is_some_and(|segment| has(segment, TcpFlags::ACK))
        && case.linux.state != TcpState::Closed
        && case.ours.state == TcpState::SynReceived
        && is_one(case.linux, TcpFlags::RST) != is_one(case.ours, TcpFlags::RST)
}

fn is_orphan_in_fin_wait_2(case: &Case) -> bool {
    let is_orphan = case
        .script
        .steps
        .iter()
        .take(case.earlier.len())
        .any(|step| matches!(step, Step::Call(Call::Close)));
    case.before == TcpState::FinWait2
        && is_orphan
        && case.segment.is_some_and(|segment| {
            has(segment, TcpFlags::SYN)
                || has(segment, TcpFlags::RST)
                || (case.linux.seen.is_empty() && is_one(case.ours, TcpFlags::ACK))
        })
}

fn is_reset_in_time_wait(case: &Case) -> bool {
    case.before == TcpState::TimeWait
        && case.segment.is_some_and(|segment| has(segment, TcpFlags::RST))
        && case.linux.state == TcpState::Closed
        && case.ours.state == TcpState::TimeWait
}

/// Whether both sent the same segments but for options of one kind.
fn is_same_but(case: &Case, is_it: fn(&Opt) -> bool) -> bool {
    let rest = |moment: &Moment| -> Vec<_> {
        let mut seen = moment.seen.clone();
        for one in &mut seen {
            one.options.retain(|option| !is_it(option));
            one.is_shrunk = false;
        }
        joined(&seen)
    };
    case.linux.seen != case.ours.seen && rest(case.linux) == rest(case.ours)
}

fn is_stamp_of_refused(case: &Case) -> bool {
    let is_refused = |step: &Step| {
        let Step::Segment(segment) = step else { return false };
        let is_old = matches!(segment.seq, Seq::Next(by) if by < 0);
        is_old || !has(segment, TcpFlags::ACK) || !matches!(segment.ack, Ack::Next(0) | Ack::Una(0))
    };
    case.script.steps.iter().take(case.earlier.len() + 1).any(is_refused)
        && is_same_but(case, |option| matches!(option, Opt::Timestamps(_) | Opt::Sack(_)))
}

fn is_sack_of_old_stamp(case: &Case) -> bool {
    case.segment.is_some_and(|segment| matches!(segment.stamp, Stamp::Old))
        && is_same_but(case, |option| matches!(option, Opt::Sack(_)))
}

fn is_budget_of_old_stamp(case: &Case) -> bool {
    let is_old =
        |step: &Step| matches!(step, Step::Segment(segment) if matches!(segment.stamp, Stamp::Old));
    case.script.steps.iter().take(case.earlier.len() + 1).any(is_old)
        && is_one(case.linux, TcpFlags::ACK)
        && case.ours.seen.is_empty()
}

fn is_fast_retransmit(case: &Case) -> bool {
    let earlier = || case.earlier.iter().flat_map(|moment| &moment.seen);
    let is_again = case
        .linux
        .seen
        .iter()
        .any(|seen| !seen.payload.is_empty() && earlier().any(|old| old.seq == seen.seq));
    let bare = case.script.steps.iter().take(case.earlier.len() + 1).filter(|step| match step {
        Step::Segment(segment) => segment.flags == TcpFlags::ACK && segment.len == 0,
        Step::Call(_) | Step::Wait(_) => false,
    });
    is_again && case.ours.seen.is_empty() && bare.count() >= 2
}

fn is_syn_twice(case: &Case) -> bool {
    let is_syn =
        |step: &&Step| matches!(step, Step::Segment(segment) if has(segment, TcpFlags::SYN));
    case.script.steps.iter().take(case.earlier.len()).filter(is_syn).count() >= 2
        && is_more_of_the_same(case.linux, case.ours)
}

fn is_sack_of_fin(case: &Case) -> bool {
    let is_early_fin =
        |step: &Step| matches!(step, Step::Segment(segment) if has(segment, TcpFlags::FIN));
    case.script.steps.iter().take(case.earlier.len() + 1).any(is_early_fin)
        && is_same_but(case, |option| matches!(option, Opt::Sack(_)))
}

fn is_sack_on_reset(case: &Case) -> bool {
    is_reset(case.linux) && is_same_but(case, |option| matches!(option, Opt::Sack(_)))
}

fn is_reset_at_sack(case: &Case) -> bool {
    let has_sack = case
        .earlier
        .iter()
        .flat_map(|moment| &moment.seen)
        .any(|seen| seen.options.iter().any(|option| matches!(option, Opt::Sack(_))));
    has_sack
        && case.linux.state == TcpState::Closed
        && case.ours.state != TcpState::Closed
        && case.segment.is_some_and(|segment| has(segment, TcpFlags::RST))
}

fn is_stamp_in_syn_received(case: &Case) -> bool {
    case.before == TcpState::SynReceived
        && case.segment.is_some_and(|segment| {
            has(segment, TcpFlags::RST) && matches!(segment.stamp, Stamp::Old)
        })
}

fn is_closed_in_syn_received(case: &Case) -> bool {
    let is_last = |moment: &Moment| moment.seen.last().and_then(|seen| seen.ack);
    matches!(case.before, TcpState::SynReceived | TcpState::FinWait1)
        && case.earlier.iter().any(|moment| moment.state == TcpState::SynReceived)
        && case.linux.state == TcpState::FinWait1
        && case.ours.state == TcpState::FinWait1
        && is_last(case.linux) == is_last(case.ours)
}

fn is_window_taken_back(case: &Case) -> bool {
    let has_shrunk = case
        .script
        .steps
        .iter()
        .take(case.earlier.len())
        .any(|step| matches!(step, Step::Segment(segment) if segment.window < 20_000));
    has_shrunk && is_more_of_the_same(case.linux, case.ours)
}

fn is_fin_at_shut_window(case: &Case) -> bool {
    let has_shut = case
        .script
        .steps
        .iter()
        .take(case.earlier.len() + 1)
        .any(|step| matches!(step, Step::Segment(segment) if segment.window == 0));
    has_shut && case.linux.seen.is_empty() && is_one(case.ours, TcpFlags::FIN.with(TcpFlags::ACK))
}

fn is_edge_taken_back(case: &Case) -> bool {
    let alike = |(theirs, mine): (&Seen, &Seen)| {
        let is_elsewhere = theirs.seq != mine.seq && theirs.payload.is_empty();
        // There urgent data may still be ahead.
        let flags = TcpFlags::from_bits(theirs.flags.bits() & !TcpFlags::URG.bits());
        let moved = Seen { seq: mine.seq, urgent: mine.urgent, flags, ..theirs.clone() };
        is_elsewhere && moved == *mine
    };
    case.linux.seen.len() == case.ours.seen.len()
        && case.linux.seen.iter().zip(&case.ours.seen).all(alike)
}

fn is_urgent_on_reset(case: &Case) -> bool {
    let is_alike = matches!((&case.linux.seen[..], &case.ours.seen[..]), ([theirs], [mine])
        if theirs.flags == mine.flags.with(TcpFlags::URG) && theirs.seq == mine.seq);
    is_reset(case.linux) && is_alike
}

fn is_ack_of_probe(case: &Case) -> bool {
    case.segment.is_some_and(|segment| {
        has(segment, TcpFlags::ACK) && segment.len <= 1 && matches!(segment.seq, Seq::Next(-1..=0))
    }) && case.linux.state != case.ours.state
        && case.linux.seen == case.ours.seen
        && is_one(case.ours, TcpFlags::ACK)
}

fn is_buffer_of_small_segments(case: &Case) -> bool {
    let is_mss = |option: &Opt| matches!(option, Opt::Mss(..=100));
    let is_small =
        |step: &Step| matches!(step, Step::Segment(segment) if segment.options.iter().any(is_mss));
    case.linux.poll | PollFlags::OUT.bits() == told_early(case.linux.poll, case.ours.poll)
        && case.linux.seen == case.ours.seen
        && case.script.steps.iter().any(is_small)
}

/// Whether both sent the same octets, and one of them more.
fn is_more_of_the_same(linux: &Moment, ours: &Moment) -> bool {
    let text = |moment: &Moment| -> Vec<u8> {
        moment.seen.iter().flat_map(|seen| seen.payload.clone()).collect()
    };
    let (theirs, mine) = (text(linux), text(ours));
    let first = |moment: &Moment| moment.seen.first().map(|seen| seen.seq);
    theirs.len() != mine.len()
        && (theirs.starts_with(&mine) || mine.starts_with(&theirs))
        && (first(linux) == first(ours) || theirs.is_empty() || mine.is_empty())
}
