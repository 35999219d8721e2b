//! What poll(2) says of a socket: the bits as Linux's `tcp_poll` and `datagram_poll` compute them.

use std::ffi::c_int;

use super::abi::{POLL_ERR, POLL_HUP, POLL_IN, POLL_OUT, POLL_PRI, POLL_RDHUP};
use super::errno::Answer;
use super::handles::{Entry, Protocol, Shut};
use super::host::Host;
use crate::observe::TcpState;
use crate::stack::Readiness;

impl Host {
    /// The bits of a socket.
    pub(super) fn poll_bits(&mut self, entry: Entry) -> Answer<c_int> {
        match entry.protocol {
            Protocol::Tcp => self.stream_bits(entry),
            Protocol::Udp => self.datagram_bits(entry),
        }
    }

    fn stream_bits(&mut self, entry: Entry) -> Answer<c_int> {
        let (state, ready) = (self.state(entry)?, self.stack.readiness(entry.id));
        if state == TcpState::Listen {
            return Ok(bit(POLL_IN, ready.contains(Readiness::READABLE)));
        }
        let shut = self.shut(entry)?;
        let is_opening = matches!(state, TcpState::SynSent | TcpState::SynReceived);
        let has_octets = !is_opening && self.stack.readable(entry.id)? > 0;
        // A socket without a connection has an empty buffer to write to.
        let has_room = state == TcpState::Closed || ready.contains(Readiness::WRITABLE);
        Ok(bit(POLL_IN, shut.read || has_octets)
            | bit(POLL_OUT, !is_opening && (shut.write || has_room))
            | bit(POLL_ERR, ready.contains(Readiness::ERROR))
            | bit(POLL_HUP, shut == Shut::BOTH || state == TcpState::Closed)
            | bit(POLL_RDHUP, shut.read)
            | bit(POLL_PRI, self.has_urgent_octet(entry)?))
    }

    /// Whether the urgent octet has arrived and has not been read, in line or out of it; that it is
    /// announced is not enough.
    fn has_urgent_octet(&mut self, entry: Entry) -> Answer<bool> {
        let is_out_of_line = self.stack.peek_urgent(entry.id, &mut [0]) == Ok(1);
        if is_out_of_line || !self.stack.options(entry.id)?.oob_inline {
            return Ok(is_out_of_line);
        }
        let ahead = self.stack.urgent_ahead(entry.id)?;
        let readable = self.stack.readable(entry.id)?;
        Ok(ahead.is_some_and(|ahead| ahead < readable))
    }

    fn datagram_bits(&self, entry: Entry) -> Answer<c_int> {
        let (shut, ready) = (entry.shut, self.stack.readiness(entry.id));
        let has_datagram = self.stack.next_datagram(entry.id)?.is_some();
        Ok(bit(POLL_IN, shut.read || has_datagram)
            | bit(POLL_OUT, ready.contains(Readiness::WRITABLE))
            | bit(POLL_ERR, ready.contains(Readiness::ERROR))
            | bit(POLL_HUP, shut == Shut::BOTH)
            | bit(POLL_RDHUP, shut.read))
    }
}

/// `bit` where `condition` holds.
fn bit(bit: c_int, condition: bool) -> c_int {
    if condition { bit } else { 0 }
}
