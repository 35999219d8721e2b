//! One stack with its device: what happens in a turn of the loop, and after an application's call.
//!
//! Everything here runs under the shard's lock. What may run foreign code, waking and dropping,
//! is put into [`Deferred`] and done after unlocking.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use crate::device::Device;
use crate::error::SocketError;
use crate::observe::{Counters, DropReason, Event, LogObserver, Observer as _, TcpState};
use crate::packet::{Frame, Outgoing};
use crate::runtime::busy_poll::BusyPoll;
use crate::runtime::coalescing::Coalescing;
use crate::runtime::deferred::Deferred;
use crate::runtime::leaving::Leaving;
use crate::runtime::mailbox::Mail;
use crate::runtime::phase::{Awaited, Phase, Step};
use crate::runtime::seat::{Seat, Sleep};
use crate::runtime::siblings::Siblings;
use crate::runtime::sips::Sips;
use crate::runtime::waiters::Waiters;
use crate::stack::{SocketId, Stack};
use crate::time::{Duration, Instant};

/// Most packets that one turn takes in, so that timers and calls get their turn in a flood; and
/// most that go to the device in one burst.
const BURST: usize = 64;

/// Octets after which a turn takes nothing more in: what is read goes to its readers while the
/// processor has it at hand.
const BURST_OCTETS: usize = 256 << 10;

/// Octets from which on a turn behind which more waits is one of a bulk transfer: without offload
/// too, where no more come in one. As many small packets are fewer octets, and wait for answers.
const BULK_OCTETS: usize = 64 << 10;

/// Most turns of a bulk transfer in a row that send nothing: so each of several bulk senders is
/// acknowledged as seldom as one alone. An acknowledgment costs the kernel's whole way in.
const SILENT_TURNS: usize = 3;

/// Octets that are read before they are looked at: a few super-segments, or all other packets of a
/// turn, so that those of a sender stand next to each other.
const SIP_OCTETS: usize = 96 << 10;

/// Most packets that a turn sends, and octets after which it sends no more, before it looks at what
/// has come: acknowledgments give back memory that is at hand, and who asks for little does not
/// wait until all windows are full.
const SEND_PACKETS: usize = 2 * BURST;
const SEND_OCTETS: usize = 4 << 20;

/// Most packets that an application's call sends itself; the loop sends the rest. What most
/// requests and answers need, and little enough for others not to wait long for the lock.
const CALL_BURST: usize = 4;

/// What the driver has to do after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Packets may still wait, to come or to leave: have another turn at once, and look for both.
    Again,
    /// None wait, but the next may come soon: the same.
    Busy,
    /// Tasks of the driver's own thread have been woken, and may have something to say before
    /// anything is sent: have another turn once they have run. `is_drained`: nothing more waits.
    /// `may_spawn`: a task has been woken that accepts, and hands on to another what it has got;
    /// wait for that one too.
    Yield { is_drained: bool, may_spawn: bool },
    /// None wait, but many will: have another turn after so long, unless a connection has
    /// something to send by then.
    Pause(Duration),
    /// Wait for the device or a kick, at most until the moment given.
    Sleep(Option<Instant>),
    /// The same, but the device may have more than it gave: look first.
    Look(Option<Instant>),
    /// The stack has ended.
    Over,
}

/// A stack, its device, and who waits for its sockets.
pub(crate) struct Shard {
    pub(crate) stack: Stack,
    pub(crate) waiters: Waiters,
    pub(crate) deferred: Deferred,
    pub(super) busy_poll: BusyPoll,
    pub(super) coalescing: Coalescing,
    observer: (Counters, LogObserver),
    /// `None` if this shard is all of its stack.
    siblings: Option<Box<Siblings>>,
    /// `None` once the stack has ended.
    device: Option<Box<dyn Device>>,
    /// Both empty between turns; kept for their memory.
    arrived: VecDeque<Frame>,
    leaving: Leaving,
    phase: Phase,
    seat: Seat,
    sips: Sips,
    /// Turns since one has last sent what there was to send.
    silent_turns: usize,
    /// A turn has sent as much as one may, and something may be left.
    is_left: bool,
    /// The next turn begins with what this one would have sent.
    is_sending_put_off: bool,
    /// Somebody who accepts has been woken since the last turn that put its sending off.
    is_accept_awaited: bool,
    /// Why the device is gone; acted on by the next turn.
    failure: Option<io::Error>,
}

impl Shard {
    pub(super) fn new(
        mut stack: Stack,
        device: Box<dyn Device>,
        siblings: Option<Box<Siblings>>,
    ) -> Self {
        if let Some(siblings) = &siblings {
            let (steering, index) = siblings.share();
            stack.set_share(steering, index);
        }
        let leaving = Leaving::new(device.capabilities());
        Self {
            stack,
            waiters: Waiters::default(),
            deferred: Deferred::default(),
            busy_poll: BusyPoll::default(),
            coalescing: Coalescing::default(),
            observer: (Counters::default(), LogObserver),
            siblings,
            device: Some(device),
            arrived: VecDeque::new(),
            leaving,
            phase: Phase::default(),
            seat: Seat::default(),
            sips: Sips::default(),
            silent_turns: 0,
            is_left: false,
            is_sending_put_off: false,
            is_accept_awaited: false,
            failure: None,
        }
    }

    /// Takes in a burst, runs what is due, sends a burst or two, and collects the wakers.
    ///
    /// `may_receive`: the device's descriptor is readable, or may be.
    pub(crate) fn turn(&mut self, now: Instant, may_receive: bool) -> Turn {
        if self.is_over() {
            return Turn::Over;
        }
        if self.siblings.as_ref().is_some_and(|siblings| siblings.are_broken()) {
            self.finish(now, SocketError::NetworkDown);
            return Turn::Over;
        }
        self.seat.sleep = Sleep::Awake;
        let (packets, is_more) = match self.exchange(now, may_receive) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.fail(now, error);
                return Turn::Over;
            }
        };
        // Asked in every turn: while packets keep tasks busy, each turn puts its sending off.
        if self.has_finished(now) {
            self.finish(now, SocketError::Aborted);
            return Turn::Over;
        }
        if self.is_sending_put_off {
            let is_drained = !may_receive || self.is_drained();
            if packets > 0 {
                self.busy_poll.on_packets(now);
            }
            if may_receive && !is_more {
                self.coalescing.on_empty();
            }
            let may_spawn = std::mem::take(&mut self.is_accept_awaited);
            return Turn::Yield { is_drained: is_drained && !is_more, may_spawn };
        }
        self.collect_wakes();
        if packets > 0 {
            self.busy_poll.on_packets(now);
        }
        if is_more {
            return Turn::Again;
        }
        if self.busy_poll.looks_again(now) {
            self.coalescing.forget(); // Nobody has to wake a driver that looks.
            return Turn::Busy;
        }
        if !may_receive && self.coalescing.is_due() {
            return Turn::Busy; // It is to be seen first that nothing waits.
        }
        let deadline = self.deadline();
        if may_receive && let Some(pause) = self.coalescing.take_pause(now) {
            // Half of it for the turn itself, and for a thread that wakes up late.
            if deadline.is_none_or(|deadline| deadline >= now + 2 * pause) {
                self.seat.sleep = Sleep::Until(now + pause);
                return Turn::Pause(pause);
            }
            self.coalescing.forget();
        }
        self.seat.sleep = deadline.map_or(Sleep::Forever, Sleep::Until);
        let is_sure = !may_receive || self.is_drained();
        if is_sure { Turn::Sleep(deadline) } else { Turn::Look(deadline) }
    }

    /// Whether packets may gather as the last turn has said: not if tasks that have run since on
    /// its thread have given a connection something to send.
    #[cfg(feature = "tokio")]
    pub(crate) fn may_gather(&mut self) -> bool {
        let may_gather = !self.is_over() && self.stack.senders() == 0;
        if !may_gather {
            self.coalescing.forget();
        }
        may_gather
    }

    /// Whether nothing more waits in the device, as far as that is known.
    fn is_drained(&self) -> bool {
        self.device.as_ref().is_some_and(Device::is_drained)
    }

    /// Sends what an application's call left to send, a few packets at most, and kicks the
    /// driver if its sleep has become too long.
    pub(crate) fn settle(&mut self, now: impl FnOnce() -> Instant) {
        if self.is_over() {
            self.collect_wakes();
            return;
        }
        // A driver on this very thread runs as soon as its tasks have: what they have to say
        // leaves in one burst at the end of its turn.
        // So does one that is in the midst of sending: others are before this call.
        let is_left = if self.seat.is_here() || self.is_left {
            true
        } else {
            self.transmit(now(), CALL_BURST).unwrap_or_else(|error| {
                self.failure = Some(error);
                true
            })
        };
        self.collect_wakes(); // Not before: what left for ourselves has arrived.
        if self.seat.sleep == Sleep::Awake {
            return;
        }
        let due = if is_left { Some(Instant::ZERO) } else { self.deadline() };
        if self.seat.sleep.is_past(due) {
            self.kick();
        }
    }

    /// Ends the driver's sleep.
    pub(crate) fn kick(&mut self) {
        self.seat.sleep = Sleep::Awake;
        self.deferred.wake.extend(self.seat.kick.clone());
    }

    /// `kick` is how the driver wants to be woken; `thread` is where it runs
    /// ([`here`](crate::runtime::shared::here)), if it shares that thread with tasks that make
    /// calls, and else 0.
    pub(crate) fn take_seat(&mut self, kick: &Waker, thread: usize) {
        self.seat.thread = thread;
        if !(self.seat.kick.as_ref()).is_some_and(|old| old.will_wake(kick)) {
            let old = self.seat.kick.replace(kick.clone());
            self.deferred.discard(old);
            let old = self.siblings.as_ref().and_then(|siblings| siblings.set_kick(kick));
            self.deferred.discard(old);
        }
    }

    /// Nobody can make a call any more.
    pub(crate) fn leave(&mut self, now: Instant) {
        if self.phase.leave(now) {
            self.kick();
        }
    }

    /// Takes no new connections, and ends when the old ones have, or after `timeout`.
    pub(crate) fn shut_down(&mut self, now: Instant, timeout: Duration) {
        if !self.phase.shut_down(now, timeout) {
            return;
        }
        self.stack.stop_listening(now);
        self.collect_wakes();
        self.kick();
    }

    /// The stack, for a call that makes no sense once it has ended.
    pub(crate) fn running(&mut self) -> Result<&mut Stack, SocketError> {
        if self.is_over() {
            return Err(SocketError::NetworkDown);
        }
        Ok(&mut self.stack)
    }

    /// Whether the stack has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What has been counted so far.
    pub(crate) fn counters(&self) -> &Counters {
        &self.observer.0
    }

    /// Why the stack ended, if not because it was asked to.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Resets what is left, says so to the peers, and gives up the device; sockets are told
    /// `error`.
    fn finish(&mut self, now: Instant, error: SocketError) {
        self.stack.abort_all(now, error);
        let sent = loop {
            match self.transmit(now, SEND_PACKETS) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let flushed = self.device.as_mut().map_or(Ok(()), Device::flush);
        // A call may have met an error that no turn has acted on.
        self.failure = self.failure.take().or(sent.and(flushed).err());
        self.end();
    }

    /// Ends before its time, and its siblings with it: nobody will run another turn, or not in
    /// time.
    pub(crate) fn dismiss(&mut self, now: Instant) {
        if !self.is_over() {
            self.finish(now, SocketError::Aborted);
            self.break_up();
            self.kick(); // If there still is a driver, its turn is the last.
        }
    }

    /// Ends without a word to the stack, which may be broken, or to the peers.
    pub(crate) fn abandon(&mut self, error: io::Error) {
        if !self.is_over() {
            self.failure = Some(error);
            self.end();
            self.break_up();
            self.kick(); // As above.
        }
    }

    /// The device is gone: so is everything that depends on it.
    fn fail(&mut self, now: Instant, error: io::Error) {
        self.stack.abort_all(now, SocketError::NetworkDown);
        self.failure = Some(error);
        self.end();
        self.break_up();
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        self.deferred.device = self.device.take();
        self.waiters.take_all(&mut self.deferred.wake);
        if let Some(siblings) = &self.siblings {
            siblings.leave();
        }
    }

    /// One shard cannot carry the connections of another, and half of them would be no network: the
    /// siblings end too.
    fn break_up(&mut self) {
        if let Some(siblings) = &self.siblings {
            siblings.break_up(&mut self.deferred.wake);
        }
    }

    /// The packets of a turn: how many have come, and whether more may wait, there or here.
    fn exchange(&mut self, now: Instant, may_receive: bool) -> io::Result<(usize, bool)> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let has_sent = std::mem::take(&mut self.is_sending_put_off);
        if has_sent {
            self.is_left = self.transmit(now, SEND_PACKETS)?;
        }
        let is_full = has_sent && self.is_left;
        let mail = self.take_mail(now);
        let Some(device) = self.device.as_mut() else {
            return Ok((mail, false));
        };
        // A device that holds packets back has something to do, though no descriptor says so.
        let is_device_due = device.deadline().is_some_and(|due| due <= now);
        let mut is_more = may_receive || is_device_due;
        // Mail does not count: siblings that have much of it would keep us from our own queue.
        let (mut packets, mut octets, mut sip) = (0, 0, 0);
        while is_more && packets < BURST && octets < BURST_OCTETS {
            let max = self.sips.size().min(BURST - packets);
            let known = self.arrived.len();
            let count = match device.receive_burst(now, &mut self.arrived, max) {
                Ok(count) => count,
                Err(error) if self.arrived.is_empty() => return Err(error),
                Err(_) => break, // What came before counts; the next turn meets the error again.
            };
            let lens = self.arrived.iter().rev().take(count).map(|frame| frame.octets().len());
            let (new, largest) = lens.fold((0, 0), |(sum, max), len| (sum + len, len.max(max)));
            (packets, octets, sip) = (packets + count, octets + new, sip + new);
            self.sips.on_read(count, max, largest);
            is_more = count == max;
            if let Some(siblings) = &mut self.siblings {
                for _ in 0..siblings.take_strays(&mut self.arrived, count) {
                    self.observer.on_event(now, &Event::StrayForwarded);
                }
            }
            let own = self.arrived.len().saturating_sub(known);
            let own = self.arrived.iter().rev().take(own);
            own.for_each(|frame| self.coalescing.on_packet(frame.octets().len()));
            if sip >= SIP_OCTETS {
                self.stack.receive_burst(now, &mut self.arrived, &mut self.observer);
                sip = 0;
            }
            if max == 1 {
                break; // It is answered first.
            }
        }
        self.stack.receive_burst(now, &mut self.arrived, &mut self.observer);
        self.coalescing.on_senders(self.stack.senders(), self.stack.next_sender(), now);
        if self.stack.next_timeout().is_some_and(|due| due <= now) {
            self.stack.on_timeout(now, &mut self.observer);
        }
        if is_device_due {
            self.leaving.transmit(now, device)?;
        }
        let is_bulk = is_more && !self.is_left && is_bulk(octets);
        if is_bulk && may_be_silent(self.silent_turns, self.stack.senders()) {
            self.silent_turns += 1;
            return Ok((mail + packets, is_more));
        }
        self.silent_turns = 0;
        // Tasks that share the driver's thread first say what they have to: an acknowledgment then
        // leaves with the answer, and not before it in a packet of its own.
        self.collect_wakes();
        self.is_sending_put_off = self.seat.is_here() && !self.deferred.wake.is_empty();
        if !self.is_sending_put_off && !is_full {
            self.is_left = self.transmit(now, SEND_PACKETS)?;
        }
        Ok((mail + packets, is_more || self.is_left))
    }

    /// Takes in what siblings have found or sent; how many packets those are.
    fn take_mail(&mut self, now: Instant) -> usize {
        let Some(siblings) = &mut self.siblings else {
            return 0;
        };
        let mut count = 0;
        for mail in siblings.mail() {
            count += 1;
            match mail {
                Mail::Stray(frame) => self.arrived.push_back(frame),
                Mail::Sibling(frame) => {
                    self.stack.receive_from_sibling(now, frame, &mut self.observer);
                }
            }
        }
        count
    }

    /// Hands over what was found or sent for siblings.
    fn deliver_mail(&mut self, now: Instant) {
        if let Some(siblings) = &mut self.siblings {
            let refused = siblings.deliver(&mut self.deferred.wake);
            for (count, reason) in [
                (refused.by_full, DropReason::MailboxFull),
                (refused.by_closed, DropReason::ShardEnded),
            ] {
                for _ in 0..count {
                    self.observer.on_event(now, &Event::PacketDropped { reason });
                }
            }
        }
    }

    /// Sends until nothing is left, or `max` packets, or [`SEND_OCTETS`]; whether something may be
    /// left.
    fn transmit(&mut self, now: Instant, max: usize) -> io::Result<bool> {
        let Some(device) = self.device.as_mut() else {
            return Ok(false);
        };
        let (mut room, mut octets, mut is_more) = (max, 0, true);
        while is_more && room > 0 && octets < SEND_OCTETS {
            let burst = room.min(BURST);
            let mut count = 0;
            while is_more && count < burst && octets < SEND_OCTETS {
                let mut packet = Outgoing::default();
                is_more = self.stack.transmit_to(now, &mut packet, &mut self.observer);
                if !is_more {
                    break;
                }
                octets += packet.len();
                if let Some(siblings) = &mut self.siblings
                    && let Some(owner) = self.stack.sibling_for(&packet)
                {
                    siblings.send(owner, packet.to_frame());
                    count += 1;
                } else {
                    count += self.leaving.push(packet);
                }
            }
            if !self.leaving.is_empty() {
                self.leaving.transmit(now, device)?;
            }
            room = room.saturating_sub(count);
        }
        self.deliver_mail(now);
        Ok(is_more)
    }

    /// Asks the stack whose readiness has changed, and finds who waits for that.
    #[inline]
    fn collect_wakes(&mut self) {
        while let Some(socket) = self.stack.poll_event() {
            self.collect_wakes_of(socket);
        }
    }

    /// Apart, since after most calls there is nobody to wake.
    #[inline(never)]
    fn collect_wakes_of(&mut self, socket: SocketId) {
        let readiness = self.stack.readiness(socket);
        let count = self.deferred.wake.len();
        self.waiters.take_ready(socket, readiness, &mut self.deferred.wake);
        if self.deferred.wake.len() > count {
            self.is_accept_awaited |= self.stack.is_listener(socket);
        }
    }

    /// When the next turn is due though nothing arrives.
    fn deadline(&mut self) -> Option<Instant> {
        let device = self.device.as_ref().and_then(Device::deadline);
        let of_all = [self.stack.next_timeout(), device, self.phase.deadline()];
        of_all.into_iter().flatten().min()
    }

    /// Whether an ending stack has nothing more to wait for.
    fn has_finished(&mut self, now: Instant) -> bool {
        let is_awaited = match self.phase.step(now) {
            Step::Wait => return false,
            Step::End => return true,
            Step::Look(Awaited::Orphans) => self.stack.orphans() > 0,
            Step::Look(Awaited::Connections) => self.is_connected(),
        };
        // A device that holds packets back has their last ones.
        let device = self.device.as_ref().and_then(Device::deadline);
        let is_done = !is_awaited && device.is_none();
        (self.siblings.as_ref()).map_or(is_done, |siblings| siblings.have_finished(is_done))
    }

    /// Whether any connection still has something to do.
    fn is_connected(&self) -> bool {
        // Those whose states have changed and are not counted yet have something to send.
        let is_counted = self.stack.totals().states.iter().any(|(state, count)| match state {
            TcpState::SynSent
            | TcpState::Established
            | TcpState::FinWait1
            | TcpState::FinWait2
            | TcpState::CloseWait
            | TcpState::Closing
            | TcpState::LastAck => count > 0,
            TcpState::Listen | TcpState::SynReceived | TcpState::TimeWait | TcpState::Closed => {
                false
            }
        });
        is_counted || self.stack.senders() > 0
    }
}

/// Whether a turn that takes in so many octets is one of a bulk transfer, if more waits.
fn is_bulk(octets: usize) -> bool {
    octets >= BULK_OCTETS
}

/// Whether a turn of a bulk transfer, behind `silent` others that have sent nothing, may send
/// nothing too, though `senders` connections may have something to send: mostly acknowledgments. A
/// turn for each brings each what a lone one would get in one, and its window holds more than that.
fn may_be_silent(silent: usize, senders: usize) -> bool {
    silent < SILENT_TURNS && silent + 1 < senders
}

#[cfg(test)]
#[path = "tests/shard.rs"]
mod tests;
