//! What Linux's TCP and ours have in common, as a script sees them.

use std::net::{Ipv4Addr, SocketAddrV4};

use wharf::{Duration, TcpState};

use crate::script::Call;

/// The address of the stack under test.
pub(crate) const STACK_ADDR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The octets of its network's prefix.
pub(crate) const PREFIX: u8 = 16;

/// The four numbers of a script's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// The stack's end.
    pub(crate) local: SocketAddrV4,
    /// The peer's end.
    pub(crate) remote: SocketAddrV4,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It had nothing to work on: no connection, or one already.
    Idle,
    /// A number: 0, or octets written.
    Done(usize),
    /// Octets read.
    Octets(Vec<u8>),
    /// An error number.
    Errno(i32),
}

/// A TCP that plays scripts, one after the other.
pub(crate) trait Backend {
    /// Forgets the last script, and is ready for the next.
    fn begin(&mut self, flow: Flow);
    /// Moves to `at`, counted from the beginning of the script.
    fn advance(&mut self, at: Duration);
    /// The time, counted from the beginning of the script.
    fn elapsed(&self) -> Duration;
    /// A socket call.
    fn call(&mut self, call: &Call) -> Outcome;
    /// A packet arrives.
    fn inject(&mut self, octets: &[u8]);
    /// The packets that have left since the last call, of this script's connection and others.
    fn drain(&mut self) -> Vec<Vec<u8>>;
    /// The bits of poll(2) for the connection, or for the listener if there is none.
    fn poll(&mut self) -> u16;
    /// The state of the script's connection; closed if there is none.
    fn state(&mut self) -> TcpState;
}
