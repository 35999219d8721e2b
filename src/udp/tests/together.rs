//! Datagrams that leave and arrive together.

use std::num::NonZeroU16;

use super::super::input::Taken;
use super::*;
use crate::packet::{Checksum, Offload};

/// What a device hands over of several datagrams of `size` octets.
fn together(size: u16) -> Offload {
    Offload { checksum: Checksum::Partial, segment: NonZeroU16::new(size) }
}

#[test]
fn datagrams_that_came_together_are_read_one_by_one() {
    let text: Vec<u8> = (0..250).collect();
    for (len, size, lengths) in [
        (250, 100, &[100, 100, 50][..]),
        (200, 100, &[100, 100]),
        (100, 100, &[100]),
        (99, 100, &[99]),
        (1, u16::MAX, &[1]),
        (3, 1, &[1, 1, 1]),
        (0, 100, &[0]),
    ] {
        let mut udp = udp();
        let id = bound(&mut udp, "0.0.0.0:53");
        let octets = datagram(5000, 53, &text[..len]);
        let taken = udp.input(PEER, HERE, &octets, together(size));
        assert_eq!(taken, Ok(Taken { id, refused: 0 }), "{len} by {size}");
        let mut whole = Vec::new();
        for &expected in lengths {
            let (datagram, source) = receive(&mut udp, id).unwrap();
            assert_eq!((datagram.len(), source), (expected, addr("10.7.0.1:5000")));
            whole.extend(datagram);
        }
        assert_eq!(whole, text[..len]);
        assert!(!udp.has_datagram(id), "{len} by {size}");
    }
}

#[test]
fn of_datagrams_that_came_together_those_without_room_are_counted() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    let options = UdpOptions { receive_buffer: 3 * 164, ..UdpOptions::default() };
    udp.set_options(id, options).unwrap();
    let octets = datagram(5000, 53, &[7; 450]);
    let taken = udp.input(PEER, HERE, &octets, together(100));
    assert_eq!(taken, Ok(Taken { id, refused: 2 }));
    for _ in 0..3 {
        assert_eq!(receive(&mut udp, id).unwrap().0.len(), 100);
    }
}

/// What lies behind the length that UDP says is padding, in a packet of many too.
#[test]
fn a_length_that_does_not_match_decides_how_much_is_split() {
    let mut udp = udp();
    let id = bound(&mut udp, "0.0.0.0:53");
    let mut octets = datagram(5000, 53, &[7; 150]);
    octets.extend([8; 100]);
    udp.input(PEER, HERE, &octets, together(100)).unwrap();
    assert_eq!(receive(&mut udp, id).unwrap().0, [7; 100]);
    assert_eq!(receive(&mut udp, id).unwrap().0, [7; 50]);
    assert!(!udp.has_datagram(id));
    octets.truncate(100);
    assert_eq!(udp.input(PEER, HERE, &octets, together(100)), Err(Truncated));
    octets.truncate(7);
    assert_eq!(udp.input(PEER, HERE, &octets, together(100)), Err(Truncated));
    assert!(!udp.has_datagram(id));
}

#[test]
fn of_datagrams_that_leave_together_each_fits_one_packet() {
    let mut udp = udp();
    let id = udp.open();
    let to = Some(peer("10.7.0.1:53"));
    let octets = vec![0; 5000];
    let too_long = udp.send(id, to, &octets, 1473, 1500);
    assert_eq!(too_long, Err(SocketError::MessageTooLong));
    assert_eq!(udp.send(id, to, &octets, 1472, 1500).unwrap().payload.len(), 5000);
    assert!(udp.send(id, to, &octets[..1472], 5000, 1500).is_ok(), "it is only one");
}
