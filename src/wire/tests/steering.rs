//! Whose a packet is.

use super::*;
use crate::rng::Seed;
use crate::wire::Endpoint;
use crate::wire::tests::{CLIENT, DATAGRAM, ECHO, SERVER, SYN};

fn steering(count: u16, seed: u64) -> Steering {
    Steering::new(NonZeroU16::new(count).unwrap(), &Seed::from_number(seed))
}

fn flow(local: (Ipv4Addr, u16), remote: (Ipv4Addr, u16)) -> FourTuple {
    let end = |(addr, port): (Ipv4Addr, u16)| Endpoint::new(addr.into(), port);
    FourTuple { local: end(local), remote: end(remote) }
}

/// The flow of [`SYN`], seen from the server.
fn flow_of_syn() -> FourTuple {
    flow((SERVER, 80), (CLIENT, 0x9144))
}

/// An IPv4 packet of 20 + 4 × `options` octets of header; checksums are nobody's business here.
fn packet(
    protocol: u8,
    (source, destination): (Ipv4Addr, Ipv4Addr),
    options: u8,
    rest: &[u8],
) -> Vec<u8> {
    let mut octets = vec![0; 20];
    (octets[0], octets[9]) = (0x45 + options, protocol);
    octets[12..16].copy_from_slice(&source.octets());
    octets[16..20].copy_from_slice(&destination.octets());
    octets.extend(std::iter::repeat_n(1, 4 * usize::from(options))); // No-operation.
    octets.extend(rest);
    octets
}

fn ports(source: u16, destination: u16) -> [u8; 8] {
    let [[s0, s1], [d0, d1]] = [source, destination].map(u16::to_be_bytes);
    [s0, s1, d0, d1, 0, 0, 0, 0]
}

fn icmp_error(kind: u8, quote: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 0, 0, 0];
    message.extend(quote);
    packet(PROTOCOL_ICMP, (Ipv4Addr::new(10, 9, 9, 9), SERVER), 0, &message)
}

/// A key under which the flow of the packets here and the port 53 are not those of shard 0, so that
/// what is found by chance and what is not found differ.
fn telling() -> Steering {
    (0..1000)
        .map(|seed| steering(16, seed))
        .find(|steering| {
            let owners = [steering.owner_of_flow(&flow_of_syn()), steering.owner_of_udp_port(53)];
            owners[0] != owners[1] && !owners.contains(&0)
        })
        .unwrap()
}

#[test]
fn a_packet_belongs_to_the_owner_of_its_flow_or_of_its_port_or_to_shard_0() {
    let steering = telling();
    let (tcp, udp) = (steering.owner_of_flow(&flow_of_syn()), steering.owner_of_udp_port(53));
    let arriving = (CLIENT, SERVER);
    let leaving = (SERVER, CLIENT);
    let syn = |options| packet(PROTOCOL_TCP, arriving, options, &ports(0x9144, 80));
    let query = |options, from| packet(PROTOCOL_UDP, arriving, options, &ports(from, 53));
    let sent_segment = |options| packet(PROTOCOL_TCP, leaving, options, &ports(80, 0x9144));
    let sent_datagram = |options| packet(PROTOCOL_UDP, leaving, options, &ports(53, 4000));
    let with = |mut octets: Vec<u8>, at: usize, octet: u8| {
        octets[at] = octet;
        octets
    };
    for (name, octets, owner) in [
        ("as Linux sent it", SYN.to_vec(), tcp),
        ("a segment", syn(0), tcp),
        ("with IP options", syn(1), tcp),
        ("with all IP options", syn(10), tcp),
        ("don't fragment is no fragment", with(syn(0), 6, 0x40), tcp),
        ("the reserved bit neither", with(syn(0), 6, 0x80), tcp),
        ("a datagram of Linux", DATAGRAM.to_vec(), udp),
        ("a datagram", query(0, 4000), udp),
        ("of somebody else", query(0, 4001), udp),
        ("with IP options", query(10, 4000), udp),
        ("unreachable: a segment", icmp_error(3, &sent_segment(0)), tcp),
        ("time exceeded: a segment", icmp_error(11, &sent_segment(0)), tcp),
        ("bad parameter: a segment", icmp_error(12, &sent_segment(10)), tcp),
        ("unreachable: a datagram", icmp_error(3, &sent_datagram(0)), udp),
        ("with IP options", icmp_error(3, &sent_datagram(10)), udp),
        ("an echo request", ECHO.to_vec(), 0),
        ("an echo reply", icmp_error(0, &sent_segment(0)), 0),
        ("source quench", icmp_error(4, &sent_segment(0)), 0),
        ("redirect", icmp_error(5, &sent_segment(0)), 0),
        ("unreachable: an echo request", icmp_error(3, &ECHO), 0),
        ("unreachable: of the first fragment", icmp_error(3, &with(sent_segment(0), 6, 0x20)), 0),
        ("unreachable: of a later one", icmp_error(3, &with(sent_segment(0), 7, 1)), 0),
        ("unreachable: no IPv4", icmp_error(3, &with(sent_segment(0), 0, 0x65)), 0),
        ("unreachable: half a header", icmp_error(3, &with(sent_segment(0), 0, 0x44)), 0),
        ("the first fragment", with(syn(0), 6, 0x20), 0),
        ("a later fragment", with(syn(0), 7, 1), 0),
        ("a far fragment", with(query(0, 4000), 6, 0x1f), 0),
        ("a fragment of an error", with(icmp_error(3, &sent_segment(0)), 6, 0x20), 0),
        ("IPv6", with(syn(0), 0, 0x65), 0),
        ("half a header", with(syn(0), 0, 0x44), 0),
        ("SCTP", with(syn(0), 9, 132), 0),
        ("nothing", Vec::new(), 0),
    ] {
        assert_eq!(steering.owner(&octets), owner, "{name}");
    }
}

/// What is cut short belongs to shard 0 until it says whose it is, and is no panic.
#[test]
fn a_packet_says_whose_it_is_once_its_ports_are_there() {
    let steering = telling();
    let quoted = packet(PROTOCOL_TCP, (SERVER, CLIENT), 2, &ports(80, 0x9144));
    for (octets, needed) in [
        (SYN.to_vec(), 20 + 4),
        (packet(PROTOCOL_TCP, (CLIENT, SERVER), 10, &ports(0x9144, 80)), 60 + 4),
        (DATAGRAM.to_vec(), 20 + 4),
        (icmp_error(3, &quoted), 20 + 8 + 28 + 4),
        (icmp_error(3, &DATAGRAM), 20 + 8 + 20 + 2),
    ] {
        let owner = steering.owner(&octets);
        for len in 0..octets.len() {
            let expected = if len < needed { 0 } else { owner };
            assert_eq!(steering.owner(&octets[..len]), expected, "{len} of {octets:x?}");
        }
    }
}

#[test]
fn a_flow_belongs_to_the_shard_that_its_packets_belong_to() {
    let mut rng = Rng::new(&Seed::from_number(9));
    for count in [1, 2, 3, 4, 8, 64] {
        let steering = steering(count, 5);
        for _ in 0..1000 {
            let addrs = [(); 2].map(|()| Ipv4Addr::from_bits(rng.next_u32()));
            let [port, own] = [(); 2].map(|()| u16::try_from(rng.below(1 << 16)).unwrap());
            let tuple = flow((addrs[1], own), (addrs[0], port));
            let segment = packet(PROTOCOL_TCP, (addrs[0], addrs[1]), 0, &ports(port, own));
            let owner = steering.owner_of_flow(&tuple);
            assert!(owner < steering.count());
            assert_eq!(steering.owner(&segment), owner, "{tuple}");
            let datagram = packet(PROTOCOL_UDP, (addrs[0], addrs[1]), 0, &ports(port, own));
            assert_eq!(steering.owner(&datagram), steering.owner_of_udp_port(own), "{own}");
        }
    }
}

/// How far from even shares a rule may be: 4,096 flows over 8 shards are 512 each, and chance alone
/// makes a difference of 90 once in 10,000 times.
#[test]
fn flows_that_have_much_in_common_spread_as_evenly_as_chance() {
    let one_host = |n: u16| flow((SERVER, 80), (CLIENT, 32_768 + n));
    let steps_of_two = |n: u16| flow((SERVER, 80), (CLIENT, 32_768 + 2 * n));
    let many_hosts =
        |n: u16| flow((SERVER, 80), (Ipv4Addr::from_bits(CLIENT.to_bits() + u32::from(n)), 40_000));
    let many_ports = |n: u16| flow((SERVER, n + 1), (CLIENT, 40_000));
    let kinds: [&dyn Fn(u16) -> FourTuple; 4] =
        [&one_host, &steps_of_two, &many_hosts, &many_ports];
    for seed in 0..40 {
        for (kind, flow) in kinds.iter().enumerate() {
            for count in [2, 3, 4, 8] {
                let steering = steering(count, seed);
                let mut owned = vec![0i32; steering.count()];
                for n in 0..4096 {
                    owned[steering.owner_of_flow(&flow(n))] += 1;
                }
                let even = 4096 / i32::from(count);
                let is_even = owned.iter().all(|owned| (owned - even).abs() < even / 4);
                assert!(is_even, "seed {seed}, kind {kind}, {count} shards: {owned:?}");
            }
        }
    }
}

#[test]
fn the_key_decides_and_does_not_show() {
    let owners = |seed| {
        let steering = steering(4, seed);
        (0..64).map(|port| steering.owner_of_udp_port(port)).collect::<Vec<_>>()
    };
    assert_eq!(owners(1), owners(1));
    assert_ne!(owners(1), owners(2));
    assert_eq!(format!("{:?}", steering(4, 1)), "Steering(4 shards)");
}

#[test]
fn a_share_owns_what_the_rule_says_and_knows_whose_the_rest_is() {
    let steering = telling();
    let owner = steering.owner_of_flow(&flow_of_syn());
    for index in 0..steering.count() {
        let share = Share::new(steering, index);
        assert_eq!((share.index(), share.count()), (index, 16));
        assert_eq!(share.owns_flow(&flow_of_syn()), index == owner);
        assert_eq!(share.owns_udp_port(53), index == steering.owner_of_udp_port(53));
        assert_eq!(share.sibling(&SYN), (index != owner).then_some(owner));
    }
}
