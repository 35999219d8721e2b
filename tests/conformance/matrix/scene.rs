//! The twelve states, each reached by playing a packet script into a fresh stack.

use wharf::sim::{Played, Script};

use super::cell::Numbers;

/// A state of RFC 9293 §3.3.2, SYN-RECEIVED once for each way that leads there (MUST-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Listen,
    SynSent,
    SynReceivedPassive,
    SynReceivedActive,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

/// The initial sequence numbers of both sides, and whether our receive window is shut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub(super) our_iss: u32,
    pub(super) peer_iss: u32,
    pub(super) is_shut: bool,
}

/// A stack in a state, and all that the oracle needs to know of it.
pub(super) struct Scene {
    pub(super) state: State,
    pub(super) numbers: Numbers,
    /// Octets that nobody has read.
    pub(super) unread: i64,
    pub(super) script: Script,
    pub(super) lines: String,
}

/// Octets of the receive buffer, and so of the window that our SYN announces.
const BUFFER: i64 = 4096;

/// The same where it is to be filled: two segments of this MSS do.
const SHUT_BUFFER: i64 = 2048;

const OPENED: &str = "
    +0   socket listen 80
    +0   < S 0:0(0) win 5000 <mss 1460>
    +0   > S. 0:0(0) ack 1 <...>
";

const CONNECTING: &str = "
    +0   bind :80
    +0   connect
    +0   > S 0:0(0) <...>
";

/// Twenty octets have come and been read; of twenty of ours ten are acknowledged.
const TRANSFER: &str = "
    +0.1 < . 1:1(0) ack 1 win 5000
    +0   accept
    +0   <+ P. 1:21(20) ack 1 win 5000
    +0   write 10
    +0   > P. 1:11(10) ack 21
    +0   read 20
    +0.1 < . 21:21(0) ack 11 win 5000
    +0   write 10
    +0   > P. 11:21(10) ack 21
";

/// The same, but all that fits has come and nobody has read it.
const SHUT: &str = "
    +0.1 < . 1:1(0) ack 1 win 5000
    +0   accept
    +0   <+ . 1:1461(1460) ack 1 win 5000
    +0   <+ P. 1461:2049(588) ack 1 win 5000
    +0   write 10
    +0   > P. 1:11(10) ack 2049 win 0
    +0.1 < . 2049:2049(0) ack 11 win 5000
    +0   write 10
    +0   > P. 11:21(10) ack 2049 win 0
";

impl Scene {
    /// The scene; `None` where the variant has no meaning.
    pub(super) fn new(state: State, variant: Variant) -> Option<Self> {
        let in_order = if variant.is_shut { SHUT_BUFFER + 1 } else { 21 };
        let buffer = if variant.is_shut { SHUT_BUFFER } else { BUFFER };
        let text = if variant.is_shut { SHUT } else { TRANSFER };
        let close = "+0 shutdown write\n";
        // The peer's FIN, which acknowledges `ack`; ours has left up to `nxt`.
        let fin = |ack: i64, nxt: i64| {
            let past = in_order + 1;
            format!(
                "+0.05 < F. {in_order}:{in_order}(0) ack {ack} win 5000
                 +0    > .  {nxt}:{nxt}(0) ack {past}\n"
            )
        };
        let our_fin = |ack: i64| format!("{close}+0 > F. 21:21(0) ack {ack}\n");
        let acked = format!("+0.1 < . {in_order}:{in_order}(0) ack 22 win 5000\n");
        let closing = our_fin(in_order);
        // What was played after the handshake; SND.UNA, SND.NXT; whether the peer's FIN counts.
        let (opening, rest, (una, nxt), has_fin) = match state {
            State::Closed => ("", String::new(), (50, 60), false),
            State::Listen => ("+0 socket listen 80\n", String::new(), (50, 60), false),
            State::SynSent => (CONNECTING, String::new(), (0, 1), false),
            State::SynReceivedPassive => (OPENED, String::new(), (0, 1), false),
            State::SynReceivedActive => {
                let crossed = "+0 < S 0:0(0) win 5000 <mss 1460>\n+0 > S. 0:0(0) ack 1 <...>\n";
                (CONNECTING, crossed.to_owned(), (0, 1), false)
            }
            State::Established => (OPENED, text.to_owned(), (11, 21), false),
            State::FinWait1 => (OPENED, format!("{text}{closing}"), (11, 22), false),
            State::FinWait2 => (OPENED, format!("{text}{closing}{acked}"), (22, 22), false),
            State::CloseWait => (OPENED, format!("{text}{}", fin(11, 21)), (11, 21), true),
            State::LastAck => {
                let rest = format!("{text}{}{}", fin(11, 21), our_fin(in_order + 1));
                (OPENED, rest, (11, 22), true)
            }
            State::Closing => (OPENED, format!("{text}{closing}{}", fin(11, 22)), (11, 22), true),
            State::TimeWait => {
                (OPENED, format!("{text}{closing}{acked}{}", fin(22, 22)), (22, 22), true)
            }
        };
        let is_open = !matches!(
            state,
            State::Closed
                | State::Listen
                | State::SynSent
                | State::SynReceivedPassive
                | State::SynReceivedActive
        );
        if variant.is_shut && !is_open {
            return None;
        }
        let rcv_nxt = if is_open { in_order + i64::from(has_fin) } else { 1 };
        // All that has come is read, and a wide window follows its reader.
        let rcv_wnd = if variant.is_shut { 0 } else { BUFFER };
        let mut config = wharf::sim::script::default_config();
        config.tcp.receive_buffer = u32::try_from(buffer).expect("a small number");
        Some(Self {
            state,
            numbers: Numbers { una, nxt, rcv_nxt, rcv_wnd },
            unread: if variant.is_shut { SHUT_BUFFER } else { 0 },
            script: Script::new(config).our_iss(variant.our_iss).peer_iss(variant.peer_iss),
            lines: format!("{opening}{rest}"),
        })
    }

    /// A fresh stack in this state.
    pub(super) fn set(&self) -> Played {
        match self.script.run(&self.lines) {
            Ok(played) => played,
            Err(failure) => panic!("{:?} cannot be reached: {failure}", self.state),
        }
    }
}
