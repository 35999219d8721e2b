//! What two plays of a script must have in common.

use std::fmt::Write as _;

use rustix::event::PollFlags;
use wharf::sim::TcpFlags;

use crate::backend::Outcome;
use crate::play::{Moment, Seen, names};
use crate::script::{Script, Step};

/// The first step at which the two differ.
pub(crate) struct Difference {
    /// The step's number.
    pub(crate) step: usize,
    /// What differs.
    pub(crate) what: &'static str,
}

/// Compares Linux's play with ours, step by step, up to the first difference. Times are not
/// compared, and neither is how data is cut that leaves in one go.
pub(crate) fn compare(linux: &[Moment], ours: &[Moment]) -> Option<Difference> {
    linux.iter().zip(ours).enumerate().find_map(|(step, (linux, ours))| {
        let is_alike = [
            ("segments", allowed(joined(&linux.seen)) == joined(&ours.seen)),
            ("other packets", linux.others.len() == ours.others.len()),
            ("the call's result", linux.outcome == ours.outcome),
            ("the state", linux.state == ours.state),
            ("poll", linux.poll == told_early(linux.poll, ours.poll)),
        ];
        let (what, _) = is_alike.into_iter().find(|(_, is_alike)| !is_alike)?;
        Some(Difference { step, what })
    })
}

/// Linux's record of TIME-WAIT moves the window's edge left; ours never does.
fn allowed(mut seen: Vec<Seen>) -> Vec<Seen> {
    for one in &mut seen {
        one.is_shrunk = false;
    }
    seen
}

/// Ours tells of urgent data once it is announced, and Linux's poll once it is here.
pub(crate) fn told_early(linux: u16, ours: u16) -> u16 {
    if linux & PollFlags::PRI.bits() == 0 { ours & !PollFlags::PRI.bits() } else { ours }
}

/// Data that leaves in one go is one piece, and carries the acknowledgment before it.
pub(crate) fn joined(seen: &[Seen]) -> Vec<Seen> {
    let urg = TcpFlags::URG.bits();
    let mut list: Vec<Seen> = Vec::new();
    for next in seen {
        if let Some(last) = list.last_mut() {
            let len = u32::try_from(last.payload.len()).expect("segments are short");
            let is_next = last.seq.map(|seq| seq.wrapping_add(len)) == next.seq;
            let has_text = len > 0 && !next.payload.is_empty();
            let is_bare = len == 0
                && last.flags.bits() & !urg == TcpFlags::ACK.bits()
                && !next.payload.is_empty();
            if is_next && last.ack == next.ack && (has_text || is_bare) {
                last.payload.extend(&next.payload);
                let urgent = last.flags.bits() & urg;
                last.flags = TcpFlags::from_bits(next.flags.bits() | urgent);
                last.urgent = last.urgent.or(next.urgent);
                continue;
            }
        }
        list.push(next.clone());
    }
    list
}

/// What differs at a step in a few words, the same for differences of one kind.
pub(crate) fn kind(
    script: &Script,
    linux: &[Moment],
    ours: &[Moment],
    difference: &Difference,
) -> String {
    let step = difference.step;
    let text = match &script.steps[step] {
        Step::Segment(segment) => {
            format!("{} {:?} {:?}", names(segment.flags), segment.seq, segment.ack)
        }
        step @ (Step::Call(_) | Step::Wait(_)) => format!("{step:?}"),
    };
    let mut text: String = text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    for moment in [&linux[step], &ours[step]] {
        let flags: Vec<_> = moment.seen.iter().map(|seen| names(seen.flags)).collect();
        let result = moment.outcome.as_ref().map(in_words).unwrap_or_default();
        let _ = write!(text, " | {} {} {result}", moment.state, flags.join(","));
    }
    format!("{}: {text}", difference.what)
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Octets(octets) => format!("{} octets", octets.len()),
        Outcome::Idle | Outcome::Done(_) | Outcome::Errno(_) => format!("{outcome:?}"),
    }
}

/// Both plays up to a step, for people.
pub(crate) fn transcript(
    script: &Script,
    linux: &[Moment],
    ours: &[Moment],
    upto: usize,
) -> String {
    let mut text = format!("{:?} iss {}\n", script.features, script.iss);
    for (number, step) in script.steps.iter().enumerate().take(upto + 1) {
        let told = match step {
            Step::Segment(segment) => {
                format!("{} {segment:?}", names(segment.flags))
            }
            Step::Call(_) | Step::Wait(_) => format!("{step:?}"),
        };
        let _ = writeln!(text, "{number:3} {told}");
        for (who, moments) in [("linux", linux), ("ours ", ours)] {
            let Some(moment) = moments.get(number) else { continue };
            let _ = writeln!(
                text,
                "      {who} {:?} {} poll {:#x} {} {:?} {:?}",
                moment.at,
                moment.state,
                moment.poll,
                moment.outcome.as_ref().map(in_words).unwrap_or_default(),
                moment.seen,
                moment.others
            );
        }
    }
    text
}
