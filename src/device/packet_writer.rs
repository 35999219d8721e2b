//! How a packet is written to a TUN: what one call brings is one packet.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};

use arrayvec::ArrayVec;
use smallvec::SmallVec;

use crate::packet::Outgoing;

/// Octets, header included, of a packet that is written in one piece: one of an Ethernet's size is.
const ONE_PIECE_MAX: usize = 1600;

/// Writes a packet, behind the `header` that the queue wants before each.
pub(super) fn write_packet(mut file: &File, header: &[u8], packet: &Outgoing) -> io::Result<()> {
    if let Some(whole) = in_one_piece(header, packet) {
        return file.write(&whole).map(drop);
    }
    let mut slices: SmallVec<[IoSlice<'_>; 12]> = SmallVec::new();
    if !header.is_empty() {
        slices.push(IoSlice::new(header));
    }
    // One by one: to ask the iterator how many there are costs more than these few.
    for slice in packet.slices() {
        slices.push(IoSlice::new(slice));
    }
    file.write_vectored(&slices).map(drop)
}

/// A packet that is no super-segment with its header in one piece: to copy it costs less than what
/// the kernel takes to look at several pieces.
fn in_one_piece(header: &[u8], packet: &Outgoing) -> Option<ArrayVec<u8, ONE_PIECE_MAX>> {
    if header.len() + packet.len() > ONE_PIECE_MAX {
        return None;
    }
    let mut whole = ArrayVec::new();
    whole.try_extend_from_slice(header).ok()?;
    for piece in packet.slices() {
        whole.try_extend_from_slice(piece).ok()?;
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_packet_of_any_length_crosses_behind_its_header_by_one_call() {
        let (ours, peer) = UnixDatagram::pair().unwrap();
        let file = File::from(OwnedFd::from(ours));
        for header in [&b""[..], b"0123456789"] {
            let most = ONE_PIECE_MAX - 40 - header.len();
            for len in [0, 1, most, most + 1, 3000] {
                let text: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
                let (left, right) = text.split_at(len / 3);
                let mut packet = Outgoing::default();
                packet.head.extend([0x45; 40]);
                packet.payload.extend([left, right].map(Bytes::copy_from_slice));
                write_packet(&file, header, &packet).unwrap();
                let mut octets = [0; 4000];
                let got = peer.recv(&mut octets).unwrap();
                assert!(octets[..got] == [header, &[0x45; 40], &text].concat(), "{len}");
            }
        }
    }
}
