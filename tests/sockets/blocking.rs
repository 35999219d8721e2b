//! `wharf::net` for TCP: what `std::net` promises.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use wharf::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{
    FAR, LIMIT, NEAR, NOBODY, at, errno, eventually, limited, pattern, read_exactly,
};

/// Long enough for a thread to have come to where it blocks; if it has not, the test is weaker,
/// and passes all the same.
const MOMENT: Duration = Duration::from_millis(50);

#[test]
fn octets_arrive_whole_and_in_order_both_ways_at_once() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let sent = pattern(3_000_000);
        thread::scope(|scope| {
            for (writer, reader) in [(&near, &far), (&far, &near)] {
                let sent = &sent;
                scope.spawn(move || {
                    (&*writer).write_all(sent).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                scope.spawn(move || {
                    let mut got = Vec::new();
                    (&*reader).read_to_end(&mut got).unwrap();
                    assert!(got == *sent, "{} octets of {}", got.len(), sent.len());
                });
            }
        });
    });
}

#[test]
fn one_write_of_many_packets_leaves_without_another_call() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let sent = pattern(200_000);
        assert_eq!((&near).write(&sent).unwrap(), sent.len());
        assert!(read_exactly(&far, sent.len()) == sent);
    });
}

#[test]
fn empty_reads_and_writes_return_zero_and_do_not_block() {
    limited(|| {
        let pair = super::pair();
        let (mut near, _far) = pair.connect();
        assert_eq!(near.read(&mut []).unwrap(), 0);
        assert_eq!(near.write(&[]).unwrap(), 0);
        assert_eq!(near.write_vectored(&[]).unwrap(), 0);
        assert_eq!(near.read_vectored(&mut []).unwrap(), 0);
        near.flush().unwrap();
    });
}

#[test]
fn several_buffers_are_written_and_read_as_one() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        let slices = [b"one ".as_slice(), b"", b"two ", b"three"].map(IoSlice::new);
        assert_eq!(near.write_vectored(&slices).unwrap(), 13);
        eventually("all has arrived", || far.peek(&mut [0; 20]).unwrap() == 13);
        let (mut first, mut second) = ([0; 5], [0; 20]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!((&far).read_vectored(&mut buffers).unwrap(), 13);
        assert_eq!((&first, &second[..8]), (b"one t", b"wo three".as_slice()));
    });
}

#[test]
fn a_read_returns_what_is_there_and_a_peek_leaves_it() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        near.write_all(b"hello").unwrap();
        let mut buffer = [0; 16];
        eventually("all has arrived", || far.peek(&mut buffer).unwrap() == 5);
        assert_eq!(far.peek(&mut buffer[..2]).unwrap(), 2);
        assert_eq!(far.read(&mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        far.set_nonblocking(true).unwrap();
        assert_eq!(errno(far.peek(&mut buffer)), Some(libc::EAGAIN));
    });
}

#[test]
fn a_blocked_peek_is_woken_by_data() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        thread::scope(|scope| {
            let peek = scope.spawn(|| far.peek(&mut [0; 4]).unwrap());
            thread::sleep(MOMENT);
            near.write_all(b"x").unwrap();
            assert_eq!(peek.join().unwrap(), 1);
        });
    });
}

#[test]
fn nobody_listening_refuses() {
    limited(|| {
        let pair = super::pair();
        let error = TcpStream::connect(&pair.near, at(FAR, 9)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    });
}

#[test]
fn connecting_to_nobody_times_out_no_earlier_than_asked() {
    limited(|| {
        let pair = super::pair();
        for wait in [1, 100].map(Duration::from_millis) {
            let start = Instant::now();
            let addr = at(NOBODY, 80);
            let error = TcpStream::connect_timeout(&pair.near, &addr, wait).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(start.elapsed() >= wait);
        }
        let error =
            TcpStream::connect_timeout(&pair.near, &at(FAR, 80), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        eventually("the attempts are forgotten", || pair.near.connections().is_empty());
    });
}

#[test]
fn connecting_within_a_timeout_succeeds() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, "10.7.0.2:80").unwrap();
        let addr = listener.local_addr().unwrap();
        let stream = TcpStream::connect_timeout(&pair.near, &addr, LIMIT).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addr);
    });
}

#[test]
fn addresses_are_tried_in_turn() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let good = listener.local_addr().unwrap();
        let addrs = ["[::1]:80".parse().unwrap(), at(FAR, 9), good];
        let stream = TcpStream::connect(&pair.near, &addrs[..]).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);

        let none: &[SocketAddr] = &[];
        let error = TcpStream::connect(&pair.near, none).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = TcpStream::connect(&pair.near, "[::1]:80").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));
    });
}

#[test]
fn a_connection_has_the_addresses_of_both_ends() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, "0.0.0.0:80").unwrap();
        assert_eq!(listener.local_addr().unwrap(), at(Ipv4Addr::UNSPECIFIED, 80));
        let near = TcpStream::connect(&pair.near, "10.7.0.2:80").unwrap();
        let (far, peer) = listener.accept().unwrap();
        let local = near.local_addr().unwrap();
        assert_eq!(local.ip(), NEAR);
        assert_eq!(near.peer_addr().unwrap(), at(FAR, 80));
        assert_eq!(far.local_addr().unwrap(), at(FAR, 80));
        assert_eq!((far.peer_addr().unwrap(), peer), (local, local));
    });
}

#[test]
fn an_address_is_bound_once_and_must_be_ours() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        assert_ne!(addr.port(), 0);
        let error = TcpListener::bind(&pair.far, addr).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let error = TcpListener::bind(&pair.far, (NOBODY, 80)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        drop(listener);
        TcpListener::bind(&pair.far, addr).unwrap();
    });
}

#[test]
fn threads_that_accept_on_clones_get_one_connection_each() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, receiver) = mpsc::channel();
        for _ in 0..8 {
            let (listener, sender) = (listener.try_clone().unwrap(), sender.clone());
            thread::spawn(move || sender.send(listener.accept().unwrap()));
        }
        thread::sleep(MOMENT);
        let near: Vec<_> = (0..8).map(|_| TcpStream::connect(&pair.near, addr).unwrap()).collect();
        let mut peers: Vec<_> = (0..8).map(|_| receiver.recv_timeout(LIMIT).unwrap().1).collect();
        let mut locals: Vec<_> = near.iter().map(|it| it.local_addr().unwrap()).collect();
        peers.sort_unstable();
        locals.sort_unstable();
        assert_eq!(peers, locals);
    });
}

#[test]
fn a_thread_reads_while_another_writes_on_a_clone() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let reader = near.try_clone().unwrap();
        let reading = thread::spawn(move || read_exactly(&reader, 5));
        thread::sleep(MOMENT);
        (&near).write_all(b"ping!").unwrap();
        assert_eq!(read_exactly(&far, 5), b"ping!");
        (&far).write_all(b"pong!").unwrap();
        assert_eq!(reading.join().unwrap(), b"pong!");
    });
}

#[test]
fn incoming_yields_one_connection_after_the_other() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let near: Vec<_> = (0..3).map(|_| TcpStream::connect(&pair.near, addr).unwrap()).collect();
        let mut near: Vec<_> = near.iter().map(|near| near.local_addr().unwrap()).collect();
        let far: Vec<_> = listener.incoming().take(3).map(Result::unwrap).collect();
        let mut far: Vec<_> = far.iter().map(|far| far.peer_addr().unwrap()).collect();
        if super::SHARDS > 1 {
            // They come in order from each shard.
            near.sort_unstable();
            far.sort_unstable();
        }
        assert_eq!(far, near);
    });
}

#[test]
fn a_nonblocking_socket_never_waits() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_eq!(errno(listener.accept()), Some(libc::EAGAIN));

        let (mut near, mut far) = pair.connect();
        near.set_nonblocking(true).unwrap();
        assert_eq!(errno(near.read(&mut [0])), Some(libc::EAGAIN));
        let mut sent = 0;
        let error = loop {
            match near.write(&[7; 10_000]) {
                Ok(len) => sent += len,
                Err(error) if sent < 500_000 && error.kind() == ErrorKind::WouldBlock => {
                    thread::yield_now(); // The far end's buffer fills up, too.
                }
                Err(error) => break error,
            }
            assert!(sent < 10_000_000, "the buffers have no end");
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        near.set_nonblocking(false).unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), sent);
    });
}

#[test]
fn a_blocked_write_goes_on_when_the_peer_reads() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let sent = pattern(2_000_000);
        thread::scope(|scope| {
            scope.spawn(|| (&near).write_all(&sent).unwrap());
            thread::sleep(MOMENT);
            assert!(read_exactly(&far, sent.len()) == sent);
        });
    });
}

#[test]
fn a_timeout_ends_a_read_and_a_write_as_would_block() {
    limited(|| {
        let pair = super::pair();
        let (mut near, _far) = pair.connect();
        let wait = Duration::from_millis(20);
        near.set_read_timeout(Some(wait)).unwrap();
        near.set_write_timeout(Some(wait)).unwrap();
        assert_eq!(near.read_timeout().unwrap(), Some(wait));
        assert_eq!(near.write_timeout().unwrap(), Some(wait));

        let start = Instant::now();
        assert_eq!(errno(near.read(&mut [0])), Some(libc::EAGAIN));
        assert!(start.elapsed() >= wait);
        let start = Instant::now();
        let error = loop {
            if let Err(error) = near.write(&[0; 10_000]) {
                break error;
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        assert!(start.elapsed() >= wait);

        for result in [
            near.set_read_timeout(Some(Duration::ZERO)),
            near.set_write_timeout(Some(Duration::ZERO)),
        ] {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        near.set_read_timeout(None).unwrap();
        assert_eq!(near.read_timeout().unwrap(), None);
    });
}

#[test]
fn options_are_kept_and_shared_by_clones() {
    limited(|| {
        let pair = super::pair();
        let (near, _far) = pair.connect();
        assert!(!near.nodelay().unwrap());
        assert_eq!(near.ttl().unwrap(), 64);
        assert_eq!(near.linger().unwrap(), None);
        let clone = near.try_clone().unwrap();
        near.set_nodelay(true).unwrap();
        near.set_ttl(9).unwrap();
        near.set_linger(Some(Duration::from_secs(1))).unwrap();
        assert!(clone.nodelay().unwrap());
        assert_eq!(clone.ttl().unwrap(), 9);
        assert_eq!(clone.linger().unwrap(), Some(Duration::from_secs(1)));
        assert!(clone.take_error().unwrap().is_none());
        for ttl in [0, 256, u32::MAX] {
            let error = near.set_ttl(ttl).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{ttl}");
        }
        assert_eq!(near.ttl().unwrap(), 9);
    });
}

#[test]
fn a_thousand_connections_are_open_at_once() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let mut streams = Vec::new();
        for n in 0..1000u32 {
            let near = TcpStream::connect(&pair.near, addr).unwrap();
            (&near).write_all(&n.to_be_bytes()).unwrap();
            streams.push((near, listener.accept().unwrap().0));
        }
        for (n, (near, far)) in (0u32..).zip(&streams) {
            assert_eq!(read_exactly(far, 4), n.to_be_bytes());
            (&*far).write_all(&(!n).to_be_bytes()).unwrap();
            assert_eq!(read_exactly(near, 4), (!n).to_be_bytes());
        }
        assert_eq!(pair.near.connections().len(), 1000);
    });
}

#[test]
fn a_hundred_clients_connect_at_once() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let stream = TcpStream::connect(&pair.near, addr).unwrap();
                    (&stream).write_all(b"question").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    let mut answer = Vec::new();
                    (&stream).read_to_end(&mut answer).unwrap();
                    assert_eq!(answer, b"question");
                });
            }
            for stream in listener.incoming().take(100) {
                let stream = stream.unwrap();
                scope.spawn(move || std::io::copy(&mut &stream, &mut &stream).unwrap());
            }
        });
    });
}

#[test]
fn a_socket_is_set_up_before_it_connects_or_listens() {
    limited(|| {
        let pair = super::pair();
        let socket = TcpSocket::new_v4(&pair.far).unwrap();
        assert!(!socket.nodelay().unwrap());
        socket.set_nodelay(true).unwrap();
        socket.bind(at(FAR, 80)).unwrap();
        assert_eq!(socket.local_addr().unwrap(), at(FAR, 80));
        let listener = socket.listen(16).unwrap();

        for (port, is_limited) in [(5000, false), (5001, true)] {
            let socket = TcpSocket::new_v4(&pair.near).unwrap();
            socket.set_nodelay(is_limited).unwrap();
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.bind(at(NEAR, port)).unwrap();
            let near = if is_limited {
                socket.connect_timeout(at(FAR, 80), LIMIT).unwrap()
            } else {
                socket.connect(at(FAR, 80)).unwrap()
            };
            let (far, peer) = listener.accept().unwrap();
            assert_eq!(peer, at(NEAR, port));
            assert_eq!(far.peer_addr().unwrap(), at(NEAR, port));
            assert_eq!(near.local_addr().unwrap(), at(NEAR, port));
            assert_eq!(near.nodelay().unwrap(), is_limited);
            assert_eq!(near.linger().unwrap(), Some(Duration::ZERO));
            assert!(far.nodelay().unwrap(), "it has its listener's");
        }
    });
}

/// Nobody reads, so what the writer gets rid of is what the two buffers hold.
#[test]
fn small_buffers_hold_the_sender_up() {
    limited(|| {
        const RECEIVE: usize = 4096;
        const SEND: usize = 8192;
        let pair = super::pair();
        let socket = TcpSocket::new_v4(&pair.far).unwrap();
        socket.set_send_buffer_size(u32::try_from(SEND).unwrap()).unwrap();
        socket.bind(at(FAR, 80)).unwrap();
        let listener = socket.listen(1).unwrap();
        let socket = TcpSocket::new_v4(&pair.near).unwrap();
        socket.set_recv_buffer_size(u32::try_from(RECEIVE).unwrap()).unwrap();
        let near = socket.connect(at(FAR, 80)).unwrap();
        let (far, _) = listener.accept().unwrap();

        far.set_write_timeout(Some(MOMENT)).unwrap();
        let octets = pattern(1_000_000);
        let mut sent = 0;
        while let Ok(len) = (&far).write(&octets[sent..]) {
            sent += len;
        }
        assert!((SEND..=SEND + RECEIVE).contains(&sent), "{sent}");
        assert!(near.peek(&mut [0; 2 * RECEIVE]).unwrap() <= RECEIVE);
        assert!(read_exactly(&near, sent) == octets[..sent]);
        far.set_write_timeout(None).unwrap();
        assert_eq!((&far).write(b"x").unwrap(), 1, "there is room again");
    });
}

#[test]
fn a_full_backlog_keeps_others_waiting_until_somebody_accepts() {
    limited(|| {
        let pair = super::pair();
        // 0 counts as 1, and one more than the backlog may wait, as on Linux.
        for backlog in [0, 1, 3] {
            let socket = TcpSocket::new_v4(&pair.far).unwrap();
            socket.bind(at(FAR, 0)).unwrap();
            let addr = socket.local_addr().unwrap();
            let listener = socket.listen(backlog).unwrap();
            let connect = || TcpStream::connect_timeout(&pair.near, &addr, 4 * MOMENT);
            // Each shard has a backlog of its own.
            let room = 1 + usize::try_from(backlog.max(1)).unwrap();
            let mut waiting = Vec::new();
            loop {
                match connect() {
                    Ok(stream) => {
                        // Its ACK may be handed from shard to shard, and the next SYN must not
                        // overtake it and find its place free: an octet that is acknowledged
                        // shows that the connection waits in the queue.
                        (&stream).write_all(b"x").unwrap();
                        eventually("it waits", || stream.info().unwrap().octets_acknowledged == 1);
                        let addr = stream.local_addr().unwrap();
                        waiting.push((stream, addr));
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::TimedOut, "{backlog}");
                        // Where there is room it was the machine that was slow.
                        if waiting.len() >= room {
                            break;
                        }
                    }
                }
            }
            let count = waiting.len();
            assert!(count <= super::SHARDS * room, "{count} of {backlog}");

            let (_, peer) = listener.accept().unwrap();
            let place = waiting.iter().position(|(_, addr)| *addr == peer).unwrap();
            assert!(place == 0 || super::SHARDS > 1, "the longest wait ends first");
            eventually("there is room again", || connect().is_ok());
        }
    });
}

#[test]
fn a_port_with_a_listener_cannot_be_bound_until_it_is_closed() {
    limited(|| {
        let pair = super::pair();
        let first = TcpSocket::new_v4(&pair.far).unwrap();
        first.set_reuseaddr(true).unwrap();
        assert!(first.reuseaddr().unwrap());
        first.bind(at(FAR, 80)).unwrap();
        assert_eq!(errno(first.bind(at(FAR, 81))), Some(libc::EINVAL));
        let listener = first.listen(1).unwrap();
        for is_reusing in [false, true] {
            for ip in [FAR, Ipv4Addr::UNSPECIFIED] {
                let second = TcpSocket::new_v4(&pair.far).unwrap();
                second.set_reuseaddr(is_reusing).unwrap();
                assert_eq!(errno(second.bind(at(ip, 80))), Some(libc::EADDRINUSE));
                second.bind(at(ip, 81)).unwrap();
            }
        }
        drop(listener);
        let third = TcpSocket::new_v4(&pair.far).unwrap();
        third.bind(at(FAR, 80)).unwrap();
    });
}

#[test]
fn what_a_socket_refuses_changes_nothing() {
    limited(|| {
        let pair = super::pair();
        let new = || TcpSocket::new_v4(&pair.near).unwrap();
        let socket = new();
        for octets in [0, 2047, (1 << 30) + 1, u32::MAX] {
            assert_eq!(errno(socket.set_recv_buffer_size(octets)), Some(libc::EINVAL), "{octets}");
            assert_eq!(errno(socket.set_send_buffer_size(octets)), Some(libc::EINVAL), "{octets}");
        }
        assert_eq!(socket.recv_buffer_size().unwrap(), 256 << 10);
        assert_eq!(socket.send_buffer_size().unwrap(), 256 << 10);
        assert_eq!(errno(socket.bind(at(NOBODY, 80))), Some(libc::EADDRNOTAVAIL));
        assert!(socket.take_error().unwrap().is_none());
        socket.bind(at(NEAR, 80)).unwrap();

        let error = socket.connect_timeout(at(FAR, 9), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(errno(new().connect(at(FAR, 9))), Some(libc::ECONNREFUSED));
        let ipv6 = "[::1]:80".parse().unwrap();
        assert_eq!(errno(new().connect(ipv6)), Some(libc::EAFNOSUPPORT));
        assert!(pair.near.connections().is_empty());
    });
}
