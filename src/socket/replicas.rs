//! A TCP socket that is bound or listens, of which each shard has one.
//!
//! A peer's SYN comes to the shard that owns the flow, so a listener must be in each. So must be
//! what is bound, since any shard may own the flow that it opens. With one shard this is one
//! socket.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;

use crate::error::SocketError;
use crate::options::SocketOptions;
use crate::runtime::{Direction, Interest, Net, Shard};
use crate::socket::blocking::wait::block_on_any;
use crate::socket::{SocketCore, in_some_shard};
use crate::stack::{SocketId, Stack};
use crate::time::Instant;

/// How many ports are tried for one that is free in each shard. The first shard chooses one that
/// is free there; in the way elsewhere is only what was bound in a single shard.
const PORTS_TRIED: usize = 16;

/// The same socket in each shard of a [`Net`].
#[derive(Debug)]
pub(crate) struct Replicas {
    first: SocketCore,
    others: Box<[SocketCore]>,
    /// Which connects, or accepts first: these in turn, so that no shard's connections wait for
    /// those of another.
    turn: AtomicUsize,
}

impl Replicas {
    /// Makes a TCP socket in each shard where `net` makes sockets.
    pub(crate) fn open(net: &Net) -> io::Result<Self> {
        let mut cores = net.each().map(|net| SocketCore::open(&net, Stack::tcp_socket));
        let first = cores.next().unwrap_or_else(|| Err(SocketError::NetworkDown.into()))?;
        let others = cores.collect::<io::Result<_>>()?;
        Ok(Self { first, others, turn: net.connecting().into() })
    }

    /// Begins to connect a socket that needs to be told nothing: in the shard that is best for it,
    /// and in another only if that one has no room, or no port that leads there.
    pub(crate) fn connect(net: &Net, remote: SocketAddr) -> io::Result<SocketCore> {
        in_some_shard(net, libc::EADDRNOTAVAIL, |net| Self::open(net)?.start_connect(remote))
    }

    /// That of the first shard, which stands for all where it makes no difference.
    pub(crate) fn first(&self) -> &SocketCore {
        &self.first
    }

    /// All of them, in the order of the shards.
    fn all(&self) -> impl Iterator<Item = &SocketCore> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Binds in each shard, or in none. Port 0 takes one that is free in each.
    pub(crate) fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        let has_choice = addr.port() == 0 && !self.others.is_empty();
        for _ in 1..if has_choice { PORTS_TRIED } else { 1 } {
            match self.bind_once(addr) {
                Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {}
                outcome => return outcome,
            }
        }
        self.bind_once(addr)
    }

    fn bind_once(&self, addr: SocketAddr) -> io::Result<()> {
        self.first.bind(addr)?;
        let addr = self.first.local_addr()?;
        for (bound, core) in self.others.iter().enumerate() {
            if let Err(error) = core.bind(addr) {
                self.all().take(1 + bound).for_each(SocketCore::unbind);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Listens in each shard, with room for `backlog` connections in each.
    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        if !self.others.is_empty() {
            let local = self.first.local_addr()?;
            if local.port() == 0 {
                self.bind(local)?; // Else each would choose a port of its own.
            }
        }
        self.all().try_for_each(|core| core.listen(backlog))
    }

    /// Begins to connect in the shard that owns the flow, and gives the others up. Without a bound
    /// port any shard can choose one whose flow it owns.
    pub(crate) fn start_connect(self, remote: SocketAddr) -> io::Result<SocketCore> {
        if self.others.is_empty() {
            return self.first.start_connect(remote).map(|()| self.first);
        }
        let turn = self.turn.into_inner();
        let mut cores = VecDeque::from(Vec::from(self.others));
        cores.push_front(self.first);
        let count = cores.len();
        cores.rotate_left(turn % count);
        let mut failure = SocketError::AddressNotAvailable.into();
        while let Some(core) = cores.pop_front() {
            match core.start_connect(remote) {
                Ok(()) => return Ok(core),
                Err(error) => match error.raw_os_error() {
                    // The flow is another shard's, or no port is left of those that lead here.
                    Some(libc::EADDRNOTAVAIL) => {}
                    Some(libc::ENOBUFS) => failure = error, // The owner's, if the port is bound.
                    _ => return Err(error),
                },
            }
        }
        Err(failure)
    }

    /// Waits, as the listener's mode allows, for a connection in any shard.
    pub(crate) fn accept(&self) -> io::Result<(SocketCore, SocketAddr)> {
        let limit = self.first.limit(Direction::Read);
        let cores: SmallVec<[_; 1]> = self.in_turn().collect();
        let (place, accepted) = block_on_any(&cores, Interest::READ, limit, accept_from)?;
        Ok(self.accepted(place, accepted))
    }

    /// The sockets in the order in which they are asked to accept, each with its place.
    pub(crate) fn in_turn(&self) -> impl Iterator<Item = (usize, &SocketCore)> {
        let turn = self.turn.load(Ordering::Relaxed);
        let from_turn = self.all().enumerate().skip(turn);
        from_turn.chain(self.all().enumerate().take(turn))
    }

    /// What the socket at `place` has accepted. The one behind it is asked first the next time.
    pub(crate) fn accepted(
        &self,
        place: usize,
        (socket, peer): (SocketId, SocketAddr),
    ) -> (SocketCore, SocketAddr) {
        self.turn.store((place + 1) % (1 + self.others.len()), Ordering::Relaxed);
        let listener = place.checked_sub(1).and_then(|place| self.others.get(place));
        let net = listener.unwrap_or(&self.first).net();
        (SocketCore::adopt(net, socket), peer)
    }

    /// Changes options of all.
    pub(crate) fn set_option(&self, change: impl Fn(&mut SocketOptions)) -> io::Result<()> {
        self.all().try_for_each(|core| core.set_option(&change))
    }

    /// One of the options.
    pub(crate) fn option<T>(&self, pick: impl FnOnce(&SocketOptions) -> T) -> io::Result<T> {
        self.first.option(pick)
    }

    /// Asks for what is the same of all.
    pub(crate) fn ask<T>(
        &self,
        ask: impl FnOnce(&mut Stack, SocketId) -> Result<T, SocketError>,
    ) -> io::Result<T> {
        self.first.ask(ask)
    }

    /// IP_TTL, as `std::net` takes it.
    pub(crate) fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.all().try_for_each(|core| core.set_ttl(ttl))
    }

    /// The address that they are bound to.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.first.local_addr()
    }

    /// SO_ERROR: of the first that has one.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        for core in self.all() {
            if let Some(error) = core.take_error()? {
                return Ok(Some(error));
            }
        }
        Ok(None)
    }
}

/// Asks one shard's listener. After the end nobody waits for it, and it says so every time: all
/// who accept have to hear of it, and an error of the socket is told once.
pub(super) fn accept_from(
    core: &SocketCore,
    shard: &mut Shard,
    now: Instant,
) -> Result<(SocketId, SocketAddr), SocketError> {
    shard.running()?.accept(now, core.id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StackConfig;
    use crate::device::Link;
    use crate::time::Duration;

    const NEAR: [u8; 4] = [10, 7, 0, 1];
    const FAR: [u8; 4] = [10, 7, 0, 2];

    /// Two stacks of two shards each.
    fn pair() -> (Net, Net) {
        pair_of(1 << 16)
    }

    /// As [`pair`]; a shard of the far one may have so many sockets.
    fn pair_of(sockets: usize) -> (Net, Net) {
        let (near, far) = Link::queues(1500, 2, 2);
        let start = |queues, addr, sockets| {
            let mut config = StackConfig::new(format!("{addr}/24").parse().unwrap());
            config.limits.sockets_max = sockets;
            Net::start_queues(queues, config).unwrap()
        };
        (start(near, "10.7.0.1", 1 << 16), start(far, "10.7.0.2", sockets))
    }

    /// Which shard of `net` a socket is in.
    fn shard_of(net: &Net, core: &SocketCore) -> usize {
        net.each().position(|view| std::ptr::eq(view.shared(), core.net().shared())).unwrap()
    }

    fn listener(net: &Net) -> (Replicas, SocketAddr) {
        let listener = Replicas::open(net).unwrap();
        listener.bind((FAR, 0).into()).unwrap();
        listener.listen(100).unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    fn wait(core: &SocketCore) {
        let limit = Some(Duration::from_secs(30));
        core.block_for(Interest::WRITE, limit, |shard, _| core.connected(&mut shard.stack))
            .unwrap();
    }

    #[cfg(feature = "tokio")]
    fn accept_polled(listener: &Replicas) -> io::Result<(SocketCore, SocketAddr)> {
        use std::future::Future as _;
        use std::task::{Context, Poll, Waker};
        let accept = std::pin::pin!(listener.accept_async());
        let Poll::Ready(result) = accept.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("one shard has connections, and another an error");
        };
        result
    }

    #[cfg(not(feature = "tokio"))]
    fn accept_polled(listener: &Replicas) -> io::Result<(SocketCore, SocketAddr)> {
        listener.accept()
    }

    fn wait_until_opened(far: &Net, count: u64) {
        while (far.counters().list().iter())
            .any(|it| it.name == "tcp_opened_total" && it.value < count)
        {
            std::thread::yield_now(); // The last acknowledgments are on their way.
        }
    }

    #[test]
    fn a_shard_that_has_no_sockets_left_keeps_nobody_from_accepting_those_of_another() {
        let (near, far) = pair_of(40);
        let (listener, addr) = listener(&far);
        let open = || SocketCore::open(&far.shard(0), Stack::tcp_socket);
        let full: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
        assert_eq!(full.len(), 39, "and the listener");
        listener.first().set_nonblocking(true);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let clients: Vec<_> =
            (0..24).map(|_| Replicas::open(&near).unwrap().start_connect(addr).unwrap()).collect();
        clients.iter().for_each(wait);
        wait_until_opened(&far, 24);
        let in_second = far.shard(1).shared().ask(|shard, _| shard.stack.connections().len());
        let mut accepted = 0;
        let error = loop {
            let result =
                if accepted % 2 == 0 { listener.accept() } else { accept_polled(&listener) };
            match result {
                Ok(_) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "of the first shard");
        assert!(accepted > 1 && accepted == in_second, "{accepted} of {in_second}");
    }

    /// Opens connections to `addr` until one more is in the second shard of `far`.
    #[cfg(feature = "axum")]
    fn one_more_in_second(near: &Net, far: &Net, addr: SocketAddr) -> Vec<SocketCore> {
        let in_second = || far.shard(1).shared().ask(|shard, _| shard.stack.connections().len());
        let before = in_second();
        let mut clients = Vec::new();
        while in_second() == before {
            clients.push(Replicas::connect(near, addr).unwrap());
            clients.last().into_iter().for_each(wait);
        }
        clients
    }

    #[cfg(feature = "axum")]
    #[test]
    fn a_server_that_has_no_sockets_left_in_one_shard_serves_those_of_another_meanwhile() {
        use std::future::Future as _;
        use std::task::{Context, Poll, Waker};

        use axum::serve::Listener;

        // Its clock stands still, since it never runs: no pause ends.
        let runtime = ::tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.unwrap();
        let _inside = runtime.enter();
        let (near, far) = pair_of(40);
        let (listener, addr) = listener(&far);
        let open = || SocketCore::open(&far.shard(0), Stack::tcp_socket);
        let _full: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
        let mut clients = Vec::new();
        // One for whom there is no room.
        let in_first = || far.shard(0).shared().ask(|shard, _| shard.stack.connections().len());
        while in_first() == 0 {
            clients.extend(one_more_in_second(&near, &far, addr));
        }
        wait_until_opened(&far, u64::try_from(clients.len()).unwrap());
        let mut listener = crate::tokio::TcpListener::new(listener.into());
        let mut cx = Context::from_waker(Waker::noop());
        let mut accept = Box::pin(Listener::accept(&mut listener));
        let mut accepted = Vec::new();
        while let Poll::Ready(it) = accept.as_mut().poll(&mut cx) {
            accepted.push(it);
            drop(accept);
            accept = Box::pin(Listener::accept(&mut listener));
        }
        assert!(!accepted.is_empty());
        clients.extend(one_more_in_second(&near, &far, addr));
        let start = near.shared().now();
        while accept.as_mut().poll(&mut cx).is_pending() {
            assert!(near.shared().now() - start < Duration::from_secs(10), "nobody accepts");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_shard_that_has_no_room_leaves_a_new_socket_to_another() {
        let (near, _far) = Link::queues(1500, 2, 2);
        let mut config = StackConfig::new("10.7.0.1/24".parse().unwrap());
        config.limits.sockets_max = 30;
        let net = Net::start_queues(near, config).unwrap();
        let open = || SocketCore::open(&net.shard(0), Stack::tcp_socket);
        let _full: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
        let mut streams = Vec::new();
        let mut sockets = Vec::new();
        for _ in 0..15 {
            streams.push(Replicas::connect(&net, (FAR, 80).into()).unwrap());
            sockets.push(crate::net::UdpSocket::bind(&net, "10.7.0.1:0").unwrap());
        }
        assert!(streams.iter().all(|core| shard_of(&net, core) == 1));
        let full = Some(libc::ENOBUFS);
        let error = Replicas::connect(&net, (FAR, 80).into()).unwrap_err();
        assert_eq!(error.raw_os_error(), full);
        let error = crate::net::UdpSocket::bind(&net, "10.7.0.1:0").unwrap_err();
        assert_eq!(error.raw_os_error(), full);
    }

    /// The limit that is reached here is one of connections.
    #[test]
    fn a_socket_that_may_connect_in_any_shard_does_so_where_there_is_room() {
        let (near, _far) = Link::queues(1500, 2, 2);
        let mut config = StackConfig::new("10.7.0.1/24".parse().unwrap());
        config.limits.connections_max = 4;
        let net = Net::start_queues(near, config).unwrap();
        let connect = |net: &Net| Replicas::open(net).unwrap().start_connect((FAR, 80).into());
        let first: Vec<_> = (0..4).map(|_| connect(&net.shard(0)).unwrap()).collect();
        let second: Vec<_> = (0..4).map(|_| connect(&net).unwrap()).collect();
        assert_eq!(connect(&net).unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
        drop((first, second));
    }

    #[test]
    fn shards_accept_in_turn_while_connections_wait_in_each() {
        let (near, far) = pair();
        let (listener, addr) = listener(&far);
        let clients: Vec<_> =
            (0..24).map(|_| Replicas::open(&near).unwrap().start_connect(addr).unwrap()).collect();
        clients.iter().for_each(wait);
        wait_until_opened(&far, 24);
        let accepted: Vec<_> = clients.iter().map(|_| listener.accept().unwrap().0).collect();
        let shards: Vec<_> = accepted.iter().map(|core| shard_of(&far, core)).collect();
        let ones = shards.iter().sum::<usize>();
        let both = 2 * ones.min(shards.len() - ones);
        assert!(both > 2, "chance put all into one shard: {shards:?}");
        assert!(shards[..both].windows(2).all(|pair| pair[0] != pair[1]), "{shards:?}");
    }

    #[test]
    fn a_connection_without_a_port_of_its_own_is_opened_in_each_shard_in_turn() {
        let (near, far) = pair();
        let (_listener, addr) = listener(&far);
        let connect = || Replicas::open(&near).unwrap().start_connect(addr).unwrap();
        let shards: Vec<_> = (0..4).map(|_| shard_of(&near, &connect())).collect();
        assert_eq!(shards, [0, 1, 0, 1]);
    }

    #[test]
    fn a_connection_is_opened_in_another_shard_when_no_port_leads_to_the_best_one() {
        let (queues, _far) = Link::queues(1500, 2, 1);
        let mut config = StackConfig::new("10.7.0.1/24".parse().unwrap());
        config.tcp.ephemeral_ports = (50_000, 50_099);
        let net = Net::start_queues(queues, config).unwrap();
        let remote = (FAR, 80).into();
        let mut cores = Vec::new();
        let error = loop {
            match Replicas::connect(&net.shard(0), remote) {
                Ok(core) => cores.push(core),
                Err(error) => break error,
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
        assert!((20..80).contains(&cores.len()), "{} lead to the first", cores.len());
        while cores.len() < 100 {
            let core = Replicas::connect(&net, remote).unwrap();
            assert_eq!(shard_of(&net, &core), 1);
            cores.push(core);
        }
        assert!(Replicas::connect(&net, remote).is_err());
    }

    #[test]
    fn a_bound_socket_connects_in_the_shard_that_owns_the_flow_and_frees_its_port_elsewhere() {
        let (near, far) = pair();
        let (_listener, addr) = listener(&far);
        let mut shards = [0; 2];
        for port in 1000..1020 {
            let bound = Replicas::open(&near).unwrap();
            bound.bind((NEAR, port).into()).unwrap();
            let core = bound.start_connect(addr).unwrap();
            wait(&core);
            assert_eq!(core.local_addr().unwrap(), (NEAR, port).into());
            let shard = shard_of(&near, &core);
            shards[shard] += 1;
            let other = Replicas::open(&near.shard(1 - shard)).unwrap();
            other.bind((NEAR, port).into()).unwrap();
        }
        assert!(shards.iter().all(|&count| count > 0), "{shards:?}");
    }

    #[test]
    fn a_port_is_had_in_all_shards_or_in_none() {
        let (near, _far) = pair();
        let taken = Replicas::open(&near.shard(1)).unwrap();
        taken.bind((NEAR, 80).into()).unwrap();
        let all = Replicas::open(&near).unwrap();
        assert_eq!(all.bind((NEAR, 80).into()).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        let first = Replicas::open(&near.shard(0)).unwrap();
        first.bind((NEAR, 80).into()).unwrap();
        // What has failed can be tried elsewhere, and a free port is one that all have.
        all.set_option(|options| options.local_port_range = Some((40_000, 40_001))).unwrap();
        let stuck = Replicas::open(&near.shard(1)).unwrap();
        stuck.bind((NEAR, 40_000).into()).unwrap();
        all.bind((NEAR, 0).into()).unwrap();
        assert!(all.all().all(|core| core.local_addr().unwrap() == (NEAR, 40_001).into()));
    }
}
