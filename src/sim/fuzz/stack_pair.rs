//! Two stacks and a link that loses, repeats, delays and damages whatever it is told to.

use std::collections::VecDeque;
use std::io;

use crate::config::StackConfig;
use crate::device::{Capabilities, Device, Link};
use crate::packet::{Frame, Outgoing};
use crate::sim::{CLIENT, Plan, Random, SERVER, Simulation};
use crate::time::{Duration, Instant};

/// Instructions of one program that count: each may cost a retransmission timeout.
const PROGRAM_MAX: usize = 1024;

/// Most octets of a stream.
const SEND_MAX: u64 = 3_000;

const DAY: Duration = Duration::from_hours(24);

/// The first three octets decide settings and programs; of the others each decides what becomes of
/// one packet, those at even places from the server to the client, the others from the client to
/// the server. After them the link is perfect: every connection must do all that it was to do, and
/// nothing may be left.
///
/// # Panics
/// If any of that does not hold.
pub fn stack_pair(octets: &[u8]) {
    let (settings, rest) = octets.split_at(octets.len().min(3));
    let number = settings.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet));
    let random = &mut Random::new(number);
    let mut world = Simulation::new(number);
    let (near, far) = Link::pair_virtual(9000);
    let mut links = [near, far].into_iter();
    for (network, start) in [(CLIENT, 0), (SERVER, 1)] {
        let program = rest.iter().skip(start).step_by(2).copied().take(PROGRAM_MAX).collect();
        let link = links.next().expect("a link has two ends");
        let link = Hostile { link, program, held: Vec::new() };
        world.add_host(settings_of(random, network), Box::new(link));
    }
    world.serve(1, 80, any_plan);
    let server = "10.7.0.2:80".parse().expect("a literal address");
    for _ in 0..=random.below(2) {
        let plan = any_plan(random);
        world.connect(0, None, server, plan);
    }
    world.finish(DAY * 20, "two stacks");
}

/// A program of a few hundred steps at most.
fn any_plan(random: &mut Random) -> Plan {
    let mut plan = Plan::random(random, SEND_MAX);
    let step = u64::try_from(plan.write_max.min(plan.read_max)).expect("a step has few octets");
    plan.send = plan.send.min(100 * step);
    // Keep-alive gives a peer up after 127 probes at most, and a program may lose more in a row.
    plan.restless = false;
    plan
}

fn settings_of(random: &mut Random, network: &str) -> StackConfig {
    let mut config = StackConfig::new(network.parse().expect("a literal network"));
    config.tcp.receive_buffer = 2048 << random.below(8);
    config.tcp.send_buffer = 2048 << random.below(8);
    config.tcp.window_scale = random.chance(0.5);
    config.tcp.timestamps = random.chance(0.5);
    config.tcp.sack = random.chance(0.5);
    config.tcp.nagle = random.chance(0.5);
    config.interface.mtu = [576, 1500, 9000][random.index(3)];
    // A program may lose so many packets in a row.
    config.tcp.give_up_after = DAY * 10;
    config.tcp.connect_timeout = DAY * 10;
    config.tcp.orphan_timeout = DAY * 10;
    config.tcp.syn_ack_retries = 14;
    config
}

/// The end of a link that does to each packet that arrives what its program says.
struct Hostile {
    link: Link,
    program: VecDeque<u8>,
    /// Packets that are late, and when they are due.
    held: Vec<(Instant, Frame)>,
}

impl Hostile {
    fn meets(&mut self, now: Instant, frame: Frame, into: &mut VecDeque<Frame>) {
        let instruction = self.program.pop_front().unwrap_or(0);
        let strength = instruction >> 3;
        match instruction & 7 {
            0..=2 => into.push_back(frame),
            3 => {} // Lost.
            4 => into.extend(std::iter::repeat_n(frame, 2 + usize::from(strength & 3))),
            5 => {
                // Up to 32 s, so that others overtake it.
                let wait = Duration::from_millis(1 << (strength & 15));
                self.held.push((now + wait, frame));
            }
            6 => {
                let mut octets = frame.octets().to_vec();
                let place = usize::from(self.program.pop_front().unwrap_or(0));
                if let Some(octet) = octets.get_mut(place) {
                    *octet ^= 1 << (strength & 7);
                }
                into.push_back(Frame::new(octets));
            }
            _ => {
                let len = frame.octets().len();
                let keep = len * usize::from(strength) / 32;
                into.push_back(Frame::new(frame.octets()[..keep].to_vec()));
            }
        }
    }
}

impl Device for Hostile {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities()
    }

    fn receive_burst(
        &mut self,
        now: Instant,
        into: &mut VecDeque<Frame>,
        max: usize,
    ) -> io::Result<usize> {
        let before = into.len();
        self.held.retain(|(due, frame)| {
            let is_due = *due <= now;
            if is_due {
                into.push_back(frame.clone());
            }
            !is_due
        });
        let mut arrived = VecDeque::new();
        let count = self.link.receive_burst(now, &mut arrived, max)?;
        for frame in arrived {
            self.meets(now, frame, into);
        }
        // A burst that was lost is still one: there may be another behind it.
        Ok(count.max(into.len() - before))
    }

    fn transmit_burst(&mut self, now: Instant, packets: &mut VecDeque<Outgoing>) -> io::Result<()> {
        self.link.transmit_burst(now, packets)
    }

    fn deadline(&self) -> Option<Instant> {
        self.held.iter().map(|(due, _)| *due).chain(self.link.deadline()).min()
    }
}
