//! Random programs of socket calls, and what becomes of them.
//!
//! A [`Talker`] is one end of one connection: it writes a stream that its addresses and its number
//! decide, in pieces of random sizes, reads and compares what the other end writes, and ends as its
//! [`Plan`] says. It asks nothing of the stack but what an application may.

use std::net::SocketAddr;

use super::random::Random;
use crate::error::SocketError;
use crate::options::SocketOptions;
use crate::rng::KeyedHash;
use crate::stack::{Readiness, Shutdown, SocketId, Stack};
use crate::time::{Duration, Instant};

/// How a talker ends its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closes its sending side after its last octet, reads to the end of the other's, closes.
    HalfClose,
    /// After its last octet waits for the end of the other's stream, then closes. Somebody else
    /// must close first.
    CloseAfterPeer,
    /// Closes after its last octet, without reading: for streams of one direction, as unread
    /// data would reset the connection.
    CloseAtOnce,
    /// Aborts (linger of zero) as soon as so many octets have been written.
    Abort(u64),
}

/// What a talker does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Octets to write.
    pub send: u64,
    /// Most octets of one write; each write has from 1 to so many.
    pub write_max: usize,
    /// Most octets of one read.
    pub read_max: usize,
    /// Time between one read or write that did something and the next; `ZERO`: at once.
    pub pace: Duration,
    /// Time before the first read: the window closes meanwhile.
    pub deaf_for: Duration,
    /// How it ends.
    pub ending: Ending,
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// Which other options it sets, a bit each: see `Plan::set`. None.
    pub options: u8,
    /// Whether it changes its options now and then.
    pub restless: bool,
    /// Whether it writes some octets as urgent ones. They are read in line.
    pub urgent: bool,
}

impl Plan {
    /// Writes `send` octets in large pieces, without any pause, and closes half by half.
    pub const fn bulk(send: u64) -> Self {
        Self {
            send,
            write_max: 65_536,
            read_max: 65_536,
            pace: Duration::ZERO,
            deaf_for: Duration::ZERO,
            ending: Ending::HalfClose,
            nodelay: false,
            options: 0,
            restless: false,
            urgent: false,
        }
    }

    /// Anything that ends by itself whatever the other end does, but for aborts.
    pub fn random(rng: &mut Random, send_max: u64) -> Self {
        let sizes = [1, 7, 100, 1460, 10_000, 65_536];
        let mut one_of = || sizes[rng.index(sizes.len())];
        let (write_max, read_max) = (one_of(), one_of());
        let millis = |rng: &mut Random, max| Duration::from_millis(rng.below(max));
        // A pause for every single octet would make the longest plans take for ever.
        let least = u64::try_from(write_max.min(read_max)).unwrap_or(1);
        Self {
            send: rng.below(send_max.min(least * 20_000) + 1),
            write_max,
            read_max,
            pace: if rng.chance(0.3) { millis(rng, 20) } else { Duration::ZERO },
            deaf_for: if rng.chance(0.2) { millis(rng, 30_000) } else { Duration::ZERO },
            ending: Ending::HalfClose,
            nodelay: rng.chance(0.5),
            options: 0,
            restless: rng.chance(0.2),
            urgent: rng.chance(0.2),
        }
    }

    /// Sets the options of a connection. None of them may cost it anything but time: a peer is
    /// given up only after 127 probes without an answer.
    fn set(&self, options: &mut SocketOptions) {
        let has = |bit: u8| self.options >> bit & 1 == 1;
        options.nodelay = self.nodelay;
        options.cork = has(0);
        options.quick_ack = has(1);
        options.keepalive = has(2);
        options.keepalive_idle = Duration::from_secs(if has(3) { 1 } else { 60 });
        options.keepalive_interval = Duration::from_secs(1);
        options.keepalive_count = 127;
        options.notsent_lowat = has(4).then_some(1000);
        options.tos = if has(5) { 0x48 } else { 0 };
    }

    /// Changes one option. None of them may cost the connection anything but time either: a
    /// linger of zero is taken back before it is closed.
    fn change(rng: &mut Random, options: &mut SocketOptions) {
        let is_on = rng.chance(0.5);
        let seconds = Duration::from_secs(rng.below(3));
        let octets = 2048 << rng.below(8);
        match rng.below(10) {
            0 => options.nodelay = is_on,
            1 => options.cork = is_on,
            2 => options.quick_ack = is_on,
            3 => options.keepalive = is_on,
            4 => options.keepalive_idle = seconds.max(Duration::from_secs(1)),
            5 => options.notsent_lowat = is_on.then_some(octets >> rng.below(12)),
            6 => options.linger = is_on.then_some(seconds),
            7 => options.receive_buffer = octets,
            8 => options.send_buffer = octets,
            _ => options.tos = if is_on { 0x48 } else { 0 },
        }
    }
}

/// The octets that one end writes to the other; known to both.
#[derive(Clone, Debug)]
pub struct OctetStream {
    key: KeyedHash,
    /// The first eight octets: whose stream it is.
    number: u64,
}

impl OctetStream {
    /// The stream of talker `number` there: it begins with that number, so that of connections one
    /// after another between the same ends each is told from the others.
    pub fn of(number: u64, from: SocketAddr, to: SocketAddr) -> Self {
        let named = Random::new(0).key().hash((from, to, number));
        Self { key: Random::new(named).key(), number }
    }

    /// Fills `buffer` with the octets from `position` on.
    pub fn fill(&self, position: u64, buffer: &mut [u8]) {
        let mut word = [0; 8];
        let mut have = None;
        for (octet, at) in buffer.iter_mut().zip(position..) {
            if have != Some(at / 8) {
                have = Some(at / 8);
                word = if at < 8 { self.number } else { self.key.hash(at / 8) }.to_le_bytes();
            }
            *octet = usize::try_from(at % 8).map_or(0, |n| word[n]);
        }
    }

    /// Whether `octets` stand at `position`.
    pub fn has(&self, position: u64, octets: &[u8]) -> bool {
        let mut wanted = vec![0; octets.len()];
        self.fill(position, &mut wanted);
        wanted == octets
    }
}

/// What became of one end of a connection.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which talker of its host it is.
    pub number: u64,
    /// Whether it has asked for the connection, and not been asked.
    pub is_opener: bool,
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
    /// What it was to do.
    pub plan: Plan,
    /// Octets that `write` took.
    pub sent: u64,
    /// Octets that `read` gave, all as the other end wrote them.
    pub received: u64,
    /// The first of them, up to eight: the number of the talker that wrote them.
    pub head: Vec<u8>,
    /// Whether `read` told the end of the stream.
    pub saw_end: bool,
    /// The error that ended it, if one did.
    pub error: Option<SocketError>,
    /// Octets that `read` gave and that the other end did not write there, or a read that went
    /// over a mark.
    pub is_garbled: bool,
    /// Where in the stream stand the urgent octets that it wrote.
    pub urgent: Vec<u64>,
    /// Where in the other end's stream it came to a mark.
    pub marks: Vec<u64>,
    /// When it began.
    pub began: Instant,
    /// When it had its connection.
    pub opened: Option<Instant>,
    /// When it was done.
    pub finished: Option<Instant>,
}

impl Report {
    /// The number of the talker at the other end, once it is known.
    pub fn peer(&self) -> Option<u64> {
        self.head.first_chunk().copied().map(u64::from_le_bytes)
    }
}

/// One end of a connection, and the program that uses it.
#[derive(Debug)]
pub struct Talker {
    socket: SocketId,
    rng: Random,
    /// What it writes, once both addresses are known.
    outgoing: Option<OctetStream>,
    /// What the other end writes, once that has said its number.
    incoming: Option<OctetStream>,
    has_shut_down: bool,
    may_read_from: Instant,
    next_move: Instant,
    buffer: Vec<u8>,
    report: Report,
}

impl Talker {
    /// A program for `socket`, which is connected or being connected.
    pub fn new(
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        plan: Plan,
        rng: Random,
    ) -> Self {
        Self {
            socket,
            rng,
            outgoing: None,
            incoming: None,
            has_shut_down: false,
            may_read_from: now + plan.deaf_for,
            next_move: now,
            buffer: vec![0; plan.write_max.max(plan.read_max)],
            report: Report {
                number: 0,
                is_opener: false,
                local: remote,
                remote,
                plan,
                sent: 0,
                received: 0,
                head: Vec::new(),
                saw_end: false,
                error: None,
                is_garbled: false,
                urgent: Vec::new(),
                marks: Vec::new(),
                began: now,
                opened: None,
                finished: None,
            },
        }
    }

    /// It is this one of its host's, and has asked for its connection or not.
    #[must_use]
    pub fn numbered(mut self, number: u64, is_opener: bool) -> Self {
        (self.report.number, self.report.is_opener) = (number, is_opener);
        self
    }

    /// Its socket.
    pub fn socket(&self) -> SocketId {
        self.socket
    }

    /// What has become of it so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Whether it has given its socket up.
    pub fn is_done(&self) -> bool {
        self.report.finished.is_some()
    }

    /// Does all that it can do now, and says when it wants to go on if nothing happens.
    pub fn run(&mut self, now: Instant, stack: &mut Stack) -> Option<Instant> {
        if self.is_done() || !self.is_open(now, stack) {
            return None;
        }
        while now >= self.next_move {
            self.change_options(stack);
            let has_written = self.write(now, stack);
            let has_read = !self.is_done() && self.read(now, stack);
            if self.is_done() {
                return None;
            }
            if !has_written && !has_read {
                break;
            }
            self.next_move = now + self.report.plan.pace;
        }
        // Asked for again even if nothing arrives meanwhile.
        [self.next_move, self.may_read_from].into_iter().filter(|&at| at > now).min()
    }

    /// Whether the connection is there; learns its addresses the first time.
    fn is_open(&mut self, now: Instant, stack: &mut Stack) -> bool {
        if self.outgoing.is_some() {
            return true;
        }
        if !stack.readiness(self.socket).contains(Readiness::WRITABLE) {
            return false;
        }
        let (local, remote) = (stack.local_addr(self.socket), self.report.remote);
        self.report.local = local.unwrap_or(self.report.local);
        if let Ok(Some(error)) = stack.take_error(self.socket) {
            self.finish(now, stack, Some(error));
            return false;
        }
        let Ok(local) = local else { return false };
        self.report.opened = Some(now);
        self.outgoing = Some(OctetStream::of(self.report.number, local, remote));
        set_options(stack, self.socket, |options| self.report.plan.set(options));
        true
    }

    fn change_options(&mut self, stack: &mut Stack) {
        if self.report.plan.restless && self.rng.chance(0.1) {
            set_options(stack, self.socket, |options| Plan::change(&mut self.rng, options));
        }
    }

    /// One write, or the end of writing. Whether anything was done.
    fn write(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let plan = self.report.plan;
        let left = plan.send - self.report.sent.min(plan.send);
        match plan.ending {
            Ending::Abort(after) if self.report.sent >= after.min(plan.send) => {
                self.abort(now, stack);
                return true;
            }
            Ending::CloseAtOnce if left == 0 => {
                self.finish(now, stack, None);
                return true;
            }
            Ending::HalfClose if left == 0 && !self.has_shut_down => {
                self.has_shut_down = true;
                return match stack.shutdown(now, self.socket, Shutdown::Write) {
                    Ok(()) => true,
                    Err(error) => self.fail(now, stack, error),
                };
            }
            Ending::Abort(_) | Ending::CloseAtOnce | Ending::HalfClose | Ending::CloseAfterPeer => {
            }
        }
        let most = self.rng.below(plan.write_max.try_into().unwrap_or(1)) + 1;
        let len = usize::try_from(most.min(left)).unwrap_or(0);
        if len == 0 {
            return false;
        }
        let Some(out) = &self.outgoing else {
            return false;
        };
        out.fill(self.report.sent, &mut self.buffer[..len]);
        let is_urgent = plan.urgent && self.rng.chance(0.1);
        let write = if is_urgent { Stack::write_urgent } else { Stack::write };
        match write(stack, now, self.socket, &self.buffer[..len]) {
            Ok(taken) => {
                self.report.sent += taken as u64;
                if is_urgent && taken > 0 {
                    self.report.urgent.push(self.report.sent - 1);
                }
                taken > 0
            }
            Err(SocketError::WouldBlock) => false,
            Err(error) => self.fail(now, stack, error),
        }
    }

    /// One read. Whether it gave anything.
    fn read(&mut self, now: Instant, stack: &mut Stack) -> bool {
        if self.report.saw_end || now < self.may_read_from {
            return self.close_if_through(now, stack);
        }
        let most = self.rng.below(self.report.plan.read_max.try_into().unwrap_or(1)) + 1;
        let len = usize::try_from(most).unwrap_or(1);
        let ahead = self.look_for_mark(stack);
        match stack.read(now, self.socket, &mut self.buffer[..len]) {
            Ok(0) => {
                self.report.saw_end = true;
                self.close_if_through(now, stack);
                true
            }
            Ok(taken) => {
                self.compare(taken);
                // A read stops at the mark and not behind it.
                self.report.is_garbled |= ahead.is_some_and(|ahead| taken as u64 > ahead);
                self.report.received += taken as u64;
                true
            }
            Err(SocketError::WouldBlock) => false,
            Err(error) => self.fail(now, stack, error),
        }
    }

    /// So many octets have been read: they must be the other end's next ones.
    fn compare(&mut self, taken: usize) {
        let Report { local, remote, received, .. } = self.report;
        let octets = &self.buffer[..taken];
        let of_head = taken.min(8 - self.report.head.len());
        self.report.head.extend(&octets[..of_head]);
        if let (None, Some(number)) = (&self.incoming, self.report.peer()) {
            self.incoming = Some(OctetStream::of(number, remote, local));
        }
        let is_right = self.incoming.as_ref().is_none_or(|stream| stream.has(received, octets));
        self.report.is_garbled |= !is_right;
    }

    /// Octets up to the mark, if one is ahead. One that is reached is written down.
    fn look_for_mark(&mut self, stack: &mut Stack) -> Option<u64> {
        let ahead = stack.urgent_ahead(self.socket).ok()??;
        if ahead > 0 {
            return Some(ahead.into());
        }
        if self.report.marks.last() != Some(&self.report.received) {
            self.report.marks.push(self.report.received);
        }
        // In line there is nothing to take out of it.
        let taken = stack.read_urgent(self.socket, &mut [0]);
        self.report.is_garbled |= taken != Err(SocketError::InvalidArgument);
        None
    }

    /// Closes once both directions are through.
    fn close_if_through(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let has_sent = self.report.sent >= self.report.plan.send;
        let is_through = self.report.saw_end && has_sent;
        if is_through {
            self.finish(now, stack, None);
        }
        is_through
    }

    fn fail(&mut self, now: Instant, stack: &mut Stack, error: SocketError) -> bool {
        self.finish(now, stack, Some(error));
        true
    }

    /// Aborts its connection (linger of zero) and is done.
    pub(super) fn abort(&mut self, now: Instant, stack: &mut Stack) {
        set_options(stack, self.socket, |options| options.linger = Some(Duration::ZERO));
        self.close(now, stack, None);
    }

    fn finish(&mut self, now: Instant, stack: &mut Stack, error: Option<SocketError>) {
        set_options(stack, self.socket, |options| {
            options.linger = options.linger.filter(|linger| !linger.is_zero());
        });
        self.close(now, stack, error);
    }

    fn close(&mut self, now: Instant, stack: &mut Stack, error: Option<SocketError>) {
        stack.close(now, self.socket);
        self.report.error = error;
        self.report.finished = Some(now);
        self.buffer = Vec::new();
    }
}

/// Changes the options of a socket, if it is there.
fn set_options(stack: &mut Stack, socket: SocketId, change: impl FnOnce(&mut SocketOptions)) {
    if let Ok(mut options) = stack.options(socket) {
        change(&mut options);
        // What the stack refuses shows in the transfer.
        let _ = stack.set_options(socket, options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_however_it_is_cut_and_differs_by_direction() {
        let [a, b] = ["10.0.0.1:1", "10.0.0.2:2"].map(|addr| addr.parse().unwrap());
        let stream = OctetStream::of(7, a, b);
        let mut whole = [0; 100];
        stream.fill(5, &mut whole);
        for cut in 0..100 {
            assert!(stream.has(5, &whole[..cut]) && stream.has(5 + cut as u64, &whole[cut..]));
        }
        assert!(!stream.has(6, &whole));
        assert!(!OctetStream::of(7, b, a).has(5, &whole));
    }

    #[test]
    fn a_stream_begins_with_the_number_of_its_talker_and_differs_by_it() {
        let [a, b] = ["10.0.0.1:1", "10.0.0.2:2"].map(|addr| addr.parse().unwrap());
        let stream = OctetStream::of(7, a, b);
        let mut whole = [0; 16];
        stream.fill(0, &mut whole);
        assert_eq!(whole[..8], [7, 0, 0, 0, 0, 0, 0, 0]);
        let other = OctetStream::of(8, a, b);
        assert!(stream.has(3, &whole[3..]) && !other.has(0, &whole[..1]));
        assert!(!other.has(8, &whole[8..]));
    }
}
