//! A stack's start and its ends: shutdown, the last handle, a vanished device.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use wharf::net::{EchoSocket, TcpListener, TcpStream, UdpSocket};
use wharf::{Link, Net, TcpState};

use crate::support::{
    End, FAR, LIMIT, NEAR, NOBODY, Pair, at, config, errno, eventually, limited, pattern,
    read_exactly,
};

#[test]
fn what_cannot_run_is_refused() {
    let error = Net::start(Link::pair_virtual(1500).0, config(NEAR)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let mut bad = config(NEAR);
    bad.interface.addresses.clear();
    let error = Net::start(Link::pair(1500).0, bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("address"), "{error}");
}

#[test]
fn the_mtu_is_the_devices_if_that_is_less() {
    limited(|| {
        let (near, _far) = Link::pair(600);
        let net = Net::start(near, config(NEAR)).unwrap();
        let socket = UdpSocket::bind(&net, (NEAR, 0)).unwrap();
        assert_eq!(socket.send_to(&[0; 572], (FAR, 1)).unwrap(), 572);
        let result = socket.send_to(&[0; 573], (FAR, 1));
        assert_eq!(errno(result), Some(libc::EMSGSIZE));
    });
}

#[test]
fn a_new_deadline_wakes_a_loop_that_sleeps() {
    limited(|| {
        let pair = super::pair();
        let sent = || {
            let counters = pair.near.counters();
            let list = counters.list();
            let found = list.iter().find(|it| it.name == "tcp_segments_sent_total");
            found.unwrap().value
        };
        thread::sleep(Duration::from_millis(20)); // The loop has nothing to wait for.
        let limit = Duration::from_secs(5);
        let attempt = thread::spawn({
            let net = pair.near.clone();
            move || TcpStream::connect_timeout(&net, &at(NOBODY, 80), limit)
        });
        // The SYN is sent again after a second, without any packet that would wake the loop.
        eventually("the SYN is sent again", || sent() > 1);
        assert!(attempt.join().unwrap().is_err());
    });
}

#[test]
fn counters_count_and_connections_are_listed() {
    limited(|| {
        let pair = super::pair();
        let (near, mut far) = pair.connect();
        far.write_all(b"hello").unwrap();
        assert_eq!(read_exactly(&near, 5), b"hello");
        let connections = pair.near.connections();
        assert_eq!(connections.len(), 1);
        assert_eq!(connections[0].local, near.local_addr().unwrap());
        assert_eq!(connections[0].remote, near.peer_addr().unwrap());
        assert_eq!(connections[0].state, TcpState::Established);
        assert_eq!(near.info().unwrap().state, TcpState::Established);
        let counters = pair.near.counters();
        let received = counters.list()[0];
        assert_eq!(received.name, "packets_received_total");
        assert!(received.value >= 2, "{received:?}");
    });
}

#[test]
fn the_last_handle_gives_the_device_up_at_once_if_nothing_is_left() {
    limited(|| {
        let (near, _far) = Link::pair(1500);
        let (near, cable) = End::new(near);
        let net = Net::start(near, config(NEAR)).unwrap();
        let socket = UdpSocket::bind(&net, (NEAR, 0)).unwrap();
        let clone = net.clone();
        drop(net);
        drop(clone);
        thread::sleep(Duration::from_millis(50));
        assert!(!cable.is_dropped(), "a socket keeps its stack");
        let start = Instant::now();
        drop(socket);
        eventually("the device is dropped", || cable.is_dropped());
        assert!(start.elapsed() < Duration::from_secs(4), "nothing to linger for");
    });
}

#[test]
fn what_was_written_before_the_last_handle_went_arrives_whole() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        let sent = pattern(200_000);
        near.write_all(&sent).unwrap();
        let Pair { near: net, far: far_net, cable } = pair;
        let start = Instant::now();
        drop(near);
        drop(net);
        assert!(start.elapsed() < Duration::from_secs(2), "no drop blocks");
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        assert!(got == sent, "{} octets of {}", got.len(), sent.len());
        drop(far);
        eventually("the device is dropped", || cable.is_dropped());
        drop(far_net);
    });
}

#[test]
fn a_stack_lingers_for_a_peer_that_does_not_read_but_not_for_ever() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        near.set_nonblocking(true).unwrap();
        eventually("the buffers are full", || near.write(&[1; 10_000]).is_err());
        let Pair { near: net, cable, far: _far } = pair;
        let start = Instant::now();
        drop((near, net));
        thread::sleep(Duration::from_secs(1));
        assert!(!cable.is_dropped(), "it must linger");
        eventually("the device is dropped", || cable.is_dropped());
        assert!(start.elapsed() >= Duration::from_secs(5));
        // The rest is reset: the peer reads what it has, and then learns that it is not all.
        let mut got = Vec::new();
        let error = far.read_to_end(&mut got).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(!got.is_empty());
    });
}

#[test]
fn a_shutdown_waits_for_connections_to_finish_and_refuses_new_ones() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.near, (NEAR, 80)).unwrap();
        let (mut near, far) = pair.connect();
        let net = pair.near.clone();
        let start = Instant::now();
        let shutting = thread::spawn(move || net.shutdown(LIMIT));
        let accepting = thread::spawn(move || listener.accept().map(drop));
        assert!(accepting.join().unwrap().is_err(), "a listener ends with its stack");
        let error = TcpStream::connect(&pair.far, (NEAR, 80)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        near.write_all(b"still").unwrap();
        assert_eq!(read_exactly(&far, 5), b"still");
        assert!(!shutting.is_finished());
        drop(near);
        drop(far);
        shutting.join().unwrap().unwrap();
        assert!(start.elapsed() < LIMIT);
        assert!(pair.cable.is_dropped());
    });
}

#[test]
fn a_shutdown_resets_what_has_not_finished_in_time() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        far.write_all(b"before").unwrap();
        eventually("it has arrived", || near.peek(&mut [0; 8]).unwrap() == 6);
        let wait = Duration::from_millis(50);
        let start = Instant::now();
        pair.near.shutdown(wait).unwrap();
        assert!(start.elapsed() >= wait);
        assert!(pair.cable.is_dropped());
        assert_eq!(errno(far.read(&mut [0; 8])), Some(libc::ECONNRESET));
        // What had arrived can be read; then the error, once; then the end.
        assert_eq!(read_exactly(&near, 6), b"before");
        assert_eq!(errno(near.read(&mut [0; 8])), Some(libc::ECONNABORTED));
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn after_a_shutdown_the_network_is_down() {
    limited(|| {
        let pair = super::pair();
        let udp = UdpSocket::bind(&pair.near, (NEAR, 0)).unwrap();
        let echo = EchoSocket::open(&pair.near).unwrap();
        pair.near.shutdown(Duration::ZERO).unwrap();
        pair.near.shutdown(LIMIT).unwrap();
        pair.near.wait().unwrap();
        let down = Some(libc::ENETDOWN);
        assert_eq!(errno(TcpStream::connect(&pair.near, (FAR, 80))), down);
        assert_eq!(errno(TcpListener::bind(&pair.near, (NEAR, 80))), down);
        assert_eq!(errno(UdpSocket::bind(&pair.near, (NEAR, 80))), down);
        assert_eq!(errno(udp.send_to(b"x", (FAR, 80))), down);
        assert_eq!(errno(echo.send_to(FAR.into(), 1, b"x")), down);
        // What waits for something that cannot come: the error of the end, then this one.
        let _ = udp.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(errno(udp.recv(&mut [0; 8])), down);
        let _ = echo.recv().unwrap_err();
        assert_eq!(errno(echo.recv()), down);
        pair.near.stop_listening();
    });
}

#[test]
fn a_stack_that_stops_listening_goes_on_otherwise() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, (FAR, 80)).unwrap();
        let near = TcpStream::connect(&pair.near, (FAR, 80)).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let accepting = thread::spawn(move || listener.accept().map(drop));
        pair.far.stop_listening();
        assert!(accepting.join().unwrap().is_err());
        let error = TcpStream::connect(&pair.near, (FAR, 80)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        far.write_all(b"on").unwrap();
        assert_eq!(read_exactly(&near, 2), b"on");
    });
}

#[test]
fn a_vanished_device_ends_every_wait() {
    limited(|| {
        let pair = super::pair();
        let (near, _far) = pair.connect();
        let net = &pair.near;
        let (writer, _writer_far) = pair.connect();
        writer.set_nonblocking(true).unwrap();
        // An acknowledgment may still be on its way and make room.
        eventually("the buffers are full", || {
            let is_full = (&writer).write(&[1; 10_000]).is_err();
            thread::sleep(Duration::from_millis(u64::from(is_full) * 20));
            is_full && (&writer).write(&[1; 10_000]).is_err()
        });
        writer.set_nonblocking(false).unwrap();
        let listener = TcpListener::bind(net, (NEAR, 80)).unwrap();
        let udp = UdpSocket::bind(net, (NEAR, 80)).unwrap();
        let echo = EchoSocket::open(net).unwrap();
        let down = Some(libc::ENETDOWN);
        thread::scope(|scope| {
            let waits = [
                scope.spawn(|| errno((&near).read(&mut [0; 8]))),
                scope.spawn(|| errno((&writer).write(b"x"))),
                scope.spawn(|| errno(listener.accept())),
                scope.spawn(|| errno(udp.recv(&mut [0; 8]))),
                scope.spawn(|| errno(echo.recv())),
                scope.spawn(|| errno(TcpStream::connect(net, (NOBODY, 80)))),
            ];
            let waiting = scope.spawn(|| net.wait());
            thread::sleep(Duration::from_millis(50));
            pair.cable.unplug();
            for (n, wait) in waits.into_iter().enumerate() {
                assert_eq!(wait.join().unwrap(), down, "{n}");
            }
            assert_eq!(errno(waiting.join().unwrap()), Some(libc::ENODEV));
        });
        assert!(pair.cable.is_dropped());
        assert_eq!(errno(net.wait()), Some(libc::ENODEV));
        assert_eq!(errno(net.shutdown(LIMIT)), Some(libc::ENODEV));
        // The error was told once; what follows is the end.
        assert_eq!((&near).read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(errno((&near).write(b"x")), Some(libc::EPIPE));
        let _ = near.shutdown(Shutdown::Both);
        listener.accept().unwrap_err();
        assert_eq!(errno(TcpStream::connect(net, (FAR, 80))), down);
    });
}

#[test]
fn whoever_accepts_hears_that_the_network_is_down_however_many_do() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.near, (NEAR, 80)).unwrap();
        let down = Some(libc::ENETDOWN);
        thread::scope(|scope| {
            let waits: Vec<_> = (0..3).map(|_| scope.spawn(|| errno(listener.accept()))).collect();
            thread::sleep(Duration::from_millis(50));
            pair.cable.unplug();
            for (n, wait) in waits.into_iter().enumerate() {
                assert_eq!(wait.join().unwrap(), down, "{n}");
            }
        });
        let _ = pair.near.wait(); // The other shards end a moment later.
        assert_eq!(errno(listener.accept()), down);
    });
}

#[test]
fn a_device_that_vanishes_under_a_writing_thread_is_noticed() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let reading = thread::spawn(move || std::io::copy(&mut &far, &mut std::io::sink()));
        let cable = pair.cable.clone();
        let cutting = thread::spawn(move || {
            thread::sleep(Duration::from_millis(30));
            cable.unplug();
        });
        let error = loop {
            if let Err(error) = (&near).write(&[3; 5000]) {
                break error;
            }
        };
        assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN));
        cutting.join().unwrap();
        assert_eq!(errno(reading.join().unwrap()), Some(libc::ENETDOWN));
    });
}
