//! A device that came as a descriptor: one packet a call, and many by one.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::*;
use crate::device::sys::ring::READS_MAX;
use crate::packet::{Checksum, Offload};
use crate::wire::virtio_net;

fn given(mtu: u32) -> (Tun, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Tun::from_fd(ours.into(), mtu).unwrap(), theirs)
}

fn outgoing(octets: &[u8]) -> Outgoing {
    let mut packet = Outgoing::default();
    let (head, payload) = octets.split_at(octets.len().min(100) / 2);
    packet.head.extend(head.iter().copied());
    packet.payload.push(payload.to_vec().into());
    packet
}

#[test]
fn a_given_descriptor_carries_packets_both_ways_and_one_piece_each() {
    let (mut tun, peer) = given(1500);
    let mut packets = VecDeque::from([outgoing(&[1; 60]), outgoing(&[2; 40])]);
    tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
    assert!(packets.is_empty());
    let mut octets = [0; 2000];
    assert_eq!(peer.recv(&mut octets).unwrap(), 60);
    assert_eq!(octets[..60], [1; 60]);
    assert_eq!(peer.recv(&mut octets).unwrap(), 40);

    for n in 1..=3 {
        peer.send(&[n; 1500]).unwrap();
    }
    let mut frames = VecDeque::new();
    assert_eq!(
        tun.receive_burst(Instant::ZERO, &mut frames, 2).unwrap(),
        2,
        "no more than asked for"
    );
    assert!(!tun.is_drained(), "nobody has looked behind the second");
    assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 2).unwrap(), 1);
    assert!(tun.is_drained());
    assert_eq!(
        tun.receive_burst(Instant::ZERO, &mut frames, 2).unwrap(),
        0,
        "nothing waits, and nothing blocks"
    );
    let octets: Vec<_> = frames.iter().map(|frame| frame.octets().to_vec()).collect();
    assert_eq!(octets, [[1; 1500], [2; 1500], [3; 1500]]);
}

#[test]
fn a_packet_without_room_is_dropped_and_counted_and_the_next_call_goes_on() {
    let (mut tun, peer) = given(1500);
    let mut sent = 0;
    while tun.dropped() == 0 {
        let mut packets = VecDeque::from([outgoing(&[5; 100])]);
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        sent += 1;
        assert!(sent < 100_000, "the socket never fills");
    }
    let mut octets = [0; 200];
    let mut arrived = 0;
    while peer.recv(&mut octets).is_ok() {
        arrived += 1;
    }
    assert_eq!(arrived, sent - tun.dropped());
    let mut packets = VecDeque::from([outgoing(&[6; 100])]);
    tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
    assert_eq!(peer.recv(&mut octets).unwrap(), 100);
}

#[test]
fn a_peer_that_has_gone_is_an_error_and_leaves_no_packet_behind() {
    let (mut tun, peer) = given(1500);
    drop(peer);
    let mut packets = VecDeque::from([outgoing(&[5; 100]), outgoing(&[5; 100])]);
    assert!(tun.transmit_burst(Instant::ZERO, &mut packets).is_err());
    assert!(packets.is_empty());
}

#[test]
fn an_empty_datagram_is_no_end_of_the_device_and_a_hang_up_is() {
    let (mut tun, peer) = given(1500);
    for packet in [&[][..], &[7; 40]] {
        peer.send(packet).unwrap();
    }
    let mut frames = VecDeque::new();
    assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap(), 2);
    let lens: Vec<_> = frames.iter().map(|frame| frame.octets().len()).collect();
    assert_eq!(lens, [0, 40], "nobody can read the first, and it is dropped where all are");
    let (ours, peer) = UnixStream::pair().unwrap();
    drop(peer);
    let file = File::open("/dev/null").unwrap();
    for gone in [OwnedFd::from(ours), OwnedFd::from(file)] {
        let mut tun = Tun::from_fd(gone, 1500).unwrap();
        let error = tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }
}

#[test]
fn a_peer_of_datagrams_that_is_not_there_yet_is_no_end_of_the_device() {
    let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = ours.local_addr().unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let there = peer.local_addr().unwrap();
    drop(peer);
    ours.connect(there).unwrap();
    let mut tun = Tun::from_fd(ours.into(), 1500).unwrap();
    let mut frames = VecDeque::new();
    for _ in 0..3 {
        let mut packets = VecDeque::from([outgoing(&[1; 60]), outgoing(&[2; 60])]);
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap(), 0);
    }
    assert!(tun.dropped() > 0, "what would have been the next is lost for the error");
    let peer = UdpSocket::bind(there).unwrap();
    peer.send_to(&[3; 40], here).unwrap();
    assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 4).unwrap(), 1);
}

#[test]
fn an_mtu_that_ipv4_does_not_allow_is_refused() {
    for mtu in [0, 67, 65_536] {
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        let error = Tun::from_fd(ours.into(), mtu).unwrap_err();
        assert!(matches!(error, TunError::MtuOutOfRange { .. }), "{mtu}");
    }
}

/// Packets of many lengths, each of them its number again and again: what a ring takes, what it
/// does not, and what stands between such.
fn numbered(count: u8) -> Vec<Vec<u8>> {
    let len = |n: u8| match n % 16 {
        9 => SHORT + 1,
        10 => SHORT,
        11 => 1500,
        rest => 20 + usize::from(rest),
    };
    (0..count).map(|n| vec![n; len(n)]).collect()
}

/// A device with a ring; `None`, with a word, where the machine forbids io_uring, or its kernel has
/// none that is of use for sockets, as before Linux 6.5.
fn ringed(mut tun: Tun) -> Option<Tun> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|it| it.parse().unwrap_or(0));
    if [numbers.next(), numbers.next()] < [Some(6), Some(5)] {
        eprintln!("not tried, since Linux {release} is too old");
        return None;
    }
    match tun.use_io_uring() {
        Ok(()) => Some(tun),
        Err(error) => {
            eprintln!("not tried, since there is no io_uring: {error}");
            None
        }
    }
}

fn received(recv: impl Fn(&mut [u8]) -> io::Result<usize>) -> Vec<Vec<u8>> {
    let mut buffer = [0; 4000];
    std::iter::from_fn(|| recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect()
}

/// As [`given`], with room for a hundred packets each way, which sockets of Unix have not.
fn roomy() -> (Tun, UdpSocket) {
    let [ours, theirs] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    ours.connect(theirs.local_addr().unwrap()).unwrap();
    theirs.connect(ours.local_addr().unwrap()).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Tun::from_fd(ours.into(), 1500).unwrap(), theirs)
}

#[test]
fn what_a_ring_writes_arrives_in_order_and_once() {
    let (tun, peer) = roomy();
    let Some(mut tun) = ringed(tun) else { return };
    for count in [1, 3, 4, 5, 63, 64, 65, 100] {
        let texts = numbered(count);
        let mut packets = texts.iter().map(|text| outgoing(text)).collect();
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert!(packets.is_empty());
        assert_eq!(received(|buffer| peer.recv(buffer)), texts);
    }
    assert_eq!(tun.dropped(), 0);
    assert!(tun.ring.is_some());
}

#[test]
fn what_a_ring_reads_is_all_that_came_in_order_and_no_more_than_asked_for() {
    let (tun, peer) = roomy();
    let Some(mut tun) = ringed(tun) else { return };
    let texts = numbered(120);
    for (round, part) in texts.chunks(13).enumerate() {
        for text in part {
            assert_eq!(peer.send(text).unwrap(), text.len());
        }
        let mut frames = VecDeque::new();
        let max = [8, 13, READS_MAX, 100][round % 4];
        let count = tun.receive_burst(Instant::ZERO, &mut frames, max).unwrap();
        assert_eq!((count, frames.len()), (max.min(part.len()), count));
        assert_eq!(tun.is_drained(), part.len() < max, "{count} of {max}");
        let rest = tun.receive_burst(Instant::ZERO, &mut frames, max).unwrap();
        assert_eq!(count + rest, part.len());
        assert!(tun.is_drained());
        let octets: Vec<_> = frames.iter().map(|frame| frame.octets().to_vec()).collect();
        assert_eq!(octets, part);
    }
    assert!(tun.ring.is_some());
}

#[test]
fn a_header_crosses_with_each_packet_of_a_ring() {
    let (ours, peer) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    peer.set_nonblocking(true).unwrap();
    let queue = TunQueue::new(File::from(OwnedFd::from(ours)));
    let Some(mut tun) = ringed(Tun::new(Queue::Offloading(queue), 1500)) else { return };
    let head: Vec<u8> = [&[0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6], &[0; 34][..]].concat();
    let offload = Offload { checksum: Checksum::Partial, segment: None };
    let packet = Outgoing { offload, ..outgoing(&head) };
    let no_tcp = Outgoing { offload, ..outgoing(&[0x45; 44]) };
    let mut packets: VecDeque<_> =
        [[(); 3].map(|()| packet.clone())].into_iter().flatten().collect();
    packets.push_back(no_tcp);
    packets.push_back(outgoing(&[7; 30]));
    tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
    assert_eq!(tun.dropped(), 1, "the kernel could not complete its checksum");
    let written = received(|buffer| peer.recv(buffer));
    let header = virtio_net::emit(offload, &packet.head).unwrap();
    let expected = [&header[..], &head].concat();
    assert_eq!(written[..3], [&expected, &expected, &expected].map(Vec::clone));
    assert_eq!(written[3..], [[&[0; virtio_net::LEN][..], &[7; 30]].concat()]);

    for packet in &written {
        assert_eq!(peer.send(packet).unwrap(), packet.len());
    }
    peer.send(&[0; 5]).unwrap();
    let mut frames = VecDeque::new();
    assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 16).unwrap(), 5);
    assert!(frames.iter().take(3).all(|it| it.octets() == head && it.offload() == offload));
    assert_eq!((frames[3].octets(), frames[3].offload()), (&[7; 30][..], Offload::default()));
    assert!(frames[4].octets().is_empty(), "there is less than a header, and it is dropped");
}

#[test]
fn what_a_ring_finds_no_room_for_is_dropped_and_counted() {
    let (tun, peer) = given(1500);
    let Some(mut tun) = ringed(tun) else { return };
    let mut sent = 0;
    while tun.dropped() == 0 {
        let mut packets = (0..20).map(|_| outgoing(&[5; 100])).collect();
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert!(packets.is_empty());
        sent += 20;
        assert!(sent < 100_000, "the socket never fills");
    }
    assert_eq!(received(|buffer| peer.recv(buffer)).len() as u64, sent - tun.dropped());
    tun.transmit_burst(Instant::ZERO, &mut [[6; 50]; 8].map(|it| outgoing(&it)).into()).unwrap();
    assert_eq!(received(|buffer| peer.recv(buffer)), vec![vec![6; 50]; 8]);
}

#[test]
fn what_icmp_has_refused_of_a_ring_is_written_once_more() {
    let (tun, peer) = roomy();
    let there = peer.local_addr().unwrap();
    drop(peer);
    let Some(mut tun) = ringed(tun) else { return };
    for _ in 0..3 {
        // Each that finds nobody has the next refused: refusals among what is carried.
        let mut packets = numbered(8).iter().map(|text| outgoing(text)).collect();
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert!(tun.ring.is_some() && packets.is_empty());
        let mut frames = VecDeque::new();
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 16).unwrap(), 0);
    }
    let peer = UdpSocket::bind(there).unwrap();
    peer.set_nonblocking(true).unwrap();
    let mut packets = numbered(8).iter().map(|text| outgoing(text)).collect();
    tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
    let mut texts = received(|buffer| peer.recv(buffer));
    texts.sort();
    assert_eq!(texts, numbered(8), "the error of one before has cost none of them");
}

#[test]
fn large_packets_cross_a_ring_too() {
    let (tun, peer) = roomy();
    let Some(mut tun) = ringed(tun) else { return };
    let mut frames = VecDeque::new();
    for len in [60_000, 100, 30_000, 100] {
        let texts = [1, 2, 3].map(|n| vec![n; len]);
        for text in &texts {
            peer.send(text).unwrap();
        }
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 16).unwrap(), 3);
        let octets: Vec<_> = frames.drain(..).map(|frame| frame.octets().to_vec()).collect();
        assert!(octets == texts, "{len}");
    }
}

#[test]
fn an_empty_datagram_and_the_end_of_a_device_are_seen_behind_a_ring() {
    let (tun, peer) = given(1500);
    let Some(mut tun) = ringed(tun) else { return };
    for packet in [&[1; 40][..], &[], &[2; 40]] {
        peer.send(packet).unwrap();
    }
    let mut frames = VecDeque::new();
    assert_eq!(tun.receive_burst(Instant::ZERO, &mut frames, 16).unwrap(), 2);
    assert_eq!([frames[0].octets()[0], frames[1].octets()[0]], [1, 2]);
    drop(peer);
    let mut packets = [[6; 50]; 8].map(|it| outgoing(&it)).into();
    assert!(tun.transmit_burst(Instant::ZERO, &mut packets).is_err());
    assert!(packets.is_empty(), "no packet is left behind");

    let (ours, peer) = UnixStream::pair().unwrap();
    drop(peer);
    let mut tun = ringed(Tun::from_fd(ours.into(), 1500).unwrap()).unwrap();
    let error = tun.receive_burst(Instant::ZERO, &mut frames, 16).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn a_descriptor_that_cannot_say_whether_it_would_wait_is_used_without_a_ring() {
    // The kernel asks that of a file for each request; a terminal's cannot tell.
    let open = || File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    let given = || Tun::from_fd(open().into(), 1500).unwrap();
    let Some(mut tun) = ringed(given()) else { return };
    let mut packets = [[b'x'; 8]; 8].map(|it| outgoing(&it)).into();
    tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
    assert!(tun.ring.is_none() && packets.is_empty());
    assert_eq!(tun.dropped(), 0, "they were written one by one");
    let mut tun = ringed(given()).unwrap();
    assert_eq!(tun.receive_burst(Instant::ZERO, &mut VecDeque::new(), 16).unwrap(), 0);
    assert!(tun.ring.is_none() && tun.is_drained());
}

#[test]
fn a_device_goes_with_its_ring_at_once() {
    for _ in 0..50 {
        let (tun, peer) = given(1500);
        let Some(mut tun) = ringed(tun) else { return };
        let mut packets = [[6; 50]; 8].map(|it| outgoing(&it)).into();
        tun.transmit_burst(Instant::ZERO, &mut packets).unwrap();
        assert_eq!(tun.receive_burst(Instant::ZERO, &mut VecDeque::new(), 16).unwrap(), 0);
        assert!(tun.ring.is_some() && peer.send(&[1]).is_ok());
        drop(tun);
        let error = peer.send(&[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
