//! Places that several sockets share (SO_REUSEPORT).

use super::*;

/// A socket that shares its place, or does not, bound to `local` if it may.
fn sharing(udp: &mut Udp, reuse_port: bool, local: &str) -> Result<UdpId, SocketError> {
    let id = udp.open();
    udp.set_options(id, UdpOptions { reuse_port, ..UdpOptions::default() })?;
    udp.bind(id, addr(local)).map(|_| id)
}

#[test]
fn a_place_is_shared_if_all_ask_for_it_and_each_peer_keeps_its_socket() {
    for (first, second) in [(false, false), (false, true), (true, false)] {
        let mut udp = udp();
        sharing(&mut udp, first, "0.0.0.0:53").unwrap();
        for place in ["0.0.0.0:53", "10.7.0.2:53"] {
            let refused = sharing(&mut udp, second, place);
            assert_eq!(refused, Err(SocketError::AddressInUse), "{first} {second} {place}");
        }
    }
    let mut udp = udp();
    let a = sharing(&mut udp, true, "0.0.0.0:53").unwrap();
    let b = sharing(&mut udp, true, "0.0.0.0:53").unwrap();
    let mut counts = [0, 0];
    for port in 1000..1100 {
        let first = udp.hear(PEER, HERE, &datagram(port, 53, b"1")).unwrap();
        assert_eq!(udp.hear(PEER, HERE, &datagram(port, 53, b"2")), Ok(first));
        counts[usize::from(first == b)] += 1;
    }
    assert!(counts.iter().all(|&count| count > 20), "{counts:?}");
    udp.close(a);
    for port in 1000..1100 {
        assert_eq!(udp.hear(PEER, HERE, &datagram(port, 53, b"3")), Ok(b));
    }
}

#[test]
fn of_those_that_share_a_place_the_one_that_is_connected_to_the_sender_gets_its_datagrams() {
    let mut udp = udp();
    let open = sharing(&mut udp, true, "10.7.0.2:53").unwrap();
    let connected = sharing(&mut udp, true, "10.7.0.2:53").unwrap();
    udp.connect(connected, HERE.into(), peer("10.7.0.1:5000")).unwrap();
    for (port, id) in [(5000, connected), (5001, open), (5002, open)] {
        assert_eq!(udp.hear(PEER, HERE, &datagram(port, 53, b"x")), Ok(id), "{port}");
    }
}

/// As Linux's look-up: who is connected to somebody else counts for nothing, whatever it is bound
/// to; an address of its own comes before all addresses.
#[test]
fn a_connected_socket_hides_none_that_is_open_to_everybody() {
    let (elsewhere, stranger) = (Ipv4Addr::new(10, 7, 0, 9), Ipv4Addr::new(10, 7, 0, 3));
    let mut udp = udp();
    let all = sharing(&mut udp, true, "0.0.0.0:53").unwrap();
    let connected = sharing(&mut udp, true, "0.0.0.0:53").unwrap();
    udp.connect(connected, HERE.into(), peer("10.7.0.1:5000")).unwrap();
    assert_eq!(udp.local_addr(connected), Ok(addr("10.7.0.2:53")));
    let gets = |udp: &mut Udp, expected: [UdpId; 4]| {
        let cases = [(PEER, HERE, 5000), (PEER, HERE, 5001), (stranger, HERE, 5000)];
        let cases = cases.into_iter().chain([(PEER, elsewhere, 5000)]);
        for ((source, destination, port), id) in cases.zip(expected) {
            let outcome = udp.hear(source, destination, &datagram(port, 53, b"x"));
            assert_eq!(outcome, Ok(id), "{source}:{port} to {destination}");
        }
    };
    gets(&mut udp, [connected, all, all, all]);
    let here = sharing(&mut udp, true, "10.7.0.2:53").unwrap();
    gets(&mut udp, [connected, here, here, all]);
    udp.connect(here, HERE.into(), peer("10.7.0.3:5000")).unwrap();
    gets(&mut udp, [connected, all, here, all]);
    udp.connect(here, HERE.into(), peer("10.7.0.1:5001")).unwrap();
    gets(&mut udp, [connected, here, all, all]);
    // Whoever gives its peer up hears everybody again; the last one to connect is asked first.
    udp.disconnect(here).unwrap();
    gets(&mut udp, [connected, here, here, all]);
    udp.connect(here, HERE.into(), peer("10.7.0.1:5000")).unwrap();
    gets(&mut udp, [here, all, all, all]);
    udp.close(here);
    gets(&mut udp, [connected, all, all, all]);
    udp.close(connected);
    gets(&mut udp, [all, all, all, all]);
    udp.close(all);
    assert_eq!(udp.hear(PEER, HERE, &datagram(5000, 53, b"x")), Err(NoUdpSocket));
    sharing(&mut udp, false, "0.0.0.0:53").expect("nothing is left of the place");
}

#[test]
fn of_those_that_are_connected_alike_the_last_one_hears_of_errors() {
    let mut udp = udp();
    let about = flow("10.7.0.2:53", "10.7.0.1:5000");
    let [first, last] = [(); 2].map(|()| sharing(&mut udp, true, "10.7.0.2:53").unwrap());
    for id in [first, last] {
        udp.connect(id, HERE.into(), peer("10.7.0.1:5000")).unwrap();
        assert_eq!(udp.on_icmp_error(about, SocketError::Refused), Some(id));
    }
    udp.close(last);
    assert_eq!(udp.on_icmp_error(about, SocketError::Refused), Some(first));
}

/// A server that binds and connects a socket for each of its peers, beside one for newcomers.
#[test]
fn each_of_many_connected_members_is_found_and_a_newcomer_finds_the_open_one() {
    let mut udp = udp();
    let open = sharing(&mut udp, true, "0.0.0.0:53").unwrap();
    let ports = 10_000..30_000;
    let connected: Vec<_> = ports
        .clone()
        .map(|port| {
            let id = sharing(&mut udp, true, "0.0.0.0:53").unwrap();
            udp.connect(id, HERE.into(), peer(&format!("10.7.0.1:{port}"))).unwrap();
            id
        })
        .collect();
    for (port, id) in ports.clone().zip(connected) {
        assert_eq!(udp.hear(PEER, HERE, &datagram(port, 53, b"x")), Ok(id));
        udp.close(id);
        assert_eq!(udp.hear(PEER, HERE, &datagram(port, 53, b"x")), Ok(open));
        let _ = receive(&mut udp, open);
    }
}

#[test]
fn an_idle_socket_costs_so_many_octets() {
    assert_eq!(size_of::<UdpSocket>(), 80);
    assert_eq!(size_of::<UdpId>(), 8);
}
