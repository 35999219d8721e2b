//! `wharf ping`: echo requests and their replies.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Failure;
use super::device::{CLOSE_TIMEOUT, DeviceArgs};
use super::signals::Signals;
use crate::tokio::EchoSocket;
use crate::{EchoReply, Net};

/// Octets of an ICMP header and of an IPv4 header without options.
const ICMP_HEADER: usize = 8;
const IP_HEADER: usize = 20;

/// How far requests may be behind and are still caught up with.
const LATENESS_MAX: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Ping {
    #[command(flatten)]
    pub(super) device: DeviceArgs,

    /// Address to ask
    host: Ipv4Addr,

    /// How many requests to send; for ever, until interrupted, by default
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Seconds between requests
    #[arg(short, long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,

    /// Seconds to wait for the reply to the last request
    #[arg(short = 'W', long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    timeout: Duration,

    /// Octets of data in a request
    #[arg(short, long, default_value_t = 56, value_name = "OCTETS",
          value_parser = clap::value_parser!(u16).range(..=65_507))]
    size: u16,
}

/// One line on standard output, at once: the reader may be a pipe that somebody watches.
fn say(line: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")
        .and_then(|()| output.flush())
        .map_err(|error| Failure::runtime(format_args!("cannot write to standard output: {error}")))
}

/// From a millisecond to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.001..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("a time is from 0.001 to 86400 seconds".to_owned())
    }
}

impl Ping {
    pub(super) fn run(&self) -> Result<(), Failure> {
        self.device.run(CLOSE_TIMEOUT, |net| self.ping(net))
    }

    async fn ping(&self, net: Net) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let socket = EchoSocket::open(&net)
            .map_err(|error| Failure::runtime(format_args!("cannot open a socket: {error}")))?;
        let (host, size) = (self.host, usize::from(self.size));
        let whole = size + ICMP_HEADER + IP_HEADER;
        say(format_args!("PING {host} {size}({whole}) bytes of data."))?;
        let begun = Instant::now();
        let mut tally = Tally::default();
        let outcome = tokio::select! {
            outcome = self.exchange(&socket, &mut tally) => outcome,
            () = signals.next() => Ok(()),
        };
        signals.end_at_next(&net);
        let elapsed = begun.elapsed().as_millis();
        say(format_args!("\n--- {host} ping statistics ---"))?;
        say(format_args!("{tally}, time {elapsed}ms"))?;
        if let Some(times) = tally.times() {
            say(format_args!("{times}"))?;
        }
        outcome?;
        if tally.received == 0 {
            return Err(Failure::runtime(format_args!("{host} did not answer")));
        }
        Ok(())
    }

    /// Sends on time and prints what comes back, until the last reply or the end of patience.
    async fn exchange(&self, socket: &EchoSocket, tally: &mut Tally) -> Result<(), Failure> {
        let data = vec![0x77; usize::from(self.size)];
        let mut next = Instant::now();
        loop {
            let is_last = self.count.is_some_and(|count| tally.sent >= count);
            if is_last && tally.waiting.is_empty() {
                return Ok(());
            }
            tokio::select! {
                reply = socket.recv() => {
                    let reply = reply.map_err(Failure::runtime)?;
                    if let Some(line) = tally.receive(&reply) {
                        say(format_args!("{line}"))?;
                    }
                }
                () = sleep_until(next) => {
                    if is_last {
                        return Ok(());
                    }
                    let sequence = tally.next_sequence();
                    match socket.send_to(IpAddr::V4(self.host), sequence, &data).await {
                        Ok(()) => {}
                        Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                            return Err(Failure::runtime(format_args!(
                                "a request of {} octets does not fit into one packet",
                                self.size
                            )));
                        }
                        Err(error) => say(format_args!(
                            "icmp_seq={sequence} cannot be sent: {error}"
                        ))?,
                    }
                    let is_last = self.count.is_some_and(|count| tally.sent >= count);
                    next = self.after(next, is_last);
                }
            }
        }
    }

    /// When the request is due behind one that was due at `due` and has just been sent. A program
    /// that was stopped, or a machine that slept, does not make up for all that time at once.
    /// Behind the last it is when patience ends, which has all its time however late that was sent.
    fn after(&self, due: Instant, is_last: bool) -> Instant {
        let (now, next) = (Instant::now(), due + self.interval);
        if is_last {
            now + self.timeout
        } else if now > next + LATENESS_MAX {
            now + self.interval
        } else {
            next
        }
    }
}

/// What was sent and what came back.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    received: u64,
    duplicates: u64,
    /// When each request that has no reply yet was sent, by its sequence number.
    waiting: BTreeMap<u16, Instant>,
    /// When each was sent that has been answered, to know duplicates; at most all numbers.
    answered: BTreeMap<u16, Instant>,
    /// Round-trip times in milliseconds: least, greatest, sum, sum of squares.
    least: f64,
    greatest: f64,
    sum: f64,
    squares: f64,
}

impl Tally {
    /// The number of the request that is sent now: from 1 on, and around.
    fn next_sequence(&mut self) -> u16 {
        self.sent += 1;
        #[expect(clippy::cast_possible_truncation, reason = "the numbers go around")]
        let sequence = self.sent as u16;
        self.answered.remove(&sequence);
        self.waiting.insert(sequence, Instant::now());
        sequence
    }

    /// Counts a reply and describes it; one that answers nothing of ours is passed over.
    fn receive(&mut self, reply: &EchoReply) -> Option<String> {
        let EchoReply { source, sequence, ttl, len } = reply;
        let octets = len + ICMP_HEADER;
        let line = format!("{octets} bytes from {source}: icmp_seq={sequence} ttl={ttl}");
        if let Some(sent) = self.waiting.remove(sequence) {
            let time = sent.elapsed().as_secs_f64() * 1000.0;
            self.answered.insert(*sequence, sent);
            self.count(time);
            Some(format!("{line} time={time:.3} ms"))
        } else if let Some(sent) = self.answered.get(sequence) {
            let time = sent.elapsed().as_secs_f64() * 1000.0;
            self.duplicates += 1;
            Some(format!("{line} time={time:.3} ms (DUP!)"))
        } else {
            None
        }
    }

    fn count(&mut self, time: f64) {
        self.least = if self.received == 0 { time } else { self.least.min(time) };
        self.greatest = self.greatest.max(time);
        self.sum += time;
        self.squares += time * time;
        self.received += 1;
    }

    /// The line of round-trip times, if there is any.
    fn times(&self) -> Option<String> {
        if self.received == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 replies")]
        let count = self.received as f64;
        let average = self.sum / count;
        let deviation = (self.squares / count - average * average).max(0.0).sqrt();
        let Self { least, greatest, .. } = self;
        Some(format!(
            "rtt min/avg/max/mdev = {least:.3}/{average:.3}/{greatest:.3}/{deviation:.3} ms"
        ))
    }
}

/// The line of counts, without the time that it took.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, duplicates, .. } = self;
        write!(f, "{sent} packets transmitted, {received} received, ")?;
        if *duplicates > 0 {
            write!(f, "+{duplicates} duplicates, ")?;
        }
        let lost = (sent - received) * 100;
        write!(f, "{}% packet loss", lost.checked_div(*sent).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Alone {
        #[command(flatten)]
        ping: Ping,
    }

    fn reply(sequence: u16) -> EchoReply {
        EchoReply { source: Ipv4Addr::new(10, 7, 1, 1).into(), sequence, ttl: 64, len: 56 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_summary_counts_replies_duplicates_and_losses() {
        let mut tally = Tally::default();
        for (sequence, milliseconds) in [(1, 10), (2, 20), (3, 30)] {
            assert_eq!(tally.next_sequence(), sequence);
            tokio::time::advance(Duration::from_millis(milliseconds)).await;
            let line = tally.receive(&reply(sequence)).unwrap();
            let end = format!("icmp_seq={sequence} ttl=64 time={milliseconds}.000 ms");
            assert_eq!(line, format!("64 bytes from 10.7.1.1: {end}"));
        }
        tally.next_sequence();
        assert!(tally.receive(&reply(2)).unwrap().ends_with("(DUP!)"));
        assert_eq!(tally.receive(&reply(77)), None);
        let counts = "4 packets transmitted, 3 received, +1 duplicates, 25% packet loss";
        assert_eq!(tally.to_string(), counts);
        let times = "rtt min/avg/max/mdev = 10.000/20.000/30.000/8.165 ms";
        assert_eq!(tally.times().unwrap(), times);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_their_pace_and_a_stop_is_not_made_up_for() {
        let ping = Alone::parse_from(["ping", "10.7.1.1", "--timeout", "5"]).ping;
        let (due, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(ping.after(due, true), due + 5 * second);
        tokio::time::advance(Duration::from_millis(3)).await;
        assert_eq!(ping.after(due, false), due + second);
        tokio::time::advance(second).await;
        assert_eq!(ping.after(due, false), due + second, "a little behind");
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(ping.after(due, false), Instant::now() + second);
        assert_eq!(ping.after(due, true), Instant::now() + 5 * second, "it may still be answered");
    }

    #[test]
    fn the_summary_of_nothing_divides_by_nothing() {
        let counts = "0 packets transmitted, 0 received, 0% packet loss";
        assert_eq!(Tally::default().to_string(), counts);
        assert_eq!(Tally::default().times(), None);
    }
}
