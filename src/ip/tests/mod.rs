//! Packets built by hand, so that nothing of `wire` or `ip` vouches for itself.

mod icmp;
mod input;
mod output;

use std::net::Ipv4Addr;

use super::output::SendError;
use super::*;
use crate::rng::Seed;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const DIRECTED_BROADCAST: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 255);
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// A host at 10.7.0.2/24.
fn host() -> Ipv4 {
    host_with(|_| ())
}

/// The same with other settings.
fn host_with(set: impl FnOnce(&mut InterfaceConfig)) -> Ipv4 {
    seeded_host(1, set)
}

fn seeded_host(seed: u64, set: impl FnOnce(&mut InterfaceConfig)) -> Ipv4 {
    let mut config = InterfaceConfig {
        addresses: vec!["10.7.0.2/24".parse().unwrap()],
        mtu: 1500,
        any_destination: false,
        checksum_offload: false,
        super_segment: 0,
        super_datagrams: false,
    };
    set(&mut config);
    Ipv4::new(&config, 552, &mut Rng::new(&Seed::from_number(seed)))
}

/// RFC 1071, one word at a time.
fn checksum(octets: &[u8]) -> [u8; 2] {
    let mut sum = 0u32;
    for word in octets.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

/// A packet from one address to another, with DF, an ID of 0 and a time to live of 64.
fn packet(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    octets.extend(source.octets());
    octets.extend(destination.octets());
    octets.extend(payload);
    let total_len = u16::try_from(octets.len()).unwrap();
    octets[2..4].copy_from_slice(&total_len.to_be_bytes());
    sealed(octets)
}

/// The packet with a header checksum that is right.
fn sealed(mut octets: Vec<u8>) -> Vec<u8> {
    let header_len = (usize::from(octets[0] & 0xf) * 4).min(octets.len());
    octets[10..12].fill(0);
    let sum = checksum(&octets[..header_len]);
    octets[10..12].copy_from_slice(&sum);
    octets
}

/// A packet for us with `hello` in a protocol above IP, after `alter` has had its way with it.
fn altered(alter: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut octets = packet(PEER, HERE, 253, b"hello");
    alter(&mut octets);
    sealed(octets)
}

/// Why the packet is dropped; `None` if it is not.
fn dropped(ip: &mut Ipv4, octets: Vec<u8>) -> Option<DropReason> {
    match ip.input(Frame::new(octets), Via::Device) {
        Verdict::Drop(reason) => Some(reason),
        Verdict::Deliver(_) | Verdict::EchoReply(_) | Verdict::Error(_) | Verdict::Answer(_) => {
            None
        }
    }
}

/// The datagram that the packet holds.
fn delivered(ip: &mut Ipv4, octets: Vec<u8>) -> Datagram {
    match ip.input(Frame::new(octets), Via::Device) {
        Verdict::Deliver(datagram) => datagram,
        other => panic!("{other:?}"),
    }
}
