//! Options by the names of `std`, `tokio` and `socket2`.

use std::io::ErrorKind;
use std::time::Duration;

use wharf::net::{TcpKeepalive, TcpListener, TcpSocket, TcpStream};

use crate::support::{FAR, NEAR, at, eventually, limited, read_exactly};

/// What every TCP socket can be told is what it then says.
macro_rules! keeps_what_it_is_told {
    ($socket:expr) => {{
        let socket = $socket;
        assert!(!socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_hours(2));
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(30))
            .with_interval(Duration::from_secs(3))
            .with_retries(2);
        socket.set_tcp_keepalive(&keepalive).unwrap();
        assert!(socket.keepalive().unwrap());
        // What is not named stays.
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_retries(4)).unwrap();
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(3));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        socket.set_keepalive(false).unwrap();
        assert!(!socket.keepalive().unwrap());

        socket.set_tcp_user_timeout(Some(Duration::from_secs(9))).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(9)));
        socket.set_tcp_user_timeout(Some(Duration::ZERO)).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        socket.set_cork(true).unwrap();
        socket.set_quickack(true).unwrap();
        assert!(socket.cork().unwrap() && socket.quickack().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), u32::MAX);
        socket.set_tcp_notsent_lowat(9000).unwrap();
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 9000);
        socket.set_tcp_notsent_lowat(0).unwrap();
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), u32::MAX, "as Linux: no mark");
        socket.set_tcp_congestion("reno").unwrap();
        assert_eq!(socket.tcp_congestion().unwrap(), "reno");
        let unknown = socket.set_tcp_congestion("vegas").unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::NotFound);
        socket.set_tcp_syn_count(Some(3)).unwrap();
        socket.set_tcp_linger2(Duration::from_secs(5)).unwrap();
        socket.set_send_buffer_size(9000).unwrap();
        socket.set_recv_buffer_size(300_000).unwrap();
        assert_eq!(socket.send_buffer_size().unwrap(), 9000);
        assert_eq!(socket.recv_buffer_size().unwrap(), 300_000);
        socket.set_tos_v4(0xb8).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0xb8);
        for refused in [
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::ZERO)),
            socket.set_mss(87),
            socket.set_mss(70_000),
            socket.set_tcp_syn_count(Some(0)),
            socket.set_send_buffer_size(0),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert!(!socket.keepalive().unwrap(), "what is refused changes nothing");
    }};
}

#[test]
fn every_tcp_socket_keeps_what_it_is_told() {
    limited(|| {
        let pair = super::pair();
        keeps_what_it_is_told!(TcpSocket::new_v4(&pair.near).unwrap());
        keeps_what_it_is_told!(TcpListener::bind(&pair.near, at(NEAR, 80)).unwrap());
        let (near, _far) = pair.connect();
        keeps_what_it_is_told!(&near);
    });
}

#[test]
#[cfg(feature = "tokio")]
fn every_tcp_socket_of_a_task_keeps_what_it_is_told() {
    limited(|| {
        let pair = super::pair();
        keeps_what_it_is_told!(wharf::tokio::TcpSocket::new_v4(&pair.near).unwrap());
        let (near, _far) = pair.connect();
        keeps_what_it_is_told!(wharf::tokio::TcpStream::from(near));
    });
}

#[test]
fn the_largest_segment_is_what_was_set_and_then_what_is_sent() {
    limited(|| {
        let pair = super::pair();
        let listener = TcpListener::bind(&pair.far, at(FAR, 80)).unwrap();
        let socket = TcpSocket::new_v4(&pair.near).unwrap();
        assert_eq!(socket.mss().unwrap(), 536);
        socket.set_mss(1000).unwrap();
        assert_eq!(socket.mss().unwrap(), 1000);
        let stream = socket.connect(at(FAR, 80)).unwrap();
        let sent = stream.mss().unwrap();
        assert!(sent <= 1000 && sent == stream.info().unwrap().send_mss, "{sent}");
        drop(listener);
    });
}

#[test]
fn listeners_that_share_a_port_share_its_peers() {
    limited(|| {
        let pair = super::pair();
        let listen = || {
            let socket = TcpSocket::new_v4(&pair.far)?;
            socket.set_reuseport(true)?;
            assert!(socket.reuseport()?);
            socket.bind(at(FAR, 80))?;
            socket.listen(64)
        };
        let listeners = [listen().unwrap(), listen().unwrap()];
        let alone = TcpListener::bind(&pair.far, at(FAR, 80));
        assert_eq!(alone.unwrap_err().kind(), ErrorKind::AddrInUse);
        let streams: Vec<_> =
            (0..32).map(|_| TcpStream::connect(&pair.near, at(FAR, 80)).unwrap()).collect();
        let mut counts = [0, 0];
        eventually("all are accepted", || {
            for (listener, count) in listeners.iter().zip(&mut counts) {
                listener.set_nonblocking(true).unwrap();
                *count += std::iter::from_fn(|| listener.accept().ok()).count();
            }
            counts.iter().sum::<usize>() == streams.len()
        });
        assert!(counts.iter().all(|&count| count > 3), "{counts:?}");
    });
}

#[test]
fn a_cork_holds_octets_until_it_is_drawn() {
    limited(|| {
        let pair = super::pair();
        let (mut near, far) = pair.connect();
        near.set_cork(true).unwrap();
        std::io::Write::write_all(&mut near, b"he").unwrap();
        std::io::Write::write_all(&mut near, b"llo").unwrap();
        near.set_cork(false).unwrap();
        assert_eq!(read_exactly(&far, 5), b"hello");
        assert_eq!(near.info().unwrap().data_segments_sent, 1);
    });
}
