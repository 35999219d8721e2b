//! One host of a simulation: a stack, its device, and the programs that use it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::alarms::Alarms;
use super::checker::{Audit, Ends};
use super::middlebox::Middlebox;
use super::path::Path;
use super::random::Random;
use super::strays::Strays;
use super::workload::{Plan, Report, Talker};
use crate::device::{Device, carry_out, carry_out_arrived};
use crate::error::SocketError;
use crate::observe::{Counters, Event, Observer, TcpState};
use crate::packet::{Frame, Outgoing, Payload};
use crate::stack::{SocketId, Stack};
use crate::time::Instant;

/// Most packets that a turn receives before the stack may answer; each turn has from 1 to so many.
const BURST_MAX: u64 = 64;

/// With fewer connections than so many, the invariants are checked after each turn.
const CHECK_ALWAYS: u64 = 16;

/// What a server wants to do with its next connection.
pub(super) type Planner = Box<dyn FnMut(&mut Random) -> Plan>;

/// Somebody who looks at each packet as it arrives or leaves.
pub type Watcher = Box<dyn FnMut(Instant, Passing, &[u8])>;

/// Where a packet is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The host is about to take it in.
    Arrives,
    /// The host has sent it; what stands in the way of it has not seen it yet.
    Leaves,
}

/// One host.
pub struct Host {
    /// The stack, for questions and for calls that no talker makes.
    pub stack: Stack,
    /// What it counted.
    pub counters: Counters,
    /// Whether the stack is given what arrives burst by burst, or packet by packet. By burst.
    pub takes_bursts: bool,
    /// Who is shown all packets, if anybody is: for people who look into a failure.
    pub watcher: Option<Watcher>,
    pub(super) audit: Audit,
    /// Copies of what this turn has sent.
    pub(super) sent: Vec<Vec<u8>>,
    /// What stands in the way of what it sends.
    pub(super) path: Option<Path>,
    pub(super) middlebox: Option<Middlebox>,
    /// What comes out of the network once more, of what it has sent.
    pub strays: Option<Strays>,
    /// What routers have to say about what it sends.
    pub alarms: Option<Alarms>,
    device: Box<dyn Device>,
    rng: Random,
    incoming: VecDeque<Frame>,
    outgoing: VecDeque<Outgoing>,
    listeners: Vec<(SocketId, Planner)>,
    talkers: Vec<Talker>,
    /// How many there were before a restart.
    forgotten: usize,
    /// Which talker has which socket.
    owners: BTreeMap<SocketId, usize>,
    /// When which talker wants to go on.
    wakes: BTreeSet<(Instant, usize)>,
    done: usize,
    turns: u64,
}

/// Counts what the stack tells, and tells the audit what no packet shows.
struct Ears<'a> {
    counters: &'a mut Counters,
    audit: &'a mut Audit,
}

impl Observer for Ears<'_> {
    fn on_event(&mut self, now: Instant, event: &Event) {
        self.counters.on_event(now, event);
        if let Event::SynCookieTaken { flow } = event
            && let (SocketAddr::V4(local), SocketAddr::V4(remote)) =
                (flow.local.into(), flow.remote.into())
        {
            self.audit.on_cookie_taken((local, remote));
        }
    }
}

impl Host {
    pub(super) fn new(stack: Stack, device: Box<dyn Device>, rng: Random) -> Self {
        Self {
            stack,
            counters: Counters::default(),
            takes_bursts: true,
            watcher: None,
            audit: Audit::default(),
            sent: Vec::new(),
            path: None,
            middlebox: None,
            strays: None,
            alarms: None,
            device,
            rng,
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            listeners: Vec::new(),
            talkers: Vec::new(),
            forgotten: 0,
            owners: BTreeMap::new(),
            wakes: BTreeSet::new(),
            done: 0,
            turns: 0,
        }
    }

    /// Replaces the stack, as a restart does: all sockets and connections are forgotten.
    pub fn restart(&mut self, stack: Stack) {
        self.stack = stack;
        self.incoming.clear();
        self.listeners.clear();
        self.forgotten += self.talkers.len();
        self.talkers.clear();
        self.owners.clear();
        self.wakes.clear();
        self.done = 0;
        self.audit = Audit::default();
    }

    pub(super) fn serve(&mut self, port: u16, planner: Planner) {
        let addr = SocketAddr::from(([0, 0, 0, 0], port));
        let listener = self.stack.tcp_socket().and_then(|socket| {
            self.stack.bind(socket, addr)?;
            self.stack.listen(socket, 4096)?;
            Ok(socket)
        });
        match listener {
            Ok(socket) => self.listeners.push((socket, planner)),
            Err(error) => self.audit.faults.push(format!("listen on {port}: {error}")),
        }
    }

    /// Closes the listener on `port`; what it has not handed out is reset.
    pub(super) fn unserve(&mut self, now: Instant, port: u16) {
        let stack = &mut self.stack;
        self.listeners.retain(|&(socket, _)| {
            let is_it = stack.local_addr(socket).is_ok_and(|addr| addr.port() == port);
            if is_it {
                stack.close(now, socket);
            }
            !is_it
        });
    }

    /// Every program that is not through aborts its connection.
    pub(super) fn give_up(&mut self, now: Instant) {
        for talker in self.talkers.iter_mut().filter(|talker| !talker.is_done()) {
            talker.abort(now, &mut self.stack);
            self.done += 1;
            self.owners.remove(&talker.socket());
        }
        self.wakes.clear();
    }

    /// What the stack holds beyond the sockets of those who still use it.
    pub(super) fn leftovers(&self) -> Vec<String> {
        self.stack.leftovers(self.listeners.len() + self.talkers.len() - self.done)
    }

    pub(super) fn connect(
        &mut self,
        now: Instant,
        port: Option<u16>,
        remote: SocketAddr,
        plan: Plan,
    ) -> Result<(), SocketError> {
        let socket = self.stack.tcp_socket()?;
        let bound = port
            .map_or(Ok(()), |port| self.stack.bind(socket, SocketAddr::from(([0, 0, 0, 0], port))));
        match bound.and_then(|()| self.stack.connect(now, socket, remote)) {
            Ok(()) | Err(SocketError::InProgress) => {}
            Err(error) => {
                self.stack.close(now, socket);
                return Err(error);
            }
        }
        self.add_talker(now, socket, remote, plan, true);
        Ok(())
    }

    pub(super) fn inject(&mut self, frame: Frame) {
        self.incoming.push_back(frame);
    }

    fn add_talker(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        plan: Plan,
        is_opener: bool,
    ) {
        let index = self.talkers.len();
        let number = (self.forgotten + index) as u64;
        let talker = Talker::new(now, socket, remote, plan, self.rng.fork());
        self.talkers.push(talker.numbered(number, is_opener));
        self.owners.insert(socket, index);
        self.wakes.insert((now, index));
    }

    /// Whether every talker is done.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.talkers.len()
    }

    /// What became of the talkers.
    pub(super) fn reports(&self) -> impl Iterator<Item = Report> {
        self.talkers.iter().map(|talker| talker.report().clone())
    }

    /// When there is something to do next.
    pub(super) fn next_event(&mut self) -> Option<Instant> {
        let wake = self.wakes.first().map(|&(at, _)| at);
        let stray = self.strays.as_ref().and_then(Strays::next_event);
        let alarm = self.alarms.as_ref().and_then(Alarms::next_event);
        let own = [self.stack.next_timeout(), self.device.deadline(), wake];
        own.into_iter().chain([stray, alarm]).flatten().min()
    }

    /// One turn of the loop that the one contract asks for: inputs first, then what they make
    /// leave. Says whether anything happened.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let max = usize::try_from(self.rng.below(BURST_MAX)).unwrap_or(0) + 1;
        let received = self.device.receive_burst(now, &mut self.incoming, max);
        while let Some(message) = self.alarms.as_mut().and_then(|alarms| alarms.pop(now)) {
            self.incoming.push_back(message);
        }
        let mut has_moved = matches!(received, Ok(1..)) || !self.incoming.is_empty();
        let guarded = self.guarded();
        for frame in &self.incoming {
            carry_out_arrived(frame.clone(), |frame| {
                show(&mut self.watcher, now, Passing::Arrives, frame.octets());
                self.audit.on_received(now, frame.octets());
            });
        }
        if self.takes_bursts {
            let mut ears = Ears { counters: &mut self.counters, audit: &mut self.audit };
            self.stack.receive_burst(now, &mut self.incoming, &mut ears);
        }
        for frame in self.incoming.drain(..) {
            let mut ears = Ears { counters: &mut self.counters, audit: &mut self.audit };
            self.stack.receive(now, frame, &mut ears);
        }
        if let Some(ends) = guarded.filter(|&ends| !self.is_in_time_wait(ends)) {
            let fault =
                format!("{} to {}: an old SYN has ended TIME-WAIT (SHLD-4)", ends.0, ends.1);
            self.audit.faults.push(fault);
        }
        if self.stack.next_timeout().is_some_and(|due| due <= now) {
            self.stack.on_timeout(now, &mut self.counters);
        }
        has_moved |= self.run_programs(now);
        while let Some(packet) = self.stack.transmit(now, &mut self.counters) {
            has_moved |= self.send(now, packet);
        }
        while let Some(stray) = self.strays.as_mut().and_then(|strays| strays.pop(now)) {
            self.outgoing.push_back(leaving(stray));
        }
        let stack = &self.stack;
        self.audit.end_turn(now, |(local, remote)| {
            let ends = (local.into(), remote.into());
            stack.connections().iter().any(|open| (open.local, open.remote) == ends)
        });
        self.turns += 1;
        // The check looks at everything: with many connections not after every step.
        if self.turns.is_multiple_of(1 + self.audit.flows() / CHECK_ALWAYS) {
            self.stack.check();
            self.check_paths();
        }
        let is_due = self.device.deadline().is_some_and(|due| due <= now);
        if !self.outgoing.is_empty() || is_due {
            has_moved |= !self.outgoing.is_empty();
            if let Err(error) = self.device.transmit_burst(now, &mut self.outgoing) {
                self.audit.faults.push(format!("the device failed: {error}"));
            }
        }
        has_moved
    }

    /// The connection in TIME-WAIT to which an old SYN has come, and nothing else that may end it.
    fn guarded(&self) -> Option<Ends> {
        let alone = self.incoming.front().filter(|_| self.incoming.len() == 1);
        let ends = alone.and_then(|frame| self.audit.syn_again(frame.octets()));
        ends.filter(|&ends| self.is_in_time_wait(ends))
    }

    fn is_in_time_wait(&self, (local, remote): Ends) -> bool {
        let ends = (local.into(), remote.into());
        let mut all = self.stack.connections().into_iter();
        all.any(|flow| (flow.local, flow.remote) == ends && flow.state == TcpState::TimeWait)
    }

    /// What was forged about a path is not believed.
    fn check_paths(&mut self) {
        if self.path.is_some() || !self.alarms.as_ref().is_some_and(Alarms::are_forged) {
            return;
        }
        for connection in self.stack.connections() {
            let Some(info) = connection.info else { continue };
            if info.path_mtu != self.stack.mtu() {
                let (name, mtu) = (connection.remote, info.path_mtu);
                self.audit.faults.push(format!("to {name}: somebody made the path MTU {mtu}"));
            }
        }
    }

    /// Looks at a packet that leaves, and lets it go. A super-segment stays one, unless something
    /// stands in its way. Says whether an answer has come.
    fn send(&mut self, now: Instant, packet: Outgoing) -> bool {
        let mut is_answered = false;
        let is_free = self.path.is_none() && self.middlebox.is_none();
        let whole = is_free.then(|| packet.clone());
        self.outgoing.extend(whole);
        carry_out(packet, |packet| {
            let octets = packet.to_frame().octets().to_vec();
            show(&mut self.watcher, now, Passing::Leaves, &octets);
            self.audit.on_sent(&octets);
            if let Some(strays) = &mut self.strays {
                strays.on_passed(now, &octets);
            }
            if let Some(alarms) = &mut self.alarms {
                alarms.on_sent(now, &octets);
            }
            let carried = self.path.as_mut().map_or(Ok(()), |path| path.carries(now, &octets));
            match (carried, &mut self.middlebox) {
                (Err(told), _) => {
                    is_answered = true;
                    self.incoming.extend(told);
                }
                (Ok(()), Some(middlebox)) => {
                    self.outgoing.extend(middlebox.pass(now, &octets).into_iter().map(leaving));
                }
                (Ok(()), None) if is_free => {} // It has left whole.
                (Ok(()), None) => self.outgoing.push_back(packet),
            }
            self.sent.push(octets);
        });
        is_answered
    }

    /// Runs the programs whose sockets have changed or whose time has come.
    fn run_programs(&mut self, now: Instant) -> bool {
        let mut due = BTreeSet::new();
        while let Some(socket) = self.stack.poll_event() {
            if let Some(&index) = self.owners.get(&socket) {
                due.insert(index);
            }
            for number in 0..self.listeners.len() {
                if self.listeners[number].0 == socket {
                    self.accept(now, number);
                }
            }
        }
        while let Some(&(at, index)) = self.wakes.first()
            && at <= now
        {
            self.wakes.remove(&(at, index));
            due.insert(index);
        }
        for &index in &due {
            let talker = &mut self.talkers[index];
            let was_done = talker.is_done();
            if let Some(at) = talker.run(now, &mut self.stack) {
                self.wakes.insert((at, index));
            }
            if talker.is_done() && !was_done {
                self.done += 1;
                self.owners.remove(&talker.socket());
            }
        }
        !due.is_empty()
    }

    fn accept(&mut self, now: Instant, number: usize) {
        let Some((listener, planner)) = self.listeners.get_mut(number) else {
            return;
        };
        let listener = *listener;
        let mut arrived = Vec::new();
        while let Ok((socket, remote)) = self.stack.accept(now, listener) {
            arrived.push((socket, remote, planner(&mut self.rng)));
        }
        for (socket, remote, plan) in arrived {
            self.add_talker(now, socket, remote, plan, false);
        }
    }
}

fn show(watcher: &mut Option<Watcher>, now: Instant, passing: Passing, octets: &[u8]) {
    if let Some(watcher) = watcher {
        watcher(now, passing, octets);
    }
}

/// A packet that leaves as it is.
fn leaving(octets: Vec<u8>) -> Outgoing {
    Outgoing { payload: Payload::from_elem(octets.into(), 1), ..Outgoing::default() }
}
