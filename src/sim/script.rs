//! Plays a packet script against one stack, in virtual time.
//!
//! ```text
//! +0    socket listen 80
//! +0    < S  0:0(0) win 65535 <mss 1000>
//! +0    > S. 0:0(0) ack 1 <...>
//! +0.1  < .  1:1(0) ack 1 win 65535
//! +0    accept
//! +0    write 10
//! +0    > P. 1:11(10) ack 1
//! +0.3  > P. 1:11(10) ack 1            # nobody acknowledged it
//! +0.1  nothing
//! ```
//!
//! Time is exact: a packet must leave at the very nanosecond that its line names, and every packet
//! that no line names is a failure, so silence is asserted everywhere. Every packet that leaves is
//! also read by [`Packet::decode`](super::craft::Packet::decode), which is strict about lengths,
//! checksums and padding, and its data is compared with the stream that `write` has written.

use std::fmt;
use std::net::Ipv4Addr;

use super::notation::number;
use super::player::Player;
use super::statement::parse_script;
use crate::config::StackConfig;
use crate::observe::{Counters, DropReason};
use crate::stack::{SocketId, Stack};
use crate::time::Instant;

/// The stack's address in scripts, with its network.
pub const STACK_ADDR: &str = "10.7.0.2/24";

/// The address of the peer that a script plays.
pub const PEER_ADDR: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);

/// The peer's port on the connection without a label; each label takes the next one.
pub const PEER_PORT: u16 = 5000;

/// The port of the stack that packets go to unless the script listens or connects elsewhere.
pub(super) const STACK_PORT: u16 = 80;

/// What a script needs before its first line.
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) config: StackConfig,
    pub(super) seed: u64,
    pub(super) peer_iss: u32,
    pub(super) our_iss: Option<u32>,
    pub(super) our_clock: Option<u32>,
    prelude: String,
}

/// A stack with [`STACK_ADDR`], defaults, and the peer's initial sequence number 0.
impl Default for Script {
    fn default() -> Self {
        Self::new(default_config())
    }
}

/// The configuration that scripts run under unless they bring their own: the default one, but for
/// the first acknowledgments, which are held back like all others, so that a script may begin with
/// what it is about.
pub fn default_config() -> StackConfig {
    let mut config = StackConfig::new(STACK_ADDR.parse().expect("a literal network"));
    config.tcp.quick_acks = 0;
    config
}

/// A connection that the peer opened, ready for use: see [`Script::established`].
#[track_caller]
pub fn established(settings: &str) -> Script {
    Script::default().established(settings)
}

impl Script {
    /// A script against a stack of this configuration.
    pub fn new(config: StackConfig) -> Self {
        Self {
            config,
            seed: 1,
            peer_iss: 0,
            our_iss: None,
            our_clock: None,
            prelude: String::new(),
        }
    }

    /// The seed of the stack. 1
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The peer's initial sequence number. 0
    #[must_use]
    pub fn peer_iss(mut self, iss: u32) -> Self {
        self.peer_iss = iss;
        self
    }

    /// The stack's initial sequence number towards the connection without a label, on port 80:
    /// the script starts at the moment at which the stack's clock will choose it.
    #[must_use]
    pub fn our_iss(mut self, iss: u32) -> Self {
        self.our_iss = Some(iss);
        self
    }

    /// The stack's timestamp on its first SYN towards the connection without a label, on port 80:
    /// the script starts at the moment at which its clock says so.
    #[must_use]
    pub fn our_clock(mut self, value: u32) -> Self {
        self.our_clock = Some(value);
        self
    }

    /// Opens the connection without a label, by the peer, before the first line. `settings`, each
    /// with its default: `rtt 100ms, mss 1460, wscale 7, win 512, sack off, ts off`; `wscale off`
    /// is no option, and `win` is the field of the third segment of the handshake. With `sack on`
    /// and `ts on` the peer offers these options; its timestamps are 1000 on the SYN and, one
    /// round trip of milliseconds later, on the third segment.
    ///
    /// # Panics
    /// If a setting is not understood.
    #[must_use]
    #[track_caller]
    pub fn established(mut self, settings: &str) -> Self {
        let (mut rtt, mut mss, mut scale, mut window) = (100, 1460, Some(7), 512);
        let (mut sack, mut timestamps) = (false, false);
        for setting in settings.split(',').map(str::trim).filter(|s| !s.is_empty()) {
            let (name, value) = setting.split_once(' ').unwrap_or((setting, ""));
            match name {
                "rtt" => rtt = read(value.strip_suffix("ms").unwrap_or(value)),
                "mss" => mss = read(value),
                "wscale" if value == "off" => scale = None,
                "wscale" => scale = Some(read(value)),
                "win" => window = read(value),
                "sack" => sack = is_on(setting, value),
                "ts" => timestamps = is_on(setting, value),
                _ => panic!("`{setting}` is no setting of a connection"),
            }
        }
        let mut options = String::new();
        let mut third = String::new();
        if sack {
            options.push_str(",sackOK");
        }
        if timestamps {
            options.push_str(",TS val 1000 ecr 0");
            third = format!("<TS val {} ecr 0>", 1000 + rtt);
        }
        let scale = scale.map_or(String::new(), |shift: u32| format!(",nop,wscale {shift}"));
        options.push_str(&scale);
        self.prelude = format!(
            "+0 socket listen {STACK_PORT}
             +0 < S 0:0(0) win 65535 <mss {mss}{options}>
             +0 > S. 0:0(0) ack 1 <...>
             +{}.{:03} < . 1:1(0) ack 1 win {window} {third}
             +0 accept",
            rtt / 1000,
            rtt % 1000,
        );
        self
    }

    /// Plays `text`.
    ///
    /// # Panics
    /// If the stack does anything else than what `text` says.
    #[track_caller]
    pub fn plays(self, text: &str) -> Played {
        match self.run(text) {
            Ok(played) => played,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Plays `text`; a failure names its line.
    pub fn run(&self, text: &str) -> Result<Played, Failure> {
        let prelude = parse_script(&self.prelude).map_err(Failure::of_script)?;
        let mut statements = parse_script(text).map_err(Failure::of_script)?;
        for (index, mut statement) in prelude.into_iter().enumerate() {
            statement.line = 0;
            statements.insert(index, statement);
        }
        let mut player = Player::new(self)?;
        for statement in &statements {
            if let Err(why) = player.play(statement) {
                return Err(player.failure(statement, &why));
            }
        }
        player.finish()
    }
}

#[track_caller]
fn is_on(setting: &str, value: &str) -> bool {
    match value {
        "on" => true,
        "off" => false,
        _ => panic!("`{setting}` is neither on nor off"),
    }
}

#[track_caller]
fn read(value: &str) -> u32 {
    number(Some(value)).unwrap_or_else(|why| panic!("{why}"))
}

/// What a script leaves behind, for questions that no line can ask.
#[derive(Debug)]
pub struct Played {
    /// The stack.
    pub stack: Stack,
    /// What it counted.
    pub counters: Counters,
    /// The moment of the last line.
    pub now: Instant,
    /// The socket of the connection without a label.
    pub socket: Option<SocketId>,
    /// The socket that listens.
    pub listener: Option<SocketId>,
    /// The stack's initial sequence number on the connection without a label; 0 without any.
    pub iss: u32,
}

impl Played {
    /// The counter of this name.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let all = self.counters.list();
        let found = all.iter().find(|counter| counter.name == name);
        found.unwrap_or_else(|| panic!("no counter is called {name}")).value
    }

    /// How many packets were dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.counters.dropped(reason)
    }
}

/// Where a script and a stack disagree.
#[derive(Debug)]
pub struct Failure {
    pub(super) place: String,
    pub(super) why: String,
    pub(super) trace: Vec<String>,
}

impl Failure {
    pub(super) fn of_script(why: String) -> Self {
        Self { place: "the script".into(), why, trace: Vec::new() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n  {}", self.place, self.why)?;
        if !self.trace.is_empty() {
            writeln!(f, "what happened until then:")?;
        }
        self.trace.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for Failure {}
