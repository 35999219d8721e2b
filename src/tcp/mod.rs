//! TCP (RFC 9293), one noun a file. Read `connection.rs` first, then `input.rs` and `output.rs`.
//!
//! | part | owns | is told | answers |
//! |---|---|---|---|
//! | `Negotiated` | MSS both ways, window shifts | both SYNs, once | copied to whoever needs it |
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
//!
//! ```text
//! A SEGMENT ARRIVES (input.rs)                      A SEGMENT LEAVES (output.rs)
//!  0 fast_path          is all as foretold?
//!  1 receive.admit      in the window?               choose   the first reason there is
//!  2 RST, 4 SYN         RFC 5961                     permit   windows, Nagle, SWS
//!  5 send.acknowledge   Acked                        stamp    ACK and window
//!    recovery.on_ack    Verdict                      commit   the only step that changes anything
//!    congestion.on_ack
//!  6 urgent.notice      Noticed
//!  7 receive.take       Taken                       TIME PASSES
//!  8 state.on_fin                                    each part whose deadline is past changes its
//!    acks.on_taken                                   own state; `choose` finds the reason
//! ```
//!
//! RFCs: 9293; 1122 §4.2; 5681 and 6582 (congestion control, NewReno), 3042 (limited transmit);
//! 6298 (RTO); 5961 (blind attacks); 6528 (ISN); 4987 §3.6 (SYN cookies); 7323 (window scale,
//! timestamps, PAWS); 2018, 2883 (SACK and D-SACK, sent); 1337, 6191 (TIME-WAIT); 6093 (urgent
//! data).

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
pub(crate) use self::reset::reset_for;
pub(crate) use self::segment::{Segment, SegmentPlan, TRAIN_OCTETS_MAX};
pub(crate) use self::seq::SeqNumber;
pub(crate) use self::spares::{Need, Spares};
pub(crate) use self::time_wait::{TimeWait, Verdict as TimeWaitVerdict};
pub(crate) use self::timestamps::TimestampClock;
pub(crate) use self::unread::Unread;
pub(crate) use self::urgent::OutOfLine;
