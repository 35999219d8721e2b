//! The socket calls and the questions of a packet script.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::notation::{Sender, stream};
use super::player::Player;
use super::statement::{Call, Expectation, Outcome};
use super::{script_info, script_options};
use crate::error::SocketError;
use crate::observe::{DropReason, TcpState};
use crate::options::SocketOptions;
use crate::stack::{Readiness, SocketId, Stack};
use crate::time::{Duration, Instant};

/// The Linux name of an error.
pub fn error_name(error: SocketError) -> &'static str {
    match error {
        SocketError::WouldBlock => "EAGAIN",
        SocketError::InProgress => "EINPROGRESS",
        SocketError::AlreadyInProgress => "EALREADY",
        SocketError::AlreadyConnected => "EISCONN",
        SocketError::NotConnected => "ENOTCONN",
        SocketError::Refused => "ECONNREFUSED",
        SocketError::Reset => "ECONNRESET",
        SocketError::Aborted => "ECONNABORTED",
        SocketError::TimedOut => "ETIMEDOUT",
        SocketError::HostUnreachable => "EHOSTUNREACH",
        SocketError::NetworkUnreachable => "ENETUNREACH",
        SocketError::AddressInUse => "EADDRINUSE",
        SocketError::AddressNotAvailable => "EADDRNOTAVAIL",
        SocketError::InvalidAddress => "EAFNOSUPPORT",
        SocketError::NoDestination => "EDESTADDRREQ",
        SocketError::PermissionDenied => "EACCES",
        SocketError::InvalidArgument => "EINVAL",
        SocketError::BadHandle => "EBADF",
        SocketError::BrokenPipe => "EPIPE",
        SocketError::MessageTooLong => "EMSGSIZE",
        SocketError::NoBuffers => "ENOBUFS",
        SocketError::NetworkDown => "ENETDOWN",
        SocketError::NotSupported => "EOPNOTSUPP",
    }
}

/// What a call gave, in the words of a script.
fn outcome_of(result: Result<Option<usize>, SocketError>) -> Outcome {
    match result {
        Ok(None) => Outcome::Done,
        Ok(Some(octets)) => Outcome::Octets(octets),
        Err(error) => Outcome::Error(error_name(error).to_owned()),
    }
}

fn compare(wanted: &Outcome, got: &Outcome) -> Result<(), String> {
    if wanted == got {
        return Ok(());
    }
    Err(format!("expected {wanted:?}\n  got {got:?}"))
}

/// A call that the script needs to succeed.
fn must<T>(what: &str, result: Result<T, SocketError>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {}", error_name(error)))
}

impl Player {
    pub(super) fn call(&mut self, label: &str, call: &Call) -> Result<(), String> {
        let now = self.now;
        match call {
            Call::Listen { port, backlog, takes_any } => self.listen(*port, *backlog, *takes_any),
            Call::Unlisten => {
                let listener = self.listener.take().ok_or("there is no listener")?;
                self.stack.close(now, listener);
                Ok(())
            }
            Call::Bind(addr, port) => {
                let socket = self.new_socket(label)?;
                let own = self.own(*port);
                let addr = addr.map_or(own, |addr| SocketAddrV4::new(addr, *port).into());
                must("bind", self.stack.bind(socket, addr))
            }
            Call::Connect(to, wanted) => {
                let flow = self.flow(label);
                flow.peer = to.unwrap_or(flow.peer);
                self.connect(label, wanted)
            }
            Call::Accept(from, wanted) => {
                let flow = self.flow(label);
                flow.peer = from.unwrap_or(flow.peer);
                self.accept(label, wanted)
            }
            Call::Write { len, more, wanted } => {
                let write = if *more { Stack::write_more } else { Stack::write };
                self.write(label, *len, wanted, write)
            }
            Call::WriteUrgent(len, wanted) => self.write(label, *len, wanted, Stack::write_urgent),
            Call::ReadUrgent(place, wanted) => self.read_urgent(label, *place, wanted),
            Call::Read(len, wanted) => self.read(label, *len, wanted),
            Call::Shutdown(how) => {
                let socket = self.socket(label)?;
                must("shutdown", self.stack.shutdown(now, socket, *how))
            }
            Call::Close => self.close(label),
            Call::Abort => {
                let socket = self.socket(label)?;
                self.change(socket, |options| options.linger = Some(Duration::ZERO))?;
                self.close(label)
            }
            Call::NoDelay(nodelay) => {
                let socket = self.new_socket(label)?;
                self.change(socket, |options| options.nodelay = *nodelay)
            }
            Call::Set { is_listener, option, value, wanted } => {
                let listener = self.listener.filter(|_| *is_listener);
                let socket = listener.map_or_else(|| self.new_socket(label), Ok)?;
                self.set(socket, option, value, wanted)
            }
            Call::Incarnation(iss) => {
                self.flow(label).begin_again(*iss);
                Ok(())
            }
            Call::UdpBind(port) => {
                let socket = must("udp_socket", self.stack.udp_socket())?;
                self.flow(label).socket = Some(socket);
                let addr = self.own(*port);
                must("bind", self.stack.bind(socket, addr))
            }
            Call::UdpSend(len, wanted) => self.udp_send(label, *len, wanted),
            Call::UdpRecv(wanted) => self.udp_recv(label, wanted),
        }
    }

    fn close(&mut self, label: &str) -> Result<(), String> {
        let socket = self.socket(label)?;
        self.stack.close(self.now, socket);
        self.flow(label).socket = None;
        Ok(())
    }

    /// Changes the options of a socket.
    fn change(
        &mut self,
        socket: SocketId,
        set: impl FnOnce(&mut SocketOptions),
    ) -> Result<(), String> {
        let mut options = must("options", self.stack.options(socket))?;
        set(&mut options);
        must("set_options", self.stack.set_options(socket, options))
    }

    /// The connection's socket.
    fn socket(&mut self, label: &str) -> Result<SocketId, String> {
        let socket = self.flow(label).socket;
        socket.ok_or_else(|| format!("connection `{label}` has no socket"))
    }

    /// The connection's socket, made if there is none.
    fn new_socket(&mut self, label: &str) -> Result<SocketId, String> {
        if let Some(socket) = self.flow(label).socket {
            return Ok(socket);
        }
        let socket = must("tcp_socket", self.stack.tcp_socket())?;
        self.flow(label).socket = Some(socket);
        Ok(socket)
    }

    fn listen(&mut self, port: u16, backlog: u32, takes_any: bool) -> Result<(), String> {
        let socket = must("tcp_socket", self.stack.tcp_socket())?;
        self.change(socket, |options| {
            options.any_destination = takes_any;
            options.reuse_address = true; // As std does.
        })?;
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into();
        let addr = if takes_any { any } else { self.own(port) };
        must("bind", self.stack.bind(socket, addr))?;
        must("listen", self.stack.listen(socket, backlog))?;
        self.listener = Some(socket);
        self.listens_on(port);
        Ok(())
    }

    fn connect(&mut self, label: &str, wanted: &Outcome) -> Result<(), String> {
        let socket = self.new_socket(label)?;
        let (now, peer) = (self.now, self.peer(label));
        let result = self.stack.connect(now, socket, peer);
        if let Ok(SocketAddr::V4(local)) = self.stack.local_addr(socket) {
            self.flow(label).local = SocketAddrV4::new(*local.ip(), local.port());
        }
        // A connect that has begun is one that went well.
        let result = match result {
            Err(SocketError::InProgress) => Ok(None),
            other => other.map(|()| None),
        };
        compare(wanted, &outcome_of(result))
    }

    fn accept(&mut self, label: &str, wanted: &Outcome) -> Result<(), String> {
        let listener = self.listener.ok_or("there is no listener")?;
        let result = self.stack.accept(self.now, listener);
        compare(wanted, &outcome_of(result.map(|_| None)))?;
        let Ok((socket, peer)) = result else {
            return Ok(());
        };
        let wanted = self.peer(label);
        if peer != wanted {
            return Err(format!("expected the connection of {wanted}\n  got that of {peer}"));
        }
        self.flow(label).socket = Some(socket);
        Ok(())
    }

    fn write(
        &mut self,
        label: &str,
        len: usize,
        wanted: &Outcome,
        write: fn(&mut Stack, Instant, SocketId, &[u8]) -> Result<usize, SocketError>,
    ) -> Result<(), String> {
        let socket = self.socket(label)?;
        let octets = stream(Sender::Stack, self.flow(label).written, len);
        let result = write(&mut self.stack, self.now, socket, &octets);
        if let Ok(taken) = result {
            self.flow(label).written += u32::try_from(taken).map_err(|error| error.to_string())?;
        }
        compare(wanted, &outcome_of(result.map(Some)))
    }

    fn read(&mut self, label: &str, len: usize, wanted: &Outcome) -> Result<(), String> {
        let socket = self.socket(label)?;
        let mut buffer = vec![0; len];
        let result = self.stack.read(self.now, socket, &mut buffer);
        compare(wanted, &outcome_of(result.map(Some)))?;
        let taken = result.unwrap_or(0);
        let sender = self.sender_to(label);
        let flow = self.flow(label);
        if taken > 0 && flow.taken_out.first() == Some(&flow.read) {
            flow.taken_out.remove(0);
            flow.read += 1;
        }
        if buffer.get(..taken) != Some(&stream(sender, flow.read, taken)[..]) {
            return Err("the octets that were read are not the ones that the peer sent".into());
        }
        flow.read += u32::try_from(taken).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn read_urgent(&mut self, label: &str, place: u32, wanted: &Outcome) -> Result<(), String> {
        let socket = self.socket(label)?;
        let mut octet = [0];
        let result = self.stack.read_urgent(socket, &mut octet);
        compare(wanted, &outcome_of(result.map(Some)))?;
        if result != Ok(1) {
            return Ok(());
        }
        let position = place.wrapping_sub(1); // The SYN stands at 0.
        let sender = self.sender_to(label);
        let flow = self.flow(label);
        flow.taken_out.push(position);
        is_equal(&stream(sender, position, 1)[0], &octet[0])
    }

    /// Who has written what this connection reads: over the loopback it is the stack itself.
    fn sender_to(&mut self, label: &str) -> Sender {
        let own = self.addr;
        if *self.flow(label).peer.ip() == own { Sender::Stack } else { Sender::Peer }
    }

    fn set(
        &mut self,
        socket: SocketId,
        option: &str,
        value: &str,
        wanted: &Outcome,
    ) -> Result<(), String> {
        let mut options = must("options", self.stack.options(socket))?;
        script_options::change(&mut options, option, value)?;
        let result = self.stack.set_options(socket, options);
        compare(wanted, &outcome_of(result.map(|()| None)))
    }

    fn udp_send(&mut self, label: &str, len: usize, wanted: &Outcome) -> Result<(), String> {
        let (socket, peer) = (self.socket(label)?, self.peer(label));
        let octets = stream(Sender::Stack, 0, len);
        let sent = self.stack.send_to(self.now, socket, &octets, Some(peer));
        compare(wanted, &outcome_of(sent.map(Some)))
    }

    fn udp_recv(&mut self, label: &str, wanted: &Outcome) -> Result<(), String> {
        let socket = self.socket(label)?;
        let mut buffer = vec![0; 65_536];
        let result = self.stack.recv_from(socket, &mut buffer);
        compare(wanted, &outcome_of(result.map(|(len, _)| Some(len))))?;
        let len = result.map_or(0, |(len, _)| len);
        if buffer.get(..len) != Some(&stream(self.sender_to(label), 0, len)[..]) {
            return Err("the datagram is not the one that the peer sent".into());
        }
        Ok(())
    }

    pub(super) fn expect(&mut self, label: &str, what: &Expectation) -> Result<(), String> {
        match what {
            Expectation::State(wanted) => {
                let ends = self.ends(label);
                let all = self.stack.connections();
                let found = all.iter().find(|c| (c.local, c.remote) == ends);
                let state = found.map_or(TcpState::Closed, |c| c.state).to_string();
                is_equal(wanted, &state)
            }
            Expectation::Connections(wanted) => is_equal(wanted, &self.stack.connections().len()),
            Expectation::Pending(wanted) => {
                let socket = self.socket(label)?;
                let error = must("take_error", self.stack.take_error(socket))?;
                is_equal(wanted.as_str(), error.map_or("none", error_name))
            }
            Expectation::Peer(wanted) => {
                let socket = self.socket(label)?;
                is_equal(wanted, &self.stack.peer_addr(socket).is_ok())
            }
            Expectation::Soft(wanted) => {
                let socket = self.socket(label)?;
                let error = must("soft_error", self.stack.soft_error(socket))?;
                is_equal(wanted.as_str(), error.map_or("none", error_name))
            }
            Expectation::Ready { what, is_so } => {
                let socket = self.socket(label)?;
                let readiness = self.stack.readiness(socket);
                if what == "at_mark" {
                    return is_equal(is_so, &must("at_mark", self.stack.at_mark(socket))?);
                }
                let bit = match what.as_str() {
                    "readable" => Readiness::READABLE,
                    "writable" => Readiness::WRITABLE,
                    "read_closed" => Readiness::READ_CLOSED,
                    "write_closed" => Readiness::WRITE_CLOSED,
                    "error" => Readiness::ERROR,
                    "priority" => Readiness::PRIORITY,
                    _ => return Err(format!("`{what}` is no readiness")),
                };
                is_equal(is_so, &readiness.contains(bit))
            }
            Expectation::Dropped { reason, count } => {
                let mut all = DropReason::ALL.iter();
                let found = all.find(|known| known.label() == reason);
                let known = found.ok_or_else(|| format!("`{reason}` is no reason to drop"))?;
                is_equal(count, &self.counters.dropped(*known))
            }
            Expectation::Info { is_listener, what, value } => {
                let listener = self.listener.filter(|_| *is_listener);
                let socket = listener.map_or_else(|| self.socket(label), Ok)?;
                let info = must("info", self.stack.info(socket))?;
                let got = script_info::field(&info, what)?;
                is_equal(value, &got)
            }
        }
    }
}

fn is_equal<T: PartialEq + std::fmt::Display + ?Sized>(wanted: &T, got: &T) -> Result<(), String> {
    if wanted == got {
        return Ok(());
    }
    Err(format!("expected {wanted}\n  got {got}"))
}
