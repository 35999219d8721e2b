//! Octets that are handed over, and not copied.

use std::collections::VecDeque;

use super::super::tests::Pair;
use super::*;
use crate::options::SocketOptions;
use crate::packet::{Checksum, Frame};
use crate::stack::Shutdown;
use crate::stack::memory::Memory;
use crate::time::Duration;

/// Whether `part` lies in the memory of `whole`.
fn lies_in(part: &[u8], whole: &[u8]) -> bool {
    whole.as_ptr_range().contains(&part.as_ptr())
}

#[test]
fn what_is_written_by_reference_leaves_from_where_it_lies() {
    let mut pair = Pair::new(1);
    let (socket, accepted) = pair.connect();
    let octets = Bytes::from(vec![7; 4000]);
    assert_eq!(pair.client.write_bytes(pair.now, socket, &octets), Ok(4000));
    let mut count = 0;
    while let Some(packet) = pair.client.transmit(pair.now, &mut ()) {
        for piece in &packet.payload {
            assert!(lies_in(piece, &octets));
            count += piece.len();
        }
        pair.server.receive(pair.now, packet.to_frame(), &mut ());
    }
    assert_eq!(count, 4000);
    assert_eq!(pair.server.read_bytes(pair.now, accepted, 9999).map(|b| b.len()), Ok(4000));
}

#[test]
fn few_octets_are_copied_and_many_are_taken_as_far_as_there_is_room() {
    let mut pair = Pair::new(2);
    let (socket, accepted) = pair.connect();
    let few = Bytes::from_static(b"few");
    assert_eq!(pair.client.write_bytes(pair.now, socket, &few), Ok(3));
    assert_eq!(pair.client.write(pair.now, socket, b", and "), Ok(6));
    let many = Bytes::from(vec![b'm'; 1 << 20]);
    let taken = pair.client.write_bytes(pair.now, socket, &many).unwrap();
    assert!((1 << 17..1 << 20).contains(&taken), "{taken}");
    let full = pair.client.write_bytes(pair.now, socket, &many);
    assert_eq!(full, Err(SocketError::WouldBlock));
    let mut arrived = Vec::new();
    while arrived.len() < 9 + taken {
        pair.exchange();
        match pair.server.read_bytes(pair.now, accepted, 5000) {
            Ok(part) => arrived.extend(part),
            Err(error) => {
                assert_eq!(error, SocketError::WouldBlock);
                pair.wait(Duration::from_millis(1));
            }
        }
    }
    assert!(arrived == [&b"few, and "[..], &many[..taken]].concat());
}

/// A segment of 40,000 octets, as a TUN hands it in, is read from where it was received.
#[test]
fn what_arrives_in_a_large_packet_is_read_from_where_it_lies() {
    let mut pair = Pair::new(3);
    pair.client.config.interface.checksum_offload = true;
    pair.client.config.interface.super_segment = 65_535;
    let (socket, accepted) = pair.connect();
    let octets: Vec<u8> = (0..200_000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let (mut written, mut read, mut shared) = (0, Vec::new(), 0);
    while read.len() < octets.len() {
        written += pair.client.write(pair.now, socket, &octets[written..]).unwrap_or(0);
        let mut frames: Vec<Frame> = Vec::new();
        while let Some(packet) = pair.client.transmit(pair.now, &mut ()) {
            let frame = packet.to_frame();
            assert_eq!(frame.offload().checksum, Checksum::Partial);
            pair.server.receive(pair.now, frame.clone(), &mut ());
            frames.push(frame);
        }
        while let Ok(part) = pair.server.read_bytes(pair.now, accepted, usize::MAX) {
            shared += usize::from(frames.iter().any(|frame| lies_in(&part, frame.octets())));
            read.extend(part);
        }
        while let Some(packet) = pair.server.transmit(pair.now, &mut ()) {
            pair.client.receive(pair.now, packet.to_frame(), &mut ());
        }
    }
    assert!(read == octets && shared >= 2, "{shared} parts were shared");
    pair.wait(Duration::from_secs(1));
    assert_eq!((pair.client.memory.used(), pair.server.memory.used()), (0, 0));
}

/// As a TUN without offload hands them in: 23 segments of an Ethernet's size are 33,304 octets.
#[test]
fn what_a_burst_brings_in_small_packets_is_kept_in_one_piece_if_it_is_much() {
    let mut pair = Pair::new(6);
    let (socket, accepted) = pair.connect();
    let rounds = [(150, 0), (150, 0), (22, 32), (23, 64), (45, 64), (46, 128), (60, 128)];
    for (count, charged) in rounds {
        let octets: Vec<u8> = (0..count * 1448u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        assert_eq!(pair.client.write(pair.now, socket, &octets), Ok(octets.len()));
        let (client, now) = (&mut pair.client, pair.now);
        let packets = std::iter::from_fn(|| client.transmit(now, &mut ()));
        let mut burst: VecDeque<Frame> = packets.map(|packet| packet.to_frame()).collect();
        if charged > 0 {
            assert_eq!(burst.len(), count as usize);
            pair.server.receive_burst(now, &mut burst, &mut ());
            assert_eq!(pair.server.memory.used(), charged << 10, "{count}");
            let whole = pair.server.read_bytes(now, accepted, usize::MAX).unwrap();
            assert!(whole == octets, "{count}: {} octets", whole.len());
        }
        // The congestion window has opened by the first ones.
        pair.server.receive_burst(now, &mut burst, &mut ());
        for _ in 0..60 {
            while pair.server.read_bytes(pair.now, accepted, usize::MAX).is_ok() {}
            pair.exchange();
            pair.wait(Duration::from_millis(1));
        }
        assert_eq!(pair.server.memory.used(), 0);
    }
}

#[test]
fn the_end_comes_behind_the_octets_and_before_it_nothing_blocks() {
    let mut pair = Pair::new(4);
    let (socket, accepted) = pair.connect();
    let read = |pair: &mut Pair, max| pair.server.read_bytes(pair.now, accepted, max);
    assert_eq!(read(&mut pair, 9), Err(SocketError::WouldBlock));
    assert_eq!(read(&mut pair, 0), Ok(Bytes::new()));
    pair.client.write(pair.now, socket, b"last").unwrap();
    pair.client.shutdown(pair.now, socket, Shutdown::Write).unwrap();
    pair.exchange();
    assert_eq!(read(&mut pair, 3), Ok(Bytes::from_static(b"las")));
    assert_eq!(read(&mut pair, 3), Ok(Bytes::from_static(b"t")));
    assert_eq!(read(&mut pair, 3), Ok(Bytes::new()));
    let octets = Bytes::from_static(b"x");
    let refused = pair.client.write_bytes(pair.now, socket, &octets);
    assert_eq!(refused, Err(SocketError::BrokenPipe));
}

#[test]
fn what_a_reset_connection_has_left_is_read_before_the_error() {
    let mut pair = Pair::new(5);
    let (socket, accepted) = pair.connect();
    pair.client.write(pair.now, socket, b"left").unwrap();
    pair.exchange();
    let options = pair.client.options(socket).unwrap();
    let linger = Some(Duration::ZERO);
    pair.client.set_options(socket, SocketOptions { linger, ..options }).unwrap();
    pair.client.close(pair.now, socket);
    pair.exchange();
    let read = |pair: &mut Pair| pair.server.read_bytes(pair.now, accepted, 9);
    assert_eq!(read(&mut pair), Ok(Bytes::from_static(b"left")));
    assert_eq!(read(&mut pair), Err(SocketError::Reset));
    assert_eq!(read(&mut pair), Ok(Bytes::new()));
}

/// A head and a body that are written together leave together, each from where it lies.
#[test]
fn several_that_are_written_by_one_call_leave_in_one_segment() {
    let mut pair = Pair::new(7);
    let (socket, accepted) = pair.connect();
    let chunks = [vec![b'h'; 200], Vec::new(), vec![b'b'; 1100]].map(Bytes::from);
    assert_eq!(pair.client.write_bytes_vectored(pair.now, socket, &chunks), Ok(1300));
    let packet = pair.client.transmit(pair.now, &mut ()).unwrap();
    assert!(packet.payload.iter().any(|piece| lies_in(piece, &chunks[2])));
    pair.server.receive(pair.now, packet.to_frame(), &mut ());
    assert!(pair.client.transmit(pair.now, &mut ()).is_none(), "all of it has left");
    assert_eq!(pair.server.read_bytes(pair.now, accepted, 9999), Ok(chunks.concat().into()));

    // As much as there is room for, and the count tells where to go on.
    let many = [Bytes::from(vec![1; 200_000]), Bytes::from(vec![2; 200_000])];
    let taken = pair.client.write_bytes_vectored(pair.now, socket, &many).unwrap();
    assert!((200_001..400_000).contains(&taken), "{taken}");
    let full = pair.client.write_bytes_vectored(pair.now, socket, &many);
    assert_eq!(full, Err(SocketError::WouldBlock));
}

#[test]
fn octets_of_several_packets_are_read_by_one_call_up_to_the_end_or_an_error() {
    for is_reset in [false, true] {
        let mut pair = Pair::new(8);
        pair.client.config.interface.checksum_offload = true;
        pair.client.config.interface.super_segment = 65_535;
        let (socket, accepted) = pair.connect();
        let read = |pair: &mut Pair, chunks: &mut [Bytes]| {
            pair.server.read_bytes_vectored(pair.now, accepted, chunks)
        };
        let mut chunks = [const { Bytes::new() }; 8];
        assert_eq!(read(&mut pair, &mut chunks), Err(SocketError::WouldBlock));
        // The congestion window grows, so that packets are large afterwards.
        let mut sent = 0;
        while sent < 1 << 20 {
            sent += pair.client.write(pair.now, socket, &vec![0; 1 << 16]).unwrap_or(0);
            pair.exchange();
            while pair.server.read_bytes(pair.now, accepted, usize::MAX).is_ok() {}
        }
        let octets: Vec<u8> = (0..150_000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        assert_eq!(pair.client.write(pair.now, socket, &octets), Ok(octets.len()));
        pair.exchange();
        if is_reset {
            let options = pair.client.options(socket).unwrap();
            let linger = Some(Duration::ZERO);
            pair.client.set_options(socket, SocketOptions { linger, ..options }).unwrap();
        }
        pair.client.close(pair.now, socket);
        pair.exchange();

        assert_eq!(read(&mut pair, &mut []), Ok(0));
        let mut all = Vec::new();
        let mut calls = 0;
        while all.len() < octets.len() {
            let count = read(&mut pair, &mut chunks[..2]).unwrap();
            assert!((1..=2).contains(&count), "{count}");
            all.extend(chunks[..count].concat());
            calls += 1;
        }
        assert!(all == octets);
        // An error that waits makes calls short, so that one is left to tell of it.
        assert_eq!(calls == 2, !is_reset, "{calls} calls");
        let end = if is_reset { Err(SocketError::Reset) } else { Ok(0) };
        assert_eq!(read(&mut pair, &mut chunks), end);
        assert_eq!(read(&mut pair, &mut chunks), Ok(0));
    }
}

#[test]
fn a_datagram_socket_has_no_stream() {
    let mut pair = Pair::new(6);
    let socket = pair.client.udp_socket().unwrap();
    let octets = Bytes::from_static(b"x");
    let written = pair.client.write_bytes(pair.now, socket, &octets);
    assert_eq!(written, Err(SocketError::NotSupported));
    let read = pair.client.read_bytes(pair.now, socket, 9);
    assert_eq!(read, Err(SocketError::NotSupported));
}

/// One packet that is not read would keep the memory of all that came in with it.
#[test]
fn where_much_is_held_no_packet_keeps_the_memory_that_it_shares() {
    const LIMIT: usize = 512 << 10;
    let mut pair = Pair::new(7);
    pair.client.config.interface.checksum_offload = true;
    pair.client.config.interface.super_segment = 65_535;
    pair.server.memory = Memory::new(LIMIT);
    let (socket, accepted) = pair.connect();
    // The congestion window opens, so that segments are as large as they can be.
    for _ in 0..20 {
        fill(&mut pair, socket);
        while pair.server.read_bytes(pair.now, accepted, usize::MAX).is_ok() {}
    }
    let packets = fill(&mut pair, socket);
    let waiting = pair.server.readable(accepted).unwrap() as usize;
    let kept = packets.iter().filter(|packet| !packet.is_unique()).map(Bytes::len);
    let (most, kept) = (LIMIT / 8 + 65_535, kept.sum::<usize>());
    assert!(kept > 0 && kept <= most && waiting > most, "{kept} of {waiting}");
    let mut text = Vec::new();
    while let Ok(part) = pair.server.read_bytes(pair.now, accepted, usize::MAX) {
        text.extend(part);
    }
    assert!(text.len() == waiting && text.iter().all(|&octet| octet == 7));
}

/// Writes to the server until nothing more arrives there; the packets that have.
fn fill(pair: &mut Pair, socket: SocketId) -> Vec<Bytes> {
    let (mut packets, text) = (Vec::new(), vec![7; 200_000]);
    loop {
        let before = packets.len();
        let _ = pair.client.write(pair.now, socket, &text);
        while let Some(packet) = pair.client.transmit(pair.now, &mut ()) {
            let frame = packet.to_frame();
            pair.server.receive(pair.now, frame.clone(), &mut ());
            packets.push(frame.into_bytes());
        }
        while let Some(packet) = pair.server.transmit(pair.now, &mut ()) {
            pair.client.receive(pair.now, packet.to_frame(), &mut ());
        }
        if packets.len() == before {
            return packets;
        }
    }
}
