//! TCP (RFC 9293), one noun a file.
//!
//! To read it in order, with the RFC beside:
//!
//! 1. The words: `seq` (numbers that wrap), `segment` (what arrives and what leaves), `negotiated`
//!    (what two SYNs agree on), `config`.
//! 2. The life of a connection (§3.5, §3.6): `listener/` with `half_open`, `connect`, `isn`;
//!    `state`; `time_wait`; `reset` for what belongs to nobody.
//! 3. A connection: `connection` (its parts and the user's calls), `input` (SEGMENT ARRIVES,
//!    §3.10.7.4), `output` (what leaves), `timeouts` (§3.10.8).
//! 4. Its parts, each alone: `send`, `new_text`, `send_buffer`; `receive`, `assembler`,
//!    `receive_buffer`; `ack`; `rtt`, `recovery/`, `congestion/`; `persist`, `lifetime`;
//!    `timestamps`, `urgent`; `pmtu` with `mtu_search`.
//! 5. What can be left out at first: `listener/cookies`, `promises` and `spent`; `fast_path`, a
//!    shorter way to the same end; `pages`, `spares` and `unread`, which are about memory; `info`
//!    and `statistics`, which only tell; `check`, for tests.
//!
//! | part | owns | is told | answers |
//! |---|---|---|---|
//! | `Negotiated` | MSS, shifts, SACK, timestamps | both SYNs, once | copied to who needs it |
//! | `State` | where the two FINs are | CLOSE, FIN, ACK of our FIN | the next state |
//! | `SendSide` | SND.*, our FIN, octets written | SEG.ACK, SEG.WND, writes | what may leave |
//! | `ReceiveSide` | RCV.*, their FIN, octets to read | segments, reads | the window to offer |
//! | `Timestamping` | TSval, TS.Recent, Last.ACK.sent | TSvals that arrive | the option to send |
//! | `Urgent` | SND.UP, RCV.UP | urgent writes, SEG.UP, reads | SEG.UP, where a read stops |
//! | `AckScheduler` | is an ACK owed, by when | `Taken`, refusals | must one leave now |
//! | `RttEstimator` | SRTT, RTTVAR | samples | RTO |
//! | `Recovery` | what is lost, the retransmission timer | ACKs, time | what to send again |
//! | `PathLimit` | what the path carries | ICMP, what arrives | the largest segment, probes |
//! | `Algorithm` | cwnd, ssthresh | `AckSample`, `Congestion` | the window |
//! | `Persist` | probe backoff | "data waits for window" | is a probe due |
//! | `Lifetime` | since when we wait | progress, time | give up |
//! | `Statistics` | counts for TCP_INFO | what came and left | nothing that decides |
//!
//! ```text
//! A SEGMENT ARRIVES (input.rs)                      A SEGMENT LEAVES (output.rs)
//!    fast_path          is all as foretold?
//!  2 on_reset           RFC 5961                     choose   the first reason there is
//!    is_stale           PAWS                         permit   windows, Nagle, SWS
//!  1 receive.admit      in the window?               stamp    ACK and window
//!  4 SYN                RFC 5961                     commit   the only step that changes anything
//!  5 send.acknowledge   Acked
//!    send.update_window                             TIME PASSES
//!    recovery.on_ack    Verdict                      each part whose deadline is past changes its
//!    congestion.on_ack                               own state; `choose` finds the reason
//!  6 urgent.notice      Noticed
//!  7 receive.take       Taken
//!    acks.on_taken
//!  8 state.on_fin
//! ```
//!
//! The numbers are the steps of §3.10.7.4. The third, security, is not done by anybody; why the
//! second comes before the first, `input` says.
//!
//! RFCs: 9293; 1122 §4.2; 5681 and 6582 (congestion control, NewReno), 3042 (limited transmit),
//! 3465 (counting octets), 6928 (initial window), 7661 (a window that nobody fills); 6298 (RTO);
//! 5961 and 5927 (blind attacks); 6528 (ISN); 4987 §3.6 (SYN cookies); 7323 (window scale,
//! timestamps, PAWS, header prediction); 2018, 2883 (SACK and D-SACK, sent); 1337, 6191
//! (TIME-WAIT); 5482 (user timeout); 6093 (urgent data); 1191, 4821 (path MTU).

mod ack;
mod assembler;
#[cfg(any(test, feature = "sim"))]
mod check;
mod config;
mod congestion;
mod connect;
mod connection;
mod fast_path;
mod info;
mod input;
mod isn;
mod lifetime;
mod listener;
mod mtu_search;
mod negotiated;
mod new_text;
mod output;
mod pages;
mod persist;
mod pmtu;
mod receive;
mod receive_buffer;
mod recovery;
mod reset;
mod rtt;
mod segment;
mod send;
mod send_buffer;
mod seq;
mod spares;
mod state;
mod statistics;
#[cfg(test)]
mod tests;
mod time_wait;
mod timeouts;
mod timestamps;
mod unread;
mod urgent;

pub use self::config::{SynCookies, TcpConfig};
pub(crate) use self::connect::{Close, Connecting, Verdict as ConnectingVerdict};
pub(crate) use self::connection::{Connection, End, Opened, Outcome};
pub use self::info::{RecoveryState, TcpInfo};
pub(crate) use self::isn::IsnGenerator;
pub(crate) use self::listener::cookies::{Cookies, Recalled};
pub(crate) use self::listener::half_open::{HalfOpen, Verdict as HalfOpenVerdict};
pub(crate) use self::listener::promises::{Promise, Promises};
pub(crate) use self::listener::{Listener, Ticket, Verdict as ListenerVerdict};
pub use self::mtu_search::MtuProbing;
pub(crate) use self::negotiated::Offer;
pub(crate) use self::pmtu::Path;
pub(crate) use self::receive::Growth;
pub(crate) use self::reset::reset_for;
pub(crate) use self::segment::{Segment, SegmentPlan, TRAIN_OCTETS_MAX};
pub(crate) use self::seq::SeqNumber;
pub(crate) use self::spares::{Need, Spares};
pub(crate) use self::time_wait::{TimeWait, Verdict as TimeWaitVerdict};
pub(crate) use self::timestamps::TimestampClock;
pub(crate) use self::unread::Unread;
pub(crate) use self::urgent::OutOfLine;
