//! What must hold of the two ends of each connection once all is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::workload::{Ending, Report};

/// The talkers by their own address and the other end's, in the order in which they came.
type Ends<'a> = BTreeMap<(SocketAddr, SocketAddr), Vec<&'a Report>>;

/// Compares the two ends of each connection; gives what is wrong, in sentences. `may_fail`:
/// connections may fail, as long as nobody reads what was not written there.
///
/// Each talker has heard one talker at the other end, and that one has heard it or nobody: no
/// segment of one connection has counted in another. Without an abort, each end has read exactly
/// what the other wrote, has seen its end (unless its plan never looks), and met no error. With
/// one, or where connections may fail, nobody has read what was not written.
pub fn compare(reports: &[Report], may_fail: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ends: Ends<'_> = BTreeMap::new();
    for report in reports {
        ends.entry((report.local, report.remote)).or_default().push(report);
        if report.finished.is_none() {
            faults.push(format!(
                "{}: not finished, {} of {} sent, {} received, end {}",
                name(report),
                report.sent,
                report.plan.send,
                report.received,
                report.saw_end
            ));
        }
    }
    for (&(local, remote), here) in &ends {
        let there = ends.get(&(remote, local)).map_or(&[][..], |there| there);
        let may_miss = |report: &&Report| report.error.is_some() || is_abort(report);
        let may_miss = here.iter().chain(there).any(may_miss);
        if !may_fail && here.len() != there.len() && !may_miss {
            faults.push(format!("{local} to {remote}: the other end is missing"));
        }
        for (place, one) in here.iter().enumerate() {
            if one.is_garbled {
                faults.push(format!("{}: read octets that nobody wrote", name(one)));
            }
            let fault = match other_end(one, place, here.len(), there) {
                Ok(Some(other)) if is_mutual(one, other) => lost(one, other, may_fail),
                Ok(Some(other)) => Some(format!(
                    "heard number {:?}, which heard number {:?}",
                    one.peer(),
                    other.peer()
                )),
                Ok(None) => None,
                Err(fault) => Some(fault),
            };
            faults.extend(fault.map(|fault| format!("{}: {fault}", name(one))));
        }
    }
    faults
}

fn name(report: &Report) -> String {
    format!("{} to {}, number {}", report.local, report.remote, report.number)
}

/// Who is at the other end of `one`, which is the talker at `place` of `count` between the same
/// ends: whose number it has read, or who has read its. `None`: too little was said to know.
fn other_end<'a>(
    one: &Report,
    place: usize,
    count: usize,
    there: &[&'a Report],
) -> Result<Option<&'a Report>, String> {
    if let Some(number) = one.peer() {
        let found = there.iter().find(|other| other.number == number);
        return found.map(|other| Some(*other)).ok_or(format!("nobody there is number {number}"));
    }
    let mut hearers = there.iter().filter(|other| other.peer() == Some(one.number)).peekable();
    if hearers.peek().is_some() {
        let mut heard = hearers.filter(|other| other.number.to_le_bytes().starts_with(&one.head));
        return heard.next().map(|other| Some(*other)).ok_or("read octets of nobody".into());
    }
    // Less than a number is the begin of one.
    let is_begun = |other: &&Report| other.number.to_le_bytes().starts_with(&one.head);
    if !one.head.is_empty() && !there.iter().copied().any(|other| is_begun(&other)) {
        return Err("read octets of nobody".into());
    }
    // Of several with the same ends that said hardly anything nobody knows who belongs together.
    let only = there.get(place).filter(|_| count == 1 && there.len() == 1);
    Ok(only.copied())
}

/// Each has heard the other, or hardly anything.
fn is_mutual(one: &Report, other: &Report) -> bool {
    let has_heard = |one: &Report, other: &Report| one.peer().is_none_or(|n| n == other.number);
    has_heard(one, other) && has_heard(other, one)
}

fn is_abort(report: &Report) -> bool {
    matches!(report.plan.ending, Ending::Abort(_))
}

/// What `one` did against what `other` saw of it.
fn lost(one: &Report, other: &Report, may_fail: bool) -> Option<String> {
    if other.received > one.sent {
        return Some(format!("{} sent, {} received", one.sent, other.received));
    }
    if let Some(fault) = false_mark(one, other) {
        return Some(fault);
    }
    if may_fail || is_abort(one) || is_abort(other) {
        return None;
    }
    if let Some(error) = one.error {
        return Some(format!("failed: {error}"));
    }
    let looks = !matches!(other.plan.ending, Ending::CloseAtOnce);
    if looks && (other.received != one.sent || one.sent != one.plan.send) {
        return Some(format!("{} sent, {} received", one.sent, other.received));
    }
    if let Some(last) = one.urgent.last().filter(|last| looks && !other.marks.contains(last)) {
        return Some(format!("the other end met no mark at {last}: {:?}", other.marks));
    }
    (looks && !other.saw_end).then(|| "the other end has not seen the end".into())
}

/// A mark that `other` met, and `one` had written no urgent octet there.
///
/// Between it and an urgent octet further ahead than 16 bits reach may be one: so far the pointer
/// told, and what told more was lost (RFC 9293 §3.8.5).
fn false_mark(one: &Report, other: &Report) -> Option<String> {
    let is_true = |mark: &u64| {
        let reach = mark + u64::from(u16::MAX);
        one.urgent.iter().any(|urgent| urgent == mark || *urgent >= reach)
    };
    let mark = other.marks.iter().find(|mark| !is_true(mark))?;
    Some(format!("a mark at {mark}, and urgent were {:?}", one.urgent))
}

#[cfg(test)]
mod tests {
    use super::super::random::Random;
    use super::super::workload::{Plan, Talker};
    use super::*;
    use crate::stack::SocketId;
    use crate::time::Instant;

    const ENDS: [&str; 2] = ["10.7.0.1:5000", "10.7.0.2:80"];

    /// A talker that has written and read ten octets, those of talker `peer`.
    fn report(number: u64, side: usize, peer: Option<u64>) -> Report {
        let [local, remote] = [ENDS[side], ENDS[1 - side]].map(|addr| addr.parse().unwrap());
        let (plan, socket) = (Plan::bulk(10), SocketId::default());
        let talker = Talker::new(Instant::ZERO, socket, remote, plan, Random::new(1));
        let report = talker.numbered(number, side == 0).report().clone();
        let received = if peer.is_some() { 10 } else { 0 };
        let head = peer.map_or(Vec::new(), |peer| peer.to_le_bytes().to_vec());
        let (finished, saw_end) = (Some(Instant::ZERO), peer.is_some());
        Report { local, sent: 10, received, head, saw_end, finished, ..report }
    }

    fn faults(reports: &[Report], may_fail: bool) -> usize {
        compare(reports, may_fail).len()
    }

    const STRICT: bool = false;
    const LAX: bool = true;

    #[test]
    fn connections_between_the_same_ends_are_told_apart_in_whatever_order_they_are() {
        let mut reports = [
            report(1, 0, Some(8)),
            report(2, 0, Some(7)),
            report(7, 1, Some(2)),
            report(8, 1, Some(1)),
        ];
        assert_eq!(faults(&reports, STRICT), 0);
        reports[3].received = 9;
        assert_eq!((faults(&reports, STRICT), faults(&reports, LAX)), (1, 0));
        reports[3].received = 11;
        assert_eq!((faults(&reports, STRICT), faults(&reports, LAX)), (1, 1));
        reports[3] = report(8, 1, Some(3));
        assert!(faults(&reports, LAX) > 0, "there is no number 3");
        reports[3] = Report { is_garbled: true, ..report(8, 1, Some(1)) };
        assert_eq!(faults(&reports, LAX), 1);
    }

    #[test]
    fn less_than_a_number_is_the_begin_of_one_at_the_other_end() {
        let heard = |head: &[u8]| {
            let (received, head) = (head.len() as u64, head.to_vec());
            let one = Report { received, head, ..report(1, 0, None) };
            [one, report(0x207, 1, None), report(0x308, 1, None)]
        };
        for count in [2, 3] {
            for head in [&[][..], &[7], &[7, 2], &[7, 2, 0]] {
                assert_eq!(faults(&heard(head)[..count], LAX), 0, "{head:?} of {count}");
            }
            for head in [&[6][..], &[7, 3], &[7, 2, 0, 1]] {
                assert_eq!(faults(&heard(head)[..count], LAX), 1, "{head:?} of {count}");
            }
        }
    }

    #[test]
    fn what_one_connection_hears_of_another_is_found_out() {
        let reports = [
            report(1, 0, Some(7)),
            report(2, 0, Some(8)),
            report(7, 1, Some(1)),
            report(8, 1, Some(1)), // And not 2.
        ];
        assert_eq!(faults(&reports, LAX), 2, "both of number 8's");
        let ghost = [report(1, 0, Some(7)), report(7, 1, Some(1)), report(8, 1, Some(1))];
        assert_eq!(faults(&ghost, LAX), 1, "an old cookie has opened what number 1 has left");
    }
}
