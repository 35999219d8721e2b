//! Peers whose port is 0, which stands for any.

use super::*;

#[test]
fn a_peer_with_port_0_is_its_address_whatever_port_its_datagrams_come_from() {
    let mut udp = udp();
    let id = udp.open();
    udp.connect(id, HERE.into(), peer("10.7.0.1:0")).unwrap();
    let port = udp.local_addr(id).unwrap().port();
    assert_eq!(udp.peer_addr(id), Err(SocketError::NotConnected), "as on Linux");
    assert_eq!(udp.is_connected(id), Ok(true));
    let stranger = Ipv4Addr::new(10, 7, 0, 3);
    for (source, from, expected) in [
        (PEER, 53, Ok(id)),
        (PEER, 54, Ok(id)),
        (PEER, 0, Ok(id)),
        (stranger, 53, Err(NoUdpSocket)),
    ] {
        assert_eq!(udp.hear(source, HERE, &datagram(from, port, b"")), expected, "{from}");
    }
    let sent = udp.say(id, None, b"", 1500).unwrap();
    assert_eq!(sent.destination, SocketAddrV4::new(PEER, 0));
    let to_0 = udp.say(id, Some(peer("10.7.0.1:0")), b"", 1500);
    assert_eq!(to_0, Err(SocketError::InvalidArgument), "who names a destination means one");
    let quoted = flow(&format!("10.7.0.2:{port}"), "10.7.0.1:54");
    assert_eq!(udp.on_icmp_error(quoted, SocketError::Refused), Some(id));
}

#[test]
fn who_has_the_very_port_for_a_peer_comes_first_and_who_has_none_last() {
    let mut udp = udp();
    let [open, any, exact] = [(); 3].map(|()| {
        let id = udp.open();
        udp.set_options(id, UdpOptions { reuse_port: true, ..UdpOptions::default() }).unwrap();
        udp.bind(id, addr("10.7.0.2:7")).unwrap();
        id
    });
    udp.connect(any, HERE.into(), peer("10.7.0.1:0")).unwrap();
    udp.connect(exact, HERE.into(), peer("10.7.0.1:53")).unwrap();
    let stranger = Ipv4Addr::new(10, 7, 0, 3);
    let mut hear = |source, from| udp.hear(source, HERE, &datagram(from, 7, b""));
    assert_eq!(hear(PEER, 53), Ok(exact));
    assert_eq!(hear(PEER, 54), Ok(any));
    assert_eq!(hear(stranger, 53), Ok(open));
    udp.disconnect(any).unwrap();
    udp.close(any);
    assert_eq!(udp.hear(PEER, HERE, &datagram(54, 7, b"")), Ok(open));
}
