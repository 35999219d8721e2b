//! The deterministic world: packet scripts, simulations and fuzz bodies, in virtual time.
//!
//! A [`Simulation`] holds any number of hosts, one clock and one seed. It goes from event to
//! event: packets that arrive, timers that are due, programs that want to go on. Nothing in it
//! reads a clock, so an hour of silence takes no time, and equal seeds give equal packets, octet
//! for octet ([`Simulation::fingerprint`]).

mod alarms;
pub mod checker;
pub mod craft;
pub mod fuzz;
mod host;
mod middlebox;
pub mod notation;
pub mod pairs;
mod path;
mod player;
pub mod probe;
mod promptness;
mod random;
pub mod script;
mod script_calls;
mod script_info;
mod script_options;
mod statement;
mod strays;
pub mod workload;

use std::net::SocketAddr;

pub use self::alarms::{Alarms, Quotes};
pub use self::craft::TcpFlags;
pub use self::host::{Host, Passing, Watcher};
pub use self::middlebox::Middlebox;
pub use self::path::{Path, ROUTER, Router};
pub use self::random::Random;
pub use self::script::{Played, Script, established};
pub use self::script_calls::error_name;
pub use self::strays::Strays;
pub use self::workload::{Ending, Plan, Report, Talker};
pub use crate::config::StackConfig;
use crate::device::{Device, Impair, Impairment, Link};
use crate::error::SocketError;
use crate::packet::Frame;
use crate::stack::Stack;
use crate::time::{Duration, Instant};

/// Address and network of the host that [`Simulation::pair`] makes first, the client.
pub const CLIENT: &str = "10.7.0.1/24";

/// Address and network of the host that [`Simulation::pair`] makes second, the server.
pub const SERVER: &str = "10.7.0.2/24";

/// Turns at one moment after which hosts that still have something to say are called a livelock.
const TURNS_MAX: u32 = 1_000_000;

/// Packets that a link between two hosts holds: more than any window here.
const LINK_QUEUE: usize = 1 << 20;

/// How a simulation came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing is under way and no timer runs: nothing will ever happen again.
    Quiet,
    /// The time is over, and something is still to come.
    OutOfTime,
}

/// Hosts, the links between them, and one clock.
pub struct Simulation {
    now: Instant,
    rng: Random,
    hosts: Vec<Host>,
    fingerprint: u64,
    packets: u64,
    faults: Vec<String>,
    /// Whether a connection may fail, as long as nobody reads what was not written.
    may_fail: bool,
}

impl Simulation {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            rng: Random::new(seed),
            hosts: Vec::new(),
            fingerprint: 0xcbf2_9ce4_8422_2325, // The offset basis of FNV-1a.
            packets: 0,
            faults: Vec::new(),
            may_fail: false,
        }
    }

    /// A client (host 0) and a server (host 1) with default settings, and a link between them
    /// that treats each direction as `impairment` says, but with a seed of its own.
    pub fn pair(seed: u64, impairment: Impairment) -> Self {
        let [client, server] = [CLIENT, SERVER]
            .map(|network| StackConfig::new(network.parse().expect("a literal network")));
        Self::pair_of(seed, impairment, client, server)
    }

    /// Like [`Simulation::pair`], with settings of their own. A host with super-segments sends
    /// them over a device that splits none before the line does.
    pub fn pair_of(
        seed: u64,
        mut impairment: Impairment,
        client: StackConfig,
        server: StackConfig,
    ) -> Self {
        let mut world = Self::new(seed);
        let (near, far) = Link::pair_virtual(client.interface.mtu.max(server.interface.mtu));
        let (near, far) = (near.with_queue(LINK_QUEUE), far.with_queue(LINK_QUEUE));
        let near = if client.interface.super_segment > 0 { near.with_offload() } else { near };
        let far = if server.interface.super_segment > 0 { far.with_offload() } else { far };
        impairment.seed = world.rng.number();
        // One impaired end is enough: it is bad in both directions.
        world.add_host(client, Box::new(Impair::new(near, impairment)));
        world.add_host(server, Box::new(far));
        world
    }

    /// Adds a host and gives its number.
    ///
    /// # Panics
    /// If the configuration is not valid.
    pub fn add_host(&mut self, config: StackConfig, device: Box<dyn Device>) -> usize {
        let stack = Stack::new(config, self.rng.seed());
        let stack = stack.unwrap_or_else(|error| panic!("{error}"));
        self.hosts.push(Host::new(stack, device, self.rng.fork()));
        self.hosts.len() - 1
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The host of this number.
    ///
    /// # Panics
    /// If there is none.
    pub fn host(&mut self, number: usize) -> &mut Host {
        &mut self.hosts[number]
    }

    /// Random numbers that follow from the seed, for whoever sets the scene.
    pub fn random(&mut self) -> &mut Random {
        &mut self.rng
    }

    /// A hash (FNV-1a) over every packet that was sent, with its time and its sender.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How many packets were sent.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Listens on `port` of a host; each connection that comes is talked to as `plan` says.
    pub fn serve(
        &mut self,
        host: usize,
        port: u16,
        plan: impl FnMut(&mut Random) -> Plan + 'static,
    ) {
        self.host(host).serve(port, Box::new(plan));
    }

    /// Closes the listener on `port` of a host; what it has not handed out is reset.
    pub fn unserve(&mut self, host: usize, port: u16) {
        let now = self.now;
        self.host(host).unserve(now, port);
    }

    /// From now on a connection may fail, as long as nobody reads what was not written.
    pub fn tolerate_failures(&mut self) {
        self.may_fail = true;
    }

    /// From now on a listener may meet again who has gone: it sends SYN cookies, and old segments
    /// come back.
    pub fn tolerate_ghosts(&mut self) {
        self.hosts.iter_mut().for_each(|host| host.audit.may_haunt = true);
    }

    /// Every program that is not through aborts its connection.
    pub fn give_up(&mut self) {
        let now = self.now;
        self.hosts.iter_mut().for_each(|host| host.give_up(now));
    }

    /// Opens a connection from a host, from a port of its stack's choice or from `port`.
    pub fn connect(&mut self, host: usize, port: Option<u16>, remote: SocketAddr, plan: Plan) {
        let fault = self.try_connect(host, port, remote, plan).err();
        let fault = fault.filter(|_| !self.may_fail);
        self.faults.extend(fault.map(|error| format!("connect: {error}")));
    }

    /// The same, but that it is no fault if it cannot begin.
    pub fn try_connect(
        &mut self,
        host: usize,
        port: Option<u16>,
        remote: SocketAddr,
        plan: Plan,
    ) -> Result<(), SocketError> {
        let now = self.now;
        self.host(host).connect(now, port, remote, plan)
    }

    /// Puts a link of another MTU into the way of what a host sends, or takes it out again.
    pub fn set_path(&mut self, host: usize, path: Option<Path>) {
        self.host(host).path = path;
    }

    /// Puts a box that treats TCP badly into the way of what a host sends, or takes it out again.
    /// It stands behind the link that [`set_path`](Self::set_path) makes narrow.
    pub fn set_middlebox(&mut self, host: usize, middlebox: Option<Middlebox>) {
        self.host(host).middlebox = middlebox;
    }

    /// Gives a host a packet that no link has carried.
    pub fn inject(&mut self, host: usize, frame: Frame) {
        self.host(host).inject(frame);
    }

    /// Runs until nothing is left to happen, for `time` at most.
    pub fn run_for(&mut self, time: Duration) -> Rest {
        self.run_until(self.now + time)
    }

    /// Runs until nothing is left to happen, to `end` at most.
    pub fn run_until(&mut self, end: Instant) -> Rest {
        loop {
            self.settle();
            match self.next_event() {
                None => return Rest::Quiet,
                Some(next) if next > end => {
                    self.now = self.now.max(end);
                    return Rest::OutOfTime;
                }
                Some(_) if !self.faults.is_empty() => return Rest::OutOfTime,
                Some(next) => self.now = self.now.max(next),
            }
        }
    }

    /// Runs until every talker is done, for `time` at most; says whether they are.
    pub fn run_until_done(&mut self, time: Duration) -> bool {
        let end = self.now + time;
        loop {
            self.settle();
            let is_done = self.is_done();
            match self.next_event() {
                _ if is_done || !self.faults.is_empty() => return is_done,
                Some(next) if next <= end => self.now = self.now.max(next),
                None | Some(_) => return false,
            }
        }
    }

    /// Whether every talker is done.
    pub fn is_done(&self) -> bool {
        self.hosts.iter().all(Host::is_done)
    }

    /// When something happens next, for a loop that has more in it than these hosts.
    pub fn next_event(&mut self) -> Option<Instant> {
        self.hosts.iter_mut().filter_map(Host::next_event).min()
    }

    /// Sets the clock to `now`, unless that is past.
    pub fn advance_to(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Lets every host do what it can do at this moment.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let mut has_moved = false;
            for (number, host) in self.hosts.iter_mut().enumerate() {
                has_moved |= host.turn(self.now);
                for octets in host.sent.drain(..) {
                    self.packets += 1;
                    let head = [self.now.as_nanos(), number as u64, octets.len() as u64];
                    let head = head.iter().flat_map(|word| word.to_le_bytes());
                    for octet in head.chain(octets.iter().copied()) {
                        self.fingerprint ^= u64::from(octet);
                        self.fingerprint = self.fingerprint.wrapping_mul(0x0100_0000_01b3);
                    }
                }
            }
            if !has_moved {
                return;
            }
        }
        self.faults.push(format!("at {:?} the hosts never come to rest", self.now));
    }

    /// What became of every talker so far.
    pub fn reports(&self) -> Vec<Report> {
        self.hosts.iter().flat_map(Host::reports).collect()
    }

    /// Everything that is wrong: packets that should not have been sent, ends that do not agree,
    /// programs that are not through.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        for (number, host) in self.hosts.iter().enumerate() {
            let sent = host.audit.faults.iter();
            faults.extend(sent.map(|fault| format!("host {number}: {fault}")));
        }
        faults.extend(pairs::compare(&self.reports(), self.may_fail));
        faults
    }

    /// Runs until all is over, TIME-WAIT included, and checks that nothing was wrong and that
    /// nothing is left.
    ///
    /// # Panics
    /// With all that is wrong, if anything is.
    #[track_caller]
    pub fn finish(&mut self, time: Duration, what: &str) {
        let rest = self.run_for(time);
        let mut faults = self.faults();
        if rest == Rest::OutOfTime {
            faults.push(format!("not at rest at {:?}", self.now));
        }
        for (number, host) in self.hosts.iter().enumerate() {
            for left in host.stack.connections() {
                let (local, remote) = (left.local, left.remote);
                let state = left.state;
                faults.push(format!("host {number}: {local} to {remote} is left in {state}"));
            }
            let leftovers = host.leftovers().into_iter();
            faults.extend(leftovers.map(|left| format!("host {number}: {left}")));
        }
        assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
    }
}
