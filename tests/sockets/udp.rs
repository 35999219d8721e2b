//! `wharf::net` for UDP and ping.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use wharf::net::{EchoSocket, UdpSocket};

use crate::support::{FAR, LIMIT, NEAR, NOBODY, Pair, at, errno, limited, pattern};

/// A socket of each stack.
fn sockets(pair: &Pair) -> (UdpSocket, UdpSocket) {
    let near = UdpSocket::bind(&pair.near, (NEAR, 0)).unwrap();
    let far = UdpSocket::bind(&pair.far, "0.0.0.0:7000").unwrap();
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
    }
    (near, far)
}

#[test]
fn datagrams_keep_their_edges_and_tell_their_sender() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        let sizes = [1, 0, 1472, 100];
        for len in sizes {
            let sent = near.send_to(&pattern(len), (FAR, 7000)).unwrap();
            assert_eq!(sent, len);
        }
        let mut buffer = [0; 2000];
        for len in sizes {
            let (got, peer) = far.recv_from(&mut buffer).unwrap();
            assert_eq!(peer, near.local_addr().unwrap());
            assert_eq!(buffer[..got], pattern(len));
        }
        far.send_to(b"back", near.local_addr().unwrap()).unwrap();
        let (got, peer) = near.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..got], peer), (&b"back"[..], at(FAR, 7000)));
    });
}

#[test]
fn datagrams_sent_by_one_call_arrive_one_by_one() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        let octets = pattern(2500);
        assert_eq!(near.send_segments_to(&octets, 1000, (FAR, 7000)).unwrap(), 2500);
        assert!(near.send_segments(&octets, 1000).is_err(), "to whom?");
        near.connect((FAR, 7000)).unwrap();
        assert_eq!(near.send_segments(&octets, 1000).unwrap(), 2500);
        let mut buffer = [0; 2000];
        for part in octets.chunks(1000).chain(octets.chunks(1000)) {
            let (len, peer) = far.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..len], *part);
            assert_eq!(peer, near.local_addr().unwrap());
        }
        for (len, size, number) in
            [(9, 0, libc::EINVAL), (65, 1, libc::EINVAL), (2946, 1473, libc::EMSGSIZE)]
        {
            let result = near.send_segments(&pattern(len), size);
            assert_eq!(errno(result), Some(number), "{len} by {size}");
        }
    });
}

/// As on Linux.
#[test]
fn a_peer_with_port_0_is_its_address() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        near.connect((FAR, 0)).unwrap();
        assert_eq!(errno(near.peer_addr()), Some(libc::ENOTCONN));
        far.send_to(b"heard", near.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 10];
        assert_eq!(near.recv(&mut buffer).unwrap(), 5);
        assert_eq!(near.send(b"to nobody").unwrap(), 9);
        assert_eq!(errno(near.send_to(b"to nobody", (FAR, 0))), Some(libc::EINVAL));
    });
}

#[test]
fn what_does_not_fit_into_the_buffer_is_lost() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        near.send_to(b"0123456789", (FAR, 7000)).unwrap();
        near.send_to(b"next", (FAR, 7000)).unwrap();
        let mut buffer = [0; 4];
        for _ in 0..2 {
            assert_eq!(far.peek_from(&mut buffer).unwrap().0, 4);
        }
        assert_eq!(far.recv_from(&mut buffer).unwrap().0, 4);
        assert_eq!(&buffer, b"0123");
        assert_eq!(far.recv_from(&mut buffer).unwrap().0, 4);
        assert_eq!(&buffer, b"next");
    });
}

#[test]
fn a_datagram_over_the_mtu_is_refused_whole() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        for len in [1473, 65_507, 65_508] {
            let result = near.send_to(&pattern(len), (FAR, 7000));
            assert_eq!(errno(result), Some(libc::EMSGSIZE), "{len}");
        }
        far.set_nonblocking(true).unwrap();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(errno(far.recv_from(&mut [0; 4])), Some(libc::EAGAIN));
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        assert_eq!(errno(near.send(b"to whom?")), Some(libc::EDESTADDRREQ));
        assert_eq!(errno(near.peer_addr()), Some(libc::ENOTCONN));
        near.connect((FAR, 7000)).unwrap();
        assert_eq!(near.peer_addr().unwrap(), at(FAR, 7000));

        let stranger = UdpSocket::bind(&pair.far, (FAR, 7001)).unwrap();
        stranger.send_to(b"hello", near.local_addr().unwrap()).unwrap();
        assert_eq!(near.send(b"question").unwrap(), 8);
        let (_, peer) = far.recv_from(&mut [0; 16]).unwrap();
        far.send_to(b"answer", peer).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(near.peek(&mut buffer).unwrap(), 6);
        assert_eq!(near.recv(&mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"answer");
        near.set_nonblocking(true).unwrap();
        assert_eq!(errno(near.recv(&mut buffer)), Some(libc::EAGAIN));
    });
}

#[test]
fn a_closed_port_refuses_a_connected_socket_once() {
    limited(|| {
        let pair = super::pair();
        let (near, _far) = sockets(&pair);
        near.connect((FAR, 7999)).unwrap();
        near.send(b"anybody?").unwrap();
        let error = near.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        near.set_nonblocking(true).unwrap();
        assert_eq!(errno(near.recv(&mut [0; 8])), Some(libc::EAGAIN));
    });
}

#[test]
fn receiving_waits_as_long_as_its_timeout() {
    limited(|| {
        let pair = super::pair();
        let (near, _far) = sockets(&pair);
        let wait = Duration::from_millis(20);
        near.set_read_timeout(Some(wait)).unwrap();
        let start = Instant::now();
        assert_eq!(errno(near.recv_from(&mut [0; 8])), Some(libc::EAGAIN));
        assert!(start.elapsed() >= wait);
        let error = near.set_read_timeout(Some(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_port_is_bound_once() {
    limited(|| {
        let pair = super::pair();
        let (_near, far) = sockets(&pair);
        for addr in [FAR, Ipv4Addr::UNSPECIFIED] {
            let error = UdpSocket::bind(&pair.far, (addr, 7000)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
        }
        let error = UdpSocket::bind(&pair.far, (NOBODY, 0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let clone = far.try_clone().unwrap();
        drop(far);
        assert!(UdpSocket::bind(&pair.far, (FAR, 7000)).is_err());
        drop(clone);
        UdpSocket::bind(&pair.far, (FAR, 7000)).unwrap();
    });
}

#[test]
fn a_broadcast_must_be_allowed() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        let everybody = Ipv4Addr::new(10, 7, 0, 255);
        let result = near.send_to(b"all", (everybody, 7000));
        assert_eq!(errno(result), Some(libc::EACCES));
        assert!(!near.broadcast().unwrap());
        near.set_broadcast(true).unwrap();
        assert!(near.broadcast().unwrap());
        near.send_to(b"all", (everybody, 7000)).unwrap();
        assert_eq!(far.recv(&mut [0; 8]).unwrap(), 3);
    });
}

#[test]
fn a_socket_sends_while_a_clone_waits_to_receive() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = sockets(&pair);
        let clone = near.try_clone().unwrap();
        let receiving = thread::spawn(move || clone.recv_from(&mut [0; 8]).unwrap());
        thread::sleep(Duration::from_millis(20));
        near.send_to(b"ping", (FAR, 7000)).unwrap();
        let (len, peer) = far.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(len, 4);
        far.send_to(b"pong!", peer).unwrap();
        assert_eq!(receiving.join().unwrap(), (5, at(FAR, 7000)));
    });
}

#[test]
fn a_host_answers_ping_and_nobody_does_not() {
    limited(|| {
        let pair = super::pair();
        let socket = EchoSocket::open(&pair.near).unwrap();
        let other = EchoSocket::open(&pair.near).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        for (sequence, len) in [(1, 0), (2, 56), (u16::MAX, 1472)] {
            socket.send_to(FAR.into(), sequence, &pattern(len)).unwrap();
            let reply = socket.recv().unwrap();
            assert_eq!(reply.source, FAR);
            assert_eq!((reply.sequence, reply.len), (sequence, len));
        }
        let result = socket.send_to(FAR.into(), 4, &pattern(1473));
        assert_eq!(errno(result), Some(libc::EMSGSIZE));
        socket.send_to(NOBODY.into(), 5, b"?").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert_eq!(errno(socket.recv()), Some(libc::EAGAIN));
        other.set_nonblocking(true).unwrap();
        assert_eq!(errno(other.recv()), Some(libc::EAGAIN));
    });
}
