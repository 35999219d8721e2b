//! Datagrams that are sent together, and that come together.

use super::*;
use crate::config::StackConfig;
use crate::device::{Device, Impair, Link, carry_out};
use crate::observe::Counters;
use crate::packet::Checksum;
use crate::rng::Seed;
use crate::wire::checksum::Sum;

const NOW: Instant = Instant::ZERO;

/// A stack at 10.7.0.`host`, on a device that splits datagrams or on one that does not.
fn stack(host: u8, splits: bool) -> Stack {
    let mut config = StackConfig::new(format!("10.7.0.{host}/24").parse().unwrap());
    config.interface.checksum_offload = splits;
    config.interface.super_datagrams = splits;
    Stack::new(config, Seed::from_number(1)).unwrap()
}

fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 7, 0, host], port))
}

fn udp(stack: &mut Stack, local: SocketAddr) -> SocketId {
    let socket = stack.udp_socket().unwrap();
    stack.bind(socket, local).unwrap();
    socket
}

/// Octets each of which differs from its neighbours.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// What leaves a stack, as it leaves.
fn packets(stack: &mut Stack) -> Vec<Outgoing> {
    std::iter::from_fn(|| stack.transmit(NOW, &mut ())).collect()
}

/// What leaves a stack, as it travels on a wire.
fn wire(stack: &mut Stack) -> Vec<Bytes> {
    let mut travelling = Vec::new();
    for packet in packets(stack) {
        carry_out(packet, |packet| travelling.push(packet.to_frame().into_bytes()));
    }
    travelling
}

/// The octets of all datagrams that wait in a socket.
fn received(stack: &mut Stack, socket: SocketId) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2000];
    std::iter::from_fn(|| {
        let (len, _) = stack.recv_from(socket, &mut buffer).ok()?;
        Some(buffer[..len].to_vec())
    })
    .collect()
}

#[test]
fn the_same_datagrams_travel_whether_the_stack_splits_or_the_device() {
    for (len, size) in [(5000, 1000), (5001, 1000), (1472, 1472), (1473, 1472), (64, 1), (0, 9)] {
        let [whole, parted] = [false, true].map(|splits| {
            let mut stack = stack(2, splits);
            let socket = udp(&mut stack, addr(2, 53));
            for _ in 0..2 {
                let octets = text(len);
                let sent = stack.send_segments_to(NOW, socket, &octets, size, Some(addr(1, 54)));
                assert_eq!(sent, Ok(len));
            }
            wire(&mut stack)
        });
        assert_eq!(whole, parted, "{len} by {size}");
        assert_eq!(whole.len(), 2 * len.div_ceil(size).max(1), "{len} by {size}");
        let idents = whole.iter().map(|packet| u16::from_be_bytes([packet[4], packet[5]]));
        let idents: Vec<u16> = idents.collect();
        assert!(idents.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{idents:?}");
        let travelled: Vec<u8> = whole.iter().flat_map(|packet| packet[28..].to_vec()).collect();
        assert_eq!(travelled, [text(len), text(len)].concat());
    }
}

#[test]
fn a_device_that_splits_gets_one_packet_and_any_other_gets_them_all() {
    let offers = [(true, true, 1), (true, false, 5), (false, true, 5), (false, false, 5)];
    for (checksum_offload, super_datagrams, expected) in offers {
        let mut config = StackConfig::new("10.7.0.2/24".parse().unwrap());
        config.interface.checksum_offload = checksum_offload;
        config.interface.super_datagrams = super_datagrams;
        let mut stack = Stack::new(config, Seed::from_number(1)).unwrap();
        let socket = udp(&mut stack, addr(2, 53));
        stack.connect(NOW, socket, addr(1, 54)).unwrap();
        stack.send_segments_to(NOW, socket, &text(4100), 1000, None).unwrap();
        let left = packets(&mut stack);
        assert_eq!(left.len(), expected, "{checksum_offload} {super_datagrams}");
        for packet in left {
            let checksum = if checksum_offload { Checksum::Partial } else { Checksum::Complete };
            let segment = NonZeroU16::new(if expected == 1 { 1000 } else { 0 });
            assert_eq!(packet.offload, Offload { checksum, segment });
        }
    }
}

#[test]
fn what_linux_refuses_is_refused_and_sends_nothing() {
    use SocketError::{InvalidArgument, MessageTooLong, NoDestination};
    for splits in [false, true] {
        let mut stack = stack(2, splits);
        let socket = udp(&mut stack, addr(2, 53));
        for (len, size, error) in [
            (100, 0, InvalidArgument),
            (65, 1, InvalidArgument),
            (64_001, 1000, InvalidArgument),
            (65_508, 1472, MessageTooLong),
            (3000, 1473, MessageTooLong),
            (1473, usize::MAX, MessageTooLong),
        ] {
            let to = Some(addr(1, 54));
            let sent = stack.send_segments_to(NOW, socket, &text(len), size, to);
            assert_eq!(sent, Err(error), "{len} by {size}");
        }
        let sent = stack.send_segments_to(NOW, socket, &text(9), 3, None);
        assert_eq!(sent, Err(NoDestination));
        assert!(packets(&mut stack).is_empty());
        for (len, size) in [(64, 1), (64_000, 1000), (65_507, 1472), (1472, usize::MAX)] {
            let to = Some(addr(1, 54));
            let sent = stack.send_segments_to(NOW, socket, &text(len), size, to);
            assert_eq!(sent, Ok(len), "{len} by {size}");
        }
        let tcp = stack.tcp_socket().unwrap();
        let sent = stack.send_segments_to(NOW, tcp, b"x", 1, None);
        assert_eq!(sent, Err(SocketError::NotSupported));
    }
}

#[test]
fn datagrams_that_cross_together_arrive_one_by_one() {
    let (mut near, mut far) = (stack(2, true), stack(1, true));
    let (from, to) = (udp(&mut near, addr(2, 53)), udp(&mut far, addr(1, 54)));
    near.send_segments_to(NOW, from, &text(2500), 1000, Some(addr(1, 54))).unwrap();
    for packet in packets(&mut near) {
        far.receive(NOW, packet.to_frame(), &mut ());
    }
    assert_eq!(far.poll_event(), Some(to));
    let octets = text(2500);
    let parts: Vec<Vec<u8>> = octets.chunks(1000).map(<[u8]>::to_vec).collect();
    assert_eq!(received(&mut far, to), parts);
}

#[test]
fn datagrams_to_ourselves_arrive_one_by_one() {
    for splits in [false, true] {
        let mut stack = stack(2, splits);
        let (from, to) = (udp(&mut stack, addr(2, 53)), udp(&mut stack, addr(2, 54)));
        stack.send_segments_to(NOW, from, &text(25), 10, Some(addr(2, 54))).unwrap();
        assert!(packets(&mut stack).is_empty());
        let lengths: Vec<usize> = received(&mut stack, to).iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 10, 5]);
    }
}

#[test]
fn datagrams_for_which_there_is_no_room_are_counted_one_by_one() {
    let (mut near, mut far) = (stack(2, true), stack(1, true));
    let (from, to) = (udp(&mut near, addr(2, 53)), udp(&mut far, addr(1, 54)));
    let options = SocketOptions { receive_buffer: 2300, ..SocketOptions::default() };
    far.set_options(to, options).unwrap();
    near.send_segments_to(NOW, from, &text(5000), 1000, Some(addr(1, 54))).unwrap();
    let mut counters = Counters::default();
    for packet in packets(&mut near) {
        far.receive(NOW, packet.to_frame(), &mut counters);
    }
    assert_eq!(received(&mut far, to).len(), 2);
    assert_eq!(counters.dropped(DropReason::UdpQueueFull), 3);
}

#[test]
fn datagrams_to_a_closed_port_that_came_together_are_answered_once() {
    let (mut near, mut far) = (stack(2, true), stack(1, true));
    let from = udp(&mut near, addr(2, 53));
    near.send_segments_to(NOW, from, &text(5000), 1000, Some(addr(1, 54))).unwrap();
    for packet in packets(&mut near) {
        far.receive(NOW, packet.to_frame(), &mut ());
    }
    assert_eq!(packets(&mut far).len(), 1);
}

#[test]
fn what_waits_for_the_device_is_bounded_by_octets_too() {
    let mut stack = stack(2, true);
    let socket = udp(&mut stack, addr(2, 53));
    let octets = text(64_000);
    let mut sent = 0;
    while stack.send_segments_to(NOW, socket, &octets, 1000, Some(addr(1, 54))).is_ok() {
        sent += 1;
        assert!(sent < 100, "nothing stops it");
    }
    assert!(sent > 30, "only {sent}");
    assert!(!stack.readiness(socket).contains(Readiness::WRITABLE));
    assert_eq!(packets(&mut stack).len(), sent);
    assert!(stack.readiness(socket).contains(Readiness::WRITABLE));
}

/// A bad line loses packets, and not 64 KiB at once.
#[test]
fn a_bad_line_carries_each_datagram_by_itself_both_ways() {
    let (near, mut far) = Link::pair_virtual(1500);
    let mut line = Impair::new(near.with_offload(), "delay=1ms".parse().unwrap());
    let mut stack = stack(2, line.capabilities().super_datagrams);
    let socket = udp(&mut stack, addr(2, 53));
    stack.send_segments_to(NOW, socket, &text(2500), 1000, Some(addr(1, 54))).unwrap();
    let mut left = VecDeque::from(packets(&mut stack));
    assert_eq!(left.len(), 1);
    far.transmit_burst(NOW, &mut left.clone()).unwrap();
    line.transmit_burst(NOW, &mut left).unwrap();
    let later = NOW + crate::time::Duration::from_millis(1);
    line.receive_burst(NOW, &mut VecDeque::new(), 9).unwrap();
    line.transmit_burst(later, &mut left).unwrap();
    for end in [&mut line as &mut dyn Device, &mut far] {
        let mut frames = VecDeque::new();
        end.receive_burst(later, &mut frames, 9).unwrap();
        let lengths: Vec<usize> = frames.iter().map(|frame| frame.octets().len()).collect();
        assert_eq!(lengths, [1028, 1028, 528]);
        assert!(frames.iter().all(|frame| frame.offload() == Offload::default()));
    }
}

#[test]
fn whoever_waits_for_room_hears_of_it_once_half_of_it_is_free() {
    let mut stack = stack(2, true);
    let (one, other) = (udp(&mut stack, addr(2, 53)), udp(&mut stack, addr(2, 54)));
    let echo = stack.echo_socket().unwrap();
    for octets in [1, 60_000] {
        let send = |stack: &mut Stack| {
            stack.send_segments_to(NOW, one, &text(octets), 1000, Some(addr(1, 54)))
        };
        while send(&mut stack).is_ok() {}
        assert_eq!(send(&mut stack), Err(SocketError::WouldBlock));
        while stack.poll_event().is_some() {}
        let waiting = [one, other, echo];
        let is_writable = |stack: &Stack, id| stack.readiness(id).contains(Readiness::WRITABLE);
        assert!(!waiting.iter().any(|&id| is_writable(&stack, id)));
        let (mut left, mut told) = (0, None);
        while stack.transmit(NOW, &mut ()).is_some() {
            left += 1;
            let heard: Vec<_> = std::iter::from_fn(|| stack.poll_event()).collect();
            if !heard.is_empty() {
                assert!(waiting.iter().all(|id| heard.contains(id)));
                assert!(waiting.iter().all(|&id| is_writable(&stack, id)));
                assert!(told.replace(left).is_none(), "once");
            }
        }
        assert!(told.is_some_and(|told| (left / 2..=left / 2 + 1).contains(&told)), "{left}");
    }
}

/// As on Linux: it hears of nothing else, and sends from the address that the route suggests.
#[test]
fn a_socket_may_be_bound_to_a_broadcast_address_or_a_group() {
    for (place, other) in [([10, 7, 0, 255], [10, 7, 0, 2]), ([239, 1, 2, 3], [239, 1, 2, 4])] {
        let (mut near, mut far) = (stack(1, false), stack(2, false));
        let (from, to) = (udp(&mut near, addr(1, 53)), udp(&mut far, (place, 54).into()));
        let options = SocketOptions { broadcast: true, ..near.options(from).unwrap() };
        near.set_options(from, options).unwrap();
        for destination in [place, other] {
            near.send_to(NOW, from, b"all", Some((destination, 54).into())).unwrap();
        }
        for packet in packets(&mut near) {
            far.receive(NOW, packet.to_frame(), &mut ());
        }
        assert_eq!(received(&mut far, to), [b"all"]);
        far.connect(NOW, to, addr(1, 53)).unwrap();
        assert_eq!(far.local_addr(to), Ok((place, 54).into()));
        far.send_to(NOW, to, b"one", None).unwrap();
        for packet in packets(&mut far) {
            near.receive(NOW, packet.to_frame(), &mut ());
        }
        let mut buffer = [0; 9];
        assert_eq!(near.recv_from(from, &mut buffer), Ok((3, addr(2, 54))));
    }
    let mut stack = stack(1, false);
    let [datagrams, stream] = [stack.udp_socket(), stack.tcp_socket()].map(Result::unwrap);
    for (socket, place) in
        [(datagrams, [10, 7, 0, 9]), (datagrams, [240, 0, 0, 1]), (stream, [10, 7, 0, 255])]
    {
        let refused = stack.bind(socket, (place, 54).into());
        assert_eq!(refused, Err(SocketError::AddressNotAvailable), "{place:?}");
    }
}

/// `connect` and `send_to` say the same of each.
#[test]
fn a_peer_that_cannot_be_is_refused_by_its_fault() {
    let mut stack = stack(1, false);
    let socket = udp(&mut stack, addr(1, 53));
    for (peer, fault) in [
        ("0.0.0.0:9".parse().unwrap(), SocketError::InvalidArgument),
        ("127.0.0.1:9".parse().unwrap(), SocketError::NetworkUnreachable),
        ("240.0.0.1:9".parse().unwrap(), SocketError::NetworkUnreachable),
        ("[::1]:9".parse().unwrap(), SocketError::InvalidAddress),
        (([10, 7, 0, 255], 9).into(), SocketError::PermissionDenied),
    ] {
        assert_eq!(stack.connect(NOW, socket, peer), Err(fault), "{peer}");
        assert_eq!(stack.send_to(NOW, socket, b"x", Some(peer)), Err(fault), "{peer}");
    }
}

/// What the options say that it holds, though nobody has set them.
#[test]
fn a_new_socket_has_the_buffer_that_the_configuration_says() {
    let mut config = StackConfig::new("10.7.0.1/24".parse().unwrap());
    config.tcp.receive_buffer = 2300;
    let mut near = Stack::new(config, Seed::from_number(1)).unwrap();
    let mut far = stack(2, false);
    let (from, to) = (udp(&mut far, addr(2, 53)), udp(&mut near, addr(1, 54)));
    far.send_segments_to(NOW, from, &text(5000), 1000, Some(addr(1, 54))).unwrap();
    for packet in packets(&mut far) {
        near.receive(NOW, packet.to_frame(), &mut ());
    }
    assert_eq!(near.options(to).unwrap().receive_buffer, 2300);
    assert_eq!(received(&mut near, to).len(), 2);
}

/// What a socket is said to be ready for it must be able to do, or whoever asks turns in circles.
#[test]
fn an_error_is_told_to_a_sender_for_whom_there_is_no_room() {
    let (mut near, mut far) = (stack(2, false), stack(1, false));
    let socket = udp(&mut near, addr(2, 53));
    near.connect(NOW, socket, addr(1, 54)).unwrap();
    near.send_to(NOW, socket, b"anybody?", None).unwrap();
    for packet in packets(&mut near) {
        far.receive(NOW, packet.to_frame(), &mut ());
    }
    while near.send_to(NOW, socket, b"hello?", None).is_ok() {}
    for answer in packets(&mut far) {
        near.receive(NOW, answer.to_frame(), &mut ());
    }
    for error in [SocketError::Refused, SocketError::WouldBlock] {
        let is_ready = near.readiness(socket).contains(Readiness::WRITABLE);
        assert_eq!(is_ready, error != SocketError::WouldBlock);
        assert_eq!(near.send_to(NOW, socket, b"hello?", None), Err(error));
    }
}

/// As on Linux under IP_PMTUDISC_DONT: who lets routers fragment is told nothing of what fits.
#[test]
fn a_datagram_without_df_is_not_too_big_whoever_says_so() {
    for (code, expected) in [(3, Err(SocketError::Refused)), (4, Ok(8))] {
        let (mut near, mut far) = (stack(2, false), stack(1, false));
        let socket = udp(&mut near, addr(2, 53));
        near.connect(NOW, socket, addr(1, 54)).unwrap();
        near.send_to(NOW, socket, &text(1000), None).unwrap();
        for packet in packets(&mut near) {
            far.receive(NOW, packet.to_frame(), &mut ());
        }
        let mut counters = Counters::default();
        for answer in packets(&mut far) {
            let mut octets = answer.to_frame().octets().to_vec();
            octets[21] = code;
            octets[26..28].copy_from_slice(&600u16.to_be_bytes());
            octets[22..24].fill(0);
            let sum = Sum::default().add(&octets[20..]).finish();
            octets[22..24].copy_from_slice(&sum.to_be_bytes());
            near.receive(NOW, crate::Frame::new(octets), &mut counters);
        }
        let is_ready = near.readiness(socket).contains(Readiness::ERROR);
        assert_eq!(is_ready, expected.is_err(), "code {code}");
        assert_eq!(near.send_to(NOW, socket, b"go on...", None), expected, "code {code}");
        assert_eq!(counters.dropped(DropReason::IcmpUnused), u64::from(code == 4));
    }
}
