//! The calls about urgent data (RFC 9293 §3.8.5). RFC 6093 §5 asks new applications not to use any
//! (SHLD-13); they are here for protocols that do, such as Telnet, and for programs made for Linux.

use super::socket::Kind;
use super::{Instant, SocketId, Stack};
use crate::error::SocketError;
use crate::tcp::{Connection, OutOfLine};

impl Stack {
    /// send(2) with MSG_OOB: as [`write`](Self::write), and the last octet taken is urgent: until
    /// it is acknowledged, every segment before it says where it is. It stays in the order of the
    /// stream, and needs room in it.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_urgent(
        &mut self,
        _now: Instant,
        id: SocketId,
        octets: &[u8],
    ) -> Result<usize, SocketError> {
        self.write_with(id, octets, Connection::write_urgent)
    }

    /// recv(2) with MSG_OOB: the last urgent octet, out of the order of the stream. It never
    /// waits. `Ok(0)`: none will come any more, or `buffer` is empty, and then the octet is gone.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: none is announced, it has been taken, or it is to be read in line
    /// ([`SocketOptions::oob_inline`](crate::SocketOptions::oob_inline)); `WouldBlock`: it is
    /// announced and has not arrived; `NotConnected`: and never will.
    pub fn read_urgent(&mut self, id: SocketId, buffer: &mut [u8]) -> Result<usize, SocketError> {
        self.take_urgent(id, buffer, false)
    }

    /// recv(2) with MSG_OOB and MSG_PEEK: as [`read_urgent`](Self::read_urgent), and the octet
    /// stays.
    ///
    /// # Errors
    ///
    /// As [`read_urgent`](Self::read_urgent).
    pub fn peek_urgent(&mut self, id: SocketId, buffer: &mut [u8]) -> Result<usize, SocketError> {
        self.take_urgent(id, buffer, true)
    }

    fn take_urgent(
        &mut self,
        id: SocketId,
        buffer: &mut [u8],
        is_peek: bool,
    ) -> Result<usize, SocketError> {
        let socket = self.sockets.get_mut(id).ok_or(SocketError::BadHandle)?;
        let (found, on_awaited) = match &mut socket.kind {
            Kind::Connected(flow) => {
                let entry = self.flows.get_mut(*flow).ok_or(SocketError::BadHandle)?;
                let open = entry.connection_mut().ok_or(SocketError::BadHandle)?;
                let is_end = open.is_finished() || socket.is_read_shut;
                let on_awaited = if is_end { Ok(0) } else { Err(SocketError::WouldBlock) };
                (open.take_urgent(is_peek), on_awaited)
            }
            Kind::Ended(ended) => {
                let end = if ended.is_finished { Ok(0) } else { Err(SocketError::NotConnected) };
                (ended.unread.take_urgent(is_peek), end)
            }
            Kind::Listening(_) => return Err(SocketError::NotConnected),
            Kind::Fresh | Kind::Connecting(_) => return Err(SocketError::InvalidArgument),
            Kind::Udp(_) | Kind::Echo(_) => return Err(SocketError::NotSupported),
        };
        match (found, buffer.first_mut()) {
            (OutOfLine::Nothing, _) => Err(SocketError::InvalidArgument),
            (OutOfLine::Awaited, _) => on_awaited,
            (OutOfLine::Octet(_), None) => Ok(0),
            (OutOfLine::Octet(octet), Some(first)) => {
                *first = octet;
                Ok(1)
            }
        }
    }

    /// SIOCATMARK: whether the next octet to read is the urgent one; if it is out of line, the one
    /// behind it (MUST-33).
    ///
    /// # Errors
    ///
    /// `InvalidArgument`: the socket listens; `NotSupported`: it is no TCP socket.
    pub fn at_mark(&self, id: SocketId) -> Result<bool, SocketError> {
        Ok(self.urgent_ahead(id)? == Some(0))
    }

    /// Octets to read before the urgent one; `None` if no urgent data is announced that has not
    /// been read (MUST-33). It may be more than has arrived.
    ///
    /// # Errors
    ///
    /// As [`at_mark`](Self::at_mark).
    pub fn urgent_ahead(&self, id: SocketId) -> Result<Option<u32>, SocketError> {
        match &self.socket(id)?.kind {
            Kind::Connected(flow) => {
                let open = self.flows.get(*flow).and_then(|entry| entry.connection());
                Ok(open.and_then(Connection::urgent_ahead))
            }
            Kind::Ended(ended) => Ok(ended.unread.urgent_ahead()),
            Kind::Fresh | Kind::Connecting(_) => Ok(None),
            Kind::Listening(_) => Err(SocketError::InvalidArgument),
            Kind::Udp(_) | Kind::Echo(_) => Err(SocketError::NotSupported),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SocketError::{BrokenPipe, InvalidArgument, NotConnected, NotSupported};
    use super::*;
    use crate::config::StackConfig;
    use crate::rng::Seed;
    use crate::stack::Readiness;

    const NOW: Instant = Instant::ZERO;

    /// A socket that is connected to itself.
    fn connected() -> (Stack, SocketId) {
        let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
        let mut stack = Stack::new(config, Seed::from_number(1)).unwrap();
        let socket = stack.tcp_socket().unwrap();
        let own = "10.7.0.2:5000".parse().unwrap();
        stack.bind(socket, own).unwrap();
        assert_eq!(stack.connect(NOW, socket, own), Err(SocketError::InProgress));
        assert!(stack.transmit(NOW, &mut ()).is_none());
        (stack, socket)
    }

    /// Lets packets arrive; says whether the socket was named.
    fn is_named(stack: &mut Stack, socket: SocketId) -> bool {
        assert!(stack.transmit(NOW, &mut ()).is_none());
        std::iter::from_fn(|| stack.poll_event()).any(|named| named == socket)
    }

    #[test]
    fn must_32_a_socket_is_named_when_urgent_data_is_announced_and_must_33_told_how_much_it_is() {
        let (mut stack, socket) = connected();
        is_named(&mut stack, socket);
        assert_eq!(stack.urgent_ahead(socket), Ok(None));
        for (octets, ahead) in [(&b"abc"[..], 2), (b"d", 3)] {
            assert_eq!(stack.write_urgent(NOW, socket, octets), Ok(octets.len()));
            assert!(is_named(&mut stack, socket));
            assert!(stack.readiness(socket).contains(Readiness::PRIORITY));
            assert_eq!(stack.urgent_ahead(socket), Ok(Some(ahead)));
        }
        let mut buffer = [0; 9];
        assert_eq!(stack.read(NOW, socket, &mut buffer), Ok(3));
        assert_eq!(stack.at_mark(socket), Ok(true));
        assert_eq!(stack.peek(socket, &mut buffer), Ok(1));
        assert_eq!((stack.read(NOW, socket, &mut buffer), buffer[0]), (Ok(1), b'd'));
        assert_eq!(stack.at_mark(socket), Ok(false));
        assert!(!stack.readiness(socket).contains(Readiness::PRIORITY));
    }

    /// What Linux's recv(2) with MSG_OOB gives, call by call.
    #[test]
    fn an_octet_out_of_line_is_taken_once_and_skipped_by_reads_and_peeks() {
        let (mut stack, socket) = connected();
        let mut options = stack.options(socket).unwrap();
        options.oob_inline = false;
        stack.set_options(socket, options).unwrap();
        let mut buffer = [0; 9];
        assert_eq!(stack.read_urgent(socket, &mut buffer), Err(InvalidArgument));
        stack.write_urgent(NOW, socket, b"!").unwrap();
        stack.write(NOW, socket, b"ab").unwrap();
        is_named(&mut stack, socket);
        assert_eq!(stack.peek_urgent(socket, &mut buffer), Ok(1));
        assert_eq!((stack.read_urgent(socket, &mut buffer), buffer[0]), (Ok(1), b'!'));
        assert_eq!(stack.read_urgent(socket, &mut buffer), Err(InvalidArgument));
        assert_eq!(stack.readable(socket), Ok(2));
        assert_eq!(stack.peek(socket, &mut buffer), Ok(2));
        assert_eq!(&buffer[..2], b"ab");
        assert_eq!(stack.at_mark(socket), Ok(true), "peeking moves nothing");
        assert_eq!(stack.read(NOW, socket, &mut buffer), Ok(2));
        assert_eq!(stack.at_mark(socket), Ok(false));
        stack.write_urgent(NOW, socket, b"!").unwrap();
        is_named(&mut stack, socket);
        assert_eq!(stack.read_urgent(socket, &mut []), Ok(0), "the octet is gone with it");
        assert_eq!(stack.read_urgent(socket, &mut buffer), Err(InvalidArgument));
    }

    #[test]
    fn what_is_left_of_a_connection_keeps_its_mark() {
        let (mut stack, socket) = connected();
        let mut options = stack.options(socket).unwrap();
        options.oob_inline = false;
        stack.set_options(socket, options).unwrap();
        stack.write(NOW, socket, b"ab").unwrap();
        stack.write_urgent(NOW, socket, b"!").unwrap();
        stack.write(NOW, socket, b"cd").unwrap();
        stack.shutdown(NOW, socket, crate::Shutdown::Write).unwrap();
        is_named(&mut stack, socket);
        assert!(stack.peer_addr(socket).is_err(), "it is over");
        let mut buffer = [0; 9];
        assert_eq!(stack.read(NOW, socket, &mut buffer), Ok(2));
        assert_eq!(stack.at_mark(socket), Ok(true));
        assert!(stack.readiness(socket).contains(Readiness::PRIORITY));
        assert_eq!((stack.read_urgent(socket, &mut buffer), buffer[0]), (Ok(1), b'!'));
        assert_eq!((stack.read(NOW, socket, &mut buffer), &buffer[..2]), (Ok(2), &b"cd"[..]));
        assert_eq!(stack.read(NOW, socket, &mut buffer), Ok(0));
        stack.check();
    }

    #[test]
    fn sockets_without_a_connection_have_no_urgent_data() {
        let (mut stack, _) = connected();
        let [fresh, listening] = [(); 2].map(|()| stack.tcp_socket().unwrap());
        stack.listen(listening, 1).unwrap();
        let udp = stack.udp_socket().unwrap();
        for (socket, read, write, mark) in [
            (fresh, InvalidArgument, BrokenPipe, Ok(false)),
            (listening, NotConnected, BrokenPipe, Err(InvalidArgument)),
            (udp, NotSupported, NotSupported, Err(NotSupported)),
        ] {
            assert_eq!(stack.read_urgent(socket, &mut [0]), Err(read));
            assert_eq!(stack.write_urgent(NOW, socket, b"!"), Err(write));
            assert_eq!(stack.at_mark(socket), mark);
        }
    }
}
