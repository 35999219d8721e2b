//! Cookies that come back to another listener than the one that sent them.

use super::*;
use crate::config::StackConfig;
use crate::error::SocketError;
use crate::packet::Frame;
use crate::rng::Seed;
use crate::stack::{SocketId, TcpState};
use crate::tcp::SynCookies;
use crate::time::Duration;

const NOW: Instant = Instant::ZERO;

fn stack(address: &str, seed: u64) -> Stack {
    let mut config = StackConfig::new(address.parse().unwrap());
    config.tcp.syn_cookies = SynCookies::Always;
    Stack::new(config, Seed::from_number(seed)).unwrap()
}

/// A listener that shares port 80, with a buffer that its SYN-ACKs tell.
fn listens(server: &mut Stack, receive_buffer: u32) -> SocketId {
    let socket = server.tcp_socket().unwrap();
    let options = server.options(socket).unwrap();
    let options = SocketOptions { reuse_port: true, receive_buffer, ..options };
    server.set_options(socket, options).unwrap();
    server.bind(socket, "0.0.0.0:80".parse().unwrap()).unwrap();
    server.listen(socket, 4).unwrap();
    socket
}

fn frames(stack: &mut Stack) -> Vec<Frame> {
    let sent = std::iter::from_fn(|| stack.transmit(NOW, &mut ()));
    sent.map(|packet| packet.to_frame()).collect()
}

/// A client from each of many ports gets a cookie; then `change` happens to the listeners, and the
/// client's ACK comes. However it is steered it opens a connection.
fn cookies_open_after(buffers: &[u32], change: impl Fn(&mut Stack, &mut Vec<SocketId>)) {
    for port in 5000..5032 {
        let mut server = stack("10.0.0.2/24", 2);
        let mut listeners: Vec<_> =
            buffers.iter().map(|buffer| listens(&mut server, *buffer)).collect();
        let mut client = stack("10.0.0.1/24", 1);
        let socket = client.tcp_socket().unwrap();
        client.bind(socket, format!("10.0.0.1:{port}").parse().unwrap()).unwrap();
        let to = "10.0.0.2:80".parse().unwrap();
        assert_eq!(client.connect(NOW, socket, to), Err(SocketError::InProgress));
        for frame in frames(&mut client) {
            server.receive(NOW, frame, &mut ());
        }
        for frame in frames(&mut server) {
            client.receive(NOW, frame, &mut ());
        }
        assert_eq!(server.flows.len(), 0, "nothing is kept of a SYN");
        change(&mut server, &mut listeners);
        for frame in frames(&mut client) {
            server.receive(NOW, frame, &mut ());
        }
        assert_eq!(frames(&mut server).len(), 0, "{port}: no RST");
        let accepted: Vec<_> =
            listeners.iter().filter_map(|socket| server.accept(NOW, *socket).ok()).collect();
        let [(accepted, _)] = accepted[..] else { panic!("{port}: {accepted:?}") };
        assert_eq!(server.state(accepted), Ok(TcpState::Established));
        server.check();
    }
}

#[test]
fn a_cookie_opens_though_the_listener_that_sent_it_has_gone() {
    for gone in [0, 1] {
        cookies_open_after(&[4096, 1 << 20], |server, listeners| {
            server.close(NOW, listeners.remove(gone));
        });
    }
}

#[test]
fn a_cookie_opens_though_it_comes_to_a_listener_that_has_joined_since() {
    cookies_open_after(&[4096], |server, listeners| {
        for receive_buffer in [1 << 18, 1 << 20] {
            listeners.push(listens(server, receive_buffer));
        }
    });
}

/// A client that asks from this address, and its SYN.
fn asks(address: &str) -> (Stack, SocketId, Vec<Frame>) {
    let mut client = stack(address, 1);
    let socket = client.tcp_socket().unwrap();
    let options = SocketOptions { nodelay: true, ..client.options(socket).unwrap() };
    client.set_options(socket, options).unwrap();
    let to = "10.0.0.2:80".parse().unwrap();
    assert_eq!(client.connect(NOW, socket, to), Err(SocketError::InProgress));
    let syn = frames(&mut client);
    (client, socket, syn)
}

/// A copy of the SYN, or one that was sent again before the cookie came, finds a place that has
/// become free meanwhile; of the two answers the client has taken the first. What first brings the
/// cookie is lost, or is not.
#[test]
fn a_cookie_opens_though_a_record_was_made_of_the_same_syn_later() {
    for is_lost in [false, true] {
        let mut server = stack("10.0.0.2/24", 2);
        server.config.tcp.syn_cookies = SynCookies::UnderPressure;
        let listener = server.tcp_socket().unwrap();
        server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
        server.listen(listener, 1).unwrap();
        let give = |stack: &mut Stack, now: Instant, frames: &[Frame]| {
            for frame in frames {
                stack.receive(now, frame.clone(), &mut ());
            }
        };
        let (_, _, syn) = asks("10.0.0.3/24");
        give(&mut server, NOW, &syn);
        assert_eq!((frames(&mut server).len(), server.flows.len()), (1, 1), "the only place");
        let (mut client, connected, syn) = asks("10.0.0.1/24");
        give(&mut server, NOW, &syn);
        let cookie = frames(&mut server);
        assert_eq!((cookie.len(), server.flows.len()), (1, 1), "nothing is kept of a SYN");
        server.listen(listener, 2).unwrap();
        give(&mut server, NOW, &syn);
        assert_eq!((frames(&mut server).len(), server.flows.len()), (1, 2), "a record is kept");

        give(&mut client, NOW, &cookie);
        client.write(NOW, connected, b"hello ").unwrap();
        let first = frames(&mut client);
        client.write(NOW, connected, b"world").unwrap();
        let second = frames(&mut client);
        assert_eq!((first.len(), second.len()), (1, 1));
        if is_lost {
            give(&mut server, NOW, &second);
            assert_eq!((frames(&mut server).len(), server.flows.len()), (0, 2), "in silence");
        } else {
            give(&mut server, NOW, &first);
        }
        let later = NOW + Duration::from_secs(2);
        client.on_timeout(later, &mut ());
        give(&mut server, later, &frames(&mut client));
        let (accepted, _) = server.accept(later, listener).unwrap();
        assert_eq!(server.state(accepted), Ok(TcpState::Established));
        let mut text = [0; 99];
        assert!(server.read(later, accepted, &mut text).unwrap() >= 6);
        assert_eq!(text[..6], *b"hello ");
        give(&mut client, later, &frames(&mut server));
        assert_eq!(client.state(connected), Ok(TcpState::Established), "nobody has reset it");
        server.check();
    }
}

/// As above; but when the cookie comes back nobody can be accepted.
#[test]
fn a_record_stays_while_the_cookie_of_the_same_syn_finds_no_place() {
    let mut server = stack("10.0.0.2/24", 2);
    server.config.tcp.syn_cookies = SynCookies::UnderPressure;
    let listener = server.tcp_socket().unwrap();
    server.bind(listener, "0.0.0.0:80".parse().unwrap()).unwrap();
    server.listen(listener, 2).unwrap();
    let mut others = ["10.0.0.3/24", "10.0.0.4/24"].map(asks);
    for (other, _, syn) in &mut others {
        server.receive(NOW, syn.remove(0), &mut ());
        for frame in frames(&mut server) {
            other.receive(NOW, frame, &mut ());
        }
    }
    let (mut client, connected, syn) = asks("10.0.0.1/24");
    server.receive(NOW, syn[0].clone(), &mut ());
    let cookie = frames(&mut server);
    assert_eq!((cookie.len(), server.flows.len()), (1, 2), "nothing is kept of a SYN");
    server.listen(listener, 3).unwrap();
    server.receive(NOW, syn[0].clone(), &mut ());
    assert_eq!((frames(&mut server).len(), server.flows.len()), (1, 3), "a record is kept");
    server.listen(listener, 1).unwrap();
    for (other, ..) in &mut others {
        for frame in frames(other) {
            server.receive(NOW, frame, &mut ());
        }
    }

    client.receive(NOW, cookie[0].clone(), &mut ());
    client.write(NOW, connected, b"hello").unwrap();
    for frame in frames(&mut client) {
        server.receive(NOW, frame, &mut ());
    }
    assert_eq!((frames(&mut server).len(), server.flows.len()), (0, 3), "it waits, in silence");
    for _ in &others {
        server.accept(NOW, listener).unwrap();
    }
    assert_eq!(server.accept(NOW, listener), Err(SocketError::WouldBlock));
    let later = NOW + Duration::from_secs(2);
    client.on_timeout(later, &mut ());
    for frame in frames(&mut client) {
        server.receive(later, frame, &mut ());
    }
    let (accepted, _) = server.accept(later, listener).unwrap();
    assert_eq!(server.read(later, accepted, &mut [0; 9]), Ok(5));
    assert_eq!(frames(&mut server).len(), 1, "its acknowledgment");
    server.check();
}
