//! ICMP errors about segments of ours (RFC 9293 §3.9.2.2, RFC 5927).
//!
//! Anybody can send one. It counts only if what it quotes is in flight, and it never ends a
//! connection that is through the handshake:
//!
//! | the error | SYN-SENT, SYN-RECEIVED | later | TIME-WAIT |
//! |---|---|---|---|
//! | soft: it may pass (MUST-56) | is noted | is noted | is ignored |
//! | hard: it does not (SHLD-26) | ends the open | is noted | is ignored |
//! | too big | is ignored | lowers the path MTU | is ignored |
//!
//! What is noted takes the place of "timed out" if nothing gets through any more, and is forgotten
//! once something does (MUST-47, SHLD-25). RFC 5461 tells of stacks that let a soft error end an
//! open too, against MUST-56: who has several addresses to try limits the time for each instead.

use super::demux::FlowId;
use super::flow::{Flow, Owner};
use super::{DropReason, Instant, Observer, Stack};
use crate::error::SocketError;
use crate::ip::{IcmpError, IcmpErrorKind};
use crate::tcp::{Path, SeqNumber};
use crate::wire::FourTuple;

/// What an error means to TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It may pass: the timers know better (MUST-56).
    Soft,
    /// It will not pass: of the codes that RFC 9293 §3.9.2.2 calls hard 2 and 3, since 4 is about
    /// the path MTU, and those of a filter, as on Linux.
    Hard,
    /// A router had room for so many octets only.
    TooBig { mtu: u16 },
}

fn meaning(kind: IcmpErrorKind) -> Meaning {
    match kind {
        IcmpErrorKind::ProtocolUnreachable
        | IcmpErrorKind::PortUnreachable
        | IcmpErrorKind::AdministrativelyProhibited => Meaning::Hard,
        IcmpErrorKind::FragmentationNeeded { mtu } => Meaning::TooBig { mtu },
        IcmpErrorKind::NetUnreachable
        | IcmpErrorKind::HostUnreachable
        | IcmpErrorKind::SourceRouteFailed
        | IcmpErrorKind::TimeExceeded
        | IcmpErrorKind::ParameterProblem => Meaning::Soft,
    }
}

impl Stack {
    /// An ICMP error about a segment. Its four-tuple must be a flow's, and its sequence number one
    /// that the flow has in flight (RFC 5927 §4.1, MUST-54): who is not on the path must guess.
    pub(super) fn receive_tcp_error(
        &mut self,
        error: &IcmpError,
        observer: &mut dyn Observer,
        now: Instant,
    ) -> Result<(), DropReason> {
        let id = self.flows.find(&error.flow()).ok_or(DropReason::IcmpUnused)?;
        let [_, _, _, _, s0, s1, s2, s3] = error.transport;
        let seq = SeqNumber(u32::from_be_bytes([s0, s1, s2, s3]));
        let entry = self.flows.get(id).ok_or(DropReason::IcmpUnused)?;
        let meaning = meaning(error.kind);
        let is_ours = match (&entry.flow, meaning) {
            (Flow::Connecting(connecting), _) => connecting.has_sent(seq),
            (Flow::HalfOpen(half_open), _) => half_open.has_sent(seq),
            // No bare acknowledgment is too big.
            (Flow::Open(connection), Meaning::TooBig { .. }) => connection.is_outstanding(seq),
            (Flow::Open(connection), Meaning::Soft | Meaning::Hard) => connection.has_sent(seq),
            (Flow::TimeWait(_), _) => return Err(DropReason::IcmpUnused),
        };
        if !is_ours {
            return Err(DropReason::IcmpQuote);
        }
        let reported = error.kind.socket_error();
        match (meaning, &entry.flow) {
            (Meaning::Hard, Flow::Connecting(_)) => {
                self.end_connecting(now, id, Some(reported), observer);
            }
            // POSIX knows no way to tell who listens (as Linux).
            (Meaning::Hard, Flow::HalfOpen(_)) => {
                self.remove_flow(now, id, observer);
            }
            (Meaning::TooBig { mtu }, Flow::Open(_)) => self.lower_path_mtu(now, id, error, mtu),
            // A SYN fits through any path that we believe in.
            (Meaning::TooBig { .. }, _) => return Err(DropReason::IcmpUnused),
            (Meaning::Soft | Meaning::Hard, _) => self.note_soft_error(id, reported),
        }
        Ok(())
    }

    /// The cache of `ip` learns what a router has said, and the connection from the cache. Other
    /// connections to the same host look it up when they next send.
    fn lower_path_mtu(&mut self, now: Instant, id: FlowId, error: &IcmpError, claimed: u16) {
        self.ip.on_too_big(now, error, claimed);
        if let Some(entry) = self.flows.get_mut(id)
            && let Some(path) = path_of(&self.ip, now, &entry.tuple)
            && let Some(connection) = entry.connection_mut()
        {
            connection.on_path_news(now, path);
        }
        self.touch_flow(id);
    }

    /// A router said something about a flow that does not end it.
    fn note_soft_error(&mut self, id: FlowId, error: SocketError) {
        let Some(entry) = self.flows.get(id) else { return };
        let is_open = entry.connection().is_some();
        let Owner::Socket(socket_id) = entry.owner else { return };
        let Some(socket) = self.sockets.get_mut(socket_id) else { return };
        socket.soft_error = Some(error);
        if is_open && socket.options.receive_errors {
            socket.error = Some(error); // SHLD-20: only if it is asked for.
            self.touch_socket(socket_id);
        }
    }
}

/// What `ip` knows of a flow's path.
pub(super) fn path_of(ip: &crate::ip::Ipv4, now: Instant, tuple: &FourTuple) -> Option<Path> {
    let known = ip.path_mtu(now, tuple.remote.ipv4()?);
    Some(Path { mtu: known.mtu, until: known.until, generation: ip.path_generation() })
}
