//! Our stack, in this process, at the times that Linux had.

use rustix::event::PollFlags;
use wharf::{
    Duration, Frame, Instant, Readiness, Seed, Shutdown, SocketError, SocketId, Stack, StackConfig,
    TcpState,
};

use crate::backend::{Backend, Flow, Outcome, PREFIX, STACK_ADDR};
use crate::play::written;
use crate::script::{Call, Features, How};

/// The first instant of a script.
const START: Instant = Instant::from_millis(1_000);

/// Our stack, with the sockets of one script.
pub(crate) struct Ours {
    stack: Stack,
    flow: Flow,
    now: Instant,
    listener: Option<SocketId>,
    connection: Option<SocketId>,
    written: usize,
}

impl Ours {
    /// A new stack for a script.
    pub(crate) fn new(features: Features, flow: Flow) -> Self {
        let network = format!("{STACK_ADDR}/{PREFIX}").parse().expect("a literal network");
        let mut config = StackConfig::new(network);
        config.tcp.window_scale = features.window_scale;
        config.tcp.sack = features.sack;
        config.tcp.timestamps = features.timestamps;
        // As Linux's with `quickack 1` on its route.
        config.tcp.ack_delay = Duration::from_nanos(1);
        let stack = Stack::new(config, Seed::from_number(1)).expect("a valid configuration");
        Self { stack, flow, now: START, listener: None, connection: None, written: 0 }
    }

    fn fresh(&mut self) -> Result<SocketId, SocketError> {
        let socket = self.stack.tcp_socket()?;
        let mut options = self.stack.options(socket)?;
        options.reuse_address = true;
        options.oob_inline = false;
        self.stack.set_options(socket, options)?;
        self.stack.bind(socket, self.flow.local.into())?;
        Ok(socket)
    }

    fn open(&mut self, call: &Call) -> Result<Outcome, SocketError> {
        let is_idle = match call {
            Call::Listen => self.listener.is_some(),
            Call::Accept => self.listener.is_none() || self.connection.is_some(),
            _ => self.connection.is_some(),
        };
        if is_idle {
            return Ok(Outcome::Idle);
        }
        match (call, self.listener) {
            (Call::Listen, _) => {
                let socket = self.fresh()?;
                self.stack.listen(socket, 8)?;
                self.listener = Some(socket);
            }
            (Call::Accept, Some(listener)) => {
                self.connection = Some(self.stack.accept(self.now, listener)?.0);
            }
            _ => {
                let socket = self.fresh()?;
                self.connection = Some(socket);
                self.stack.connect(self.now, socket, self.flow.remote.into())?;
            }
        }
        Ok(Outcome::Done(0))
    }

    fn on_connection(&mut self, call: &Call) -> Result<Outcome, SocketError> {
        let Some(id) = self.connection else { return Ok(Outcome::Idle) };
        let now = self.now;
        match call {
            Call::Read(len) | Call::Peek(len) => {
                let mut octets = vec![0; *len];
                let len = match call {
                    Call::Peek(_) => self.stack.peek(id, &mut octets)?,
                    _ => self.stack.read(now, id, &mut octets)?,
                };
                octets.truncate(len);
                return Ok(Outcome::Octets(octets));
            }
            Call::Write(len) => {
                let len = self.stack.write(now, id, &written(self.written, *len))?;
                self.written += len;
                return Ok(Outcome::Done(len));
            }
            Call::WriteUrgent(len) => {
                let len = self.stack.write_urgent(now, id, &written(self.written, *len))?;
                self.written += len;
                return Ok(Outcome::Done(len));
            }
            Call::ReadUrgent { is_peek } => {
                let mut octet = [0; 1];
                let len = match is_peek {
                    true => self.stack.peek_urgent(id, &mut octet)?,
                    false => self.stack.read_urgent(id, &mut octet)?,
                };
                return Ok(Outcome::Octets(octet[..len].to_vec()));
            }
            Call::Inline(on) => {
                let mut options = self.stack.options(id)?;
                options.oob_inline = *on;
                self.stack.set_options(id, options)?;
            }
            Call::Shutdown(how) => {
                let how = match how {
                    How::Read => Shutdown::Read,
                    How::Write => Shutdown::Write,
                    How::Both => Shutdown::Both,
                };
                self.stack.shutdown(now, id, how)?;
            }
            Call::Nodelay(on) => {
                let mut options = self.stack.options(id)?;
                options.nodelay = *on;
                self.stack.set_options(id, options)?;
            }
            Call::Linger(on) => {
                let mut options = self.stack.options(id)?;
                options.linger = on.then_some(Duration::ZERO);
                self.stack.set_options(id, options)?;
            }
            Call::TakeError => {
                if let Some(error) = self.stack.take_error(id)? {
                    return Err(error);
                }
            }
            Call::Close => {
                self.stack.close(now, id);
                self.connection = None;
            }
            Call::CloseListener | Call::Listen | Call::Accept | Call::Connect => {}
        }
        Ok(Outcome::Done(0))
    }

    fn transmit(&mut self, packets: &mut Vec<Vec<u8>>) {
        while let Some(packet) = self.stack.transmit(self.now, &mut ()) {
            let mut octets = Vec::new();
            packet.copy_to(&mut octets);
            packets.push(octets);
        }
    }
}

impl Backend for Ours {
    fn begin(&mut self, flow: Flow) {
        self.flow = flow;
    }

    fn advance(&mut self, at: Duration) {
        self.now = self.now.max(START + at);
    }

    fn elapsed(&self) -> Duration {
        self.now - START
    }

    fn call(&mut self, call: &Call) -> Outcome {
        let outcome = match call {
            Call::Listen | Call::Accept | Call::Connect => self.open(call),
            Call::CloseListener => Ok(match self.listener.take() {
                Some(listener) => {
                    self.stack.close(self.now, listener);
                    Outcome::Done(0)
                }
                None => Outcome::Idle,
            }),
            _ => self.on_connection(call),
        };
        outcome.unwrap_or_else(|error| Outcome::Errno(error.errno()))
    }

    fn inject(&mut self, octets: &[u8]) {
        self.stack.receive(self.now, Frame::new(octets.to_vec()), &mut ());
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        self.transmit(&mut packets);
        // What is due within a microsecond is not delayed.
        let soon = self.now + Duration::from_micros(1);
        while let Some(due) = self.stack.next_timeout().filter(|&due| due <= soon) {
            self.now = self.now.max(due);
            self.stack.on_timeout(self.now, &mut ());
            self.transmit(&mut packets);
        }
        packets
    }

    fn poll(&mut self) -> u16 {
        let Some(id) = self.connection.or(self.listener) else { return 0 };
        let ready = self.stack.readiness(id);
        let both = Readiness::READ_CLOSED.with(Readiness::WRITE_CLOSED);
        let bits = [
            (Readiness::READABLE, PollFlags::IN),
            (Readiness::WRITABLE, PollFlags::OUT),
            (Readiness::PRIORITY, PollFlags::PRI),
            (Readiness::READ_CLOSED, PollFlags::RDHUP),
            (both, PollFlags::HUP),
            (Readiness::ERROR, PollFlags::ERR),
        ];
        bits.iter().filter(|(ours, _)| ready.contains(*ours)).map(|(_, bit)| bit.bits()).sum()
    }

    fn state(&mut self) -> TcpState {
        let wanted = (self.flow.local.into(), self.flow.remote.into());
        let connections = self.stack.connections();
        connections
            .iter()
            .find(|one| (one.local, one.remote) == wanted)
            .map_or(TcpState::Closed, |one| one.state)
    }
}
