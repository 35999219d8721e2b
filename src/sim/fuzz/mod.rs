//! Bodies of the fuzz targets: any octets in, no panic, and what must hold holds.
//!
//! They run on stable Rust: `fuzz/` hands them cargo-fuzz's octets, and `tests/fuzz_replay.rs` the
//! corpora and octets that a seed decides.

mod connection;
mod options;
mod reassembly;
mod stack_pair;

use std::net::SocketAddr;

pub use self::connection::connection;
pub use self::options::options;
pub use self::reassembly::reassembly;
pub use self::stack_pair::stack_pair;
use super::craft::checksums_hold;
use super::random::Random;
use crate::config::StackConfig;
use crate::device::carry_out_arrived;
use crate::packet::Frame;
use crate::rng::Seed;
use crate::stack::Stack;
use crate::time::Instant;
use crate::wire::display::describe;
use crate::wire::icmpv4::Icmpv4Message;
use crate::wire::ipv4::Ipv4Header;
use crate::wire::ipv4_options;
use crate::wire::tcp::TcpHeader;
use crate::wire::tcp_options::TcpOptions;
use crate::wire::udp::UdpHeader;
use crate::wire::virtio_net;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All targets, by the names that `scripts/fuzz.sh` takes.
pub const TARGETS: [(&str, Target); 5] = [
    ("wire", wire),
    ("options", options),
    ("reassembly", reassembly),
    ("connection", connection),
    ("stack_pair", stack_pair),
];

/// Reads `octets` in every way that the stack reads octets from outside.
///
/// # Panics
/// If a parser claims more octets than there are.
pub fn wire(octets: &[u8]) {
    for view in [Ipv4Header::parse(octets), Ipv4Header::parse_quoted(octets)].into_iter().flatten()
    {
        assert!(view.header_len <= octets.len() && view.header_len >= Ipv4Header::LEN);
        assert_eq!(view.options.len(), view.header_len - Ipv4Header::LEN);
        assert!(ipv4_options::options(view.options).count() <= view.options.len());
    }
    assert!(ipv4_options::options(octets).count() <= octets.len());
    if let Ok(view) = TcpHeader::parse(octets) {
        assert_eq!(view.options.len(), view.header_len - TcpHeader::LEN);
        assert!(view.header_len <= octets.len());
    }
    if let Ok(options) = TcpOptions::parse(octets) {
        assert!(options.len() <= 40 || options.sack.len() > 2, "{options:?}");
    }
    if let Ok((_, payload)) = UdpHeader::parse(octets) {
        assert!(payload.len() + UdpHeader::LEN <= octets.len());
    }
    behind_a_device_header(octets);
    // Whether it is one does not matter here: reading it must end.
    let _ = Icmpv4Message::parse(octets);
    assert!(!describe(octets).to_string().is_empty());
}

/// Takes `octets` as what a queue with a `virtio_net_hdr` hands over: a stack takes it in, and
/// whoever needs the packets of a wire gets them.
fn behind_a_device_header(octets: &[u8]) {
    let Some((header, packet)) = octets.split_first_chunk() else { return };
    let Ok(offload) = virtio_net::parse(*header, packet) else { return };
    let frame = Frame::with_offload(packet.to_vec(), offload);
    let mut parts = 0;
    carry_out_arrived(frame.clone(), |part| {
        assert!(part.octets().len() <= packet.len());
        parts += 1;
    });
    assert!((1..=packet.len().max(1)).contains(&parts), "{parts} of {}", packet.len());
    let config = StackConfig::new("10.7.0.2/24".parse().expect("it is an address"));
    let mut stack = Stack::new(config, Seed::from_number(1)).expect("the configuration holds");
    let socket = stack.udp_socket().expect("there is room for a socket");
    stack.bind(socket, SocketAddr::from(([10, 7, 0, 2], 53))).expect("the port is free");
    stack.receive(Instant::ZERO, frame, &mut ());
    let (mut arrived, mut buffer) = (0, vec![0; packet.len()]);
    while let Ok((len, _)) = stack.recv_from(socket, &mut buffer) {
        arrived += len;
        let most = offload.segment.map_or(usize::MAX, |size| size.get().into());
        assert!(len <= most, "two datagrams have become one");
    }
    assert!(arrived <= packet.len());
}

/// A packet that no stack sends: `template` cut, flipped or overwritten. Its checksums are wrong,
/// so that nobody may act on it.
pub fn mutated(random: &mut Random, template: &[u8]) -> Vec<u8> {
    loop {
        let mut octets = template.to_vec();
        match random.below(4) {
            0 => octets.truncate(random.index(template.len().max(1))),
            1 => {
                for _ in 0..=random.below(8) {
                    let place = random.index(octets.len());
                    if let Some(octet) = octets.get_mut(place) {
                        *octet ^= 1 << random.below(8);
                    }
                }
            }
            2 => {
                let place = random.index(octets.len());
                for octet in octets.iter_mut().skip(place).take(1 + random.index(20)) {
                    *octet = random.word().to_le_bytes()[0];
                }
            }
            _ => {
                let len = random.index(200);
                octets = (0..len).map(|_| random.word().to_le_bytes()[0]).collect();
            }
        }
        if !checksums_hold(&octets) {
            return octets;
        }
    }
}

/// A small distance, both ways, or a large one.
fn delta(scale: u8, low: u8) -> u32 {
    let distance = u32::from(low) << (scale % 25);
    if scale >= 128 { distance.wrapping_neg() } else { distance }
}
