//! Who may bind where, who may listen, and which listener a SYN comes to.

use super::*;
use crate::config::StackConfig;
use crate::error::SocketError::{AddressInUse, InvalidArgument};
use crate::rng::Seed;
use crate::stack::Stack;
use crate::tcp::Offer;
use crate::time::Instant;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::TcpOptions;

const ANY: [u8; 4] = [0; 4];
const HERE: [u8; 4] = [10, 7, 0, 2];
const THERE: [u8; 4] = [10, 7, 0, 3];

fn at(addr: [u8; 4], port: u16) -> Endpoint {
    Endpoint::new(addr.into(), port)
}

fn sockets<const N: usize>() -> [SocketId; N] {
    let mut slab = SlotMap::with_key();
    std::array::from_fn(|_| slab.insert(()))
}

fn entry(socket: SocketId, any_destination: bool) -> ListenerEntry {
    let options = Arc::new(SocketOptions { any_destination, ..SocketOptions::default() });
    let listener = Listener::new(8, crate::tcp::SynCookies::Off);
    let children = FlowList::default();
    ListenerEntry { socket, listener, children, options }
}

/// SO_REUSEADDR or not, without SO_REUSEPORT.
fn address(address: bool) -> Share {
    Share { address, port: false }
}

/// Binds a socket and lets it listen.
fn listening(listeners: &mut Listeners, socket: SocketId, local: Endpoint) -> ListenerId {
    listeners.bind(socket, local, address(false)).unwrap();
    listeners.listen(local, entry(socket, false)).unwrap()
}

#[test]
fn two_sockets_bind_one_port_only_at_different_addresses() {
    for (first, second, outcome) in [
        (at(HERE, 80), at(HERE, 80), Err(AddressInUse)),
        (at(ANY, 80), at(HERE, 80), Err(AddressInUse)),
        (at(HERE, 80), at(ANY, 80), Err(AddressInUse)),
        (at(ANY, 80), at(ANY, 80), Err(AddressInUse)),
        (at(HERE, 80), at(THERE, 80), Ok(())),
        (at(HERE, 80), at(HERE, 81), Ok(())),
        (at(ANY, 80), at(ANY, 81), Ok(())),
    ] {
        let (mut listeners, [a, b]) = (Listeners::default(), sockets());
        assert_eq!(listeners.bind(a, first, address(false)), Ok(()));
        assert_eq!(listeners.bind(b, second, address(false)), outcome, "{first} {second}");
    }
}

#[test]
fn a_place_is_shared_only_if_both_sockets_allow_it() {
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        for (a_place, b_place) in [(HERE, HERE), (ANY, HERE), (HERE, ANY)] {
            let (mut listeners, [a, b]) = (Listeners::default(), sockets());
            assert_eq!(listeners.bind(a, at(a_place, 80), address(first)), Ok(()));
            let outcome = if first && second { Ok(()) } else { Err(AddressInUse) };
            assert_eq!(
                listeners.bind(b, at(b_place, 80), address(second)),
                outcome,
                "{first} {second}"
            );
        }
    }
}

#[test]
fn nobody_binds_where_somebody_listens_not_even_to_share() {
    let (mut listeners, [a, b]) = (Listeners::default(), sockets());
    assert_eq!(listeners.bind(a, at(HERE, 80), address(true)), Ok(()));
    let listener = listeners.listen(at(HERE, 80), entry(a, false)).unwrap();
    assert_eq!(listeners.bind(b, at(HERE, 80), address(true)), Err(AddressInUse));
    assert_eq!(listeners.bind(b, at(ANY, 80), address(true)), Err(AddressInUse));
    listeners.remove(listener);
    assert_eq!(listeners.bind(b, at(HERE, 80), address(true)), Ok(()));
}

#[test]
fn must_41_a_second_listener_where_one_is_is_refused_and_leaves_the_first_as_it_was() {
    for (first, second) in [(HERE, HERE), (ANY, HERE), (HERE, ANY)] {
        let (mut listeners, [a, b]) = (Listeners::default(), sockets());
        let (first, second) = (at(first, 80), at(second, 80));
        assert_eq!(listeners.bind(a, first, address(true)), Ok(()));
        assert_eq!(listeners.bind(b, second, address(true)), Ok(()));
        let listener = listeners.listen(first, entry(a, false)).unwrap();
        let refused = listeners.listen(second, entry(b, false));
        assert_eq!(refused, Err(AddressInUse), "{first} {second}");
        assert_eq!(listeners.find(at(HERE, 80), true, 0), Some(listener));
        assert_eq!(listeners.ids(), [listener]);
    }
}

#[test]
fn must_42_a_place_from_which_another_socket_connects_may_be_listened_at() {
    let config = StackConfig::new("10.7.0.2/24".parse().unwrap());
    let mut stack = Stack::new(config, Seed::from_number(1)).unwrap();
    let [client, server] = [(); 2].map(|()| {
        let socket = stack.tcp_socket().unwrap();
        let options = stack.options(socket).unwrap();
        stack.set_options(socket, SocketOptions { reuse_address: true, ..options }).unwrap();
        stack.bind(socket, "10.7.0.2:80".parse().unwrap()).unwrap();
        socket
    });
    let connects = stack.connect(Instant::ZERO, client, "10.7.0.1:80".parse().unwrap());
    assert_eq!(connects, Err(SocketError::InProgress));
    assert_eq!(stack.listen(server, 8), Ok(()));
    assert_eq!(stack.local_addr(client), stack.local_addr(server));
}

#[test]
fn who_is_not_bound_does_not_listen() {
    let (mut listeners, [a, b]) = (Listeners::default(), sockets());
    assert_eq!(listeners.listen(at(HERE, 80), entry(a, false)), Err(InvalidArgument));
    assert_eq!(listeners.bind(a, at(HERE, 80), address(false)), Ok(()));
    assert_eq!(listeners.listen(at(HERE, 80), entry(b, false)), Err(InvalidArgument));
    assert_eq!(listeners.find(at(HERE, 80), true, 0), None);
    assert!(listeners.ids().is_empty());
}

/// Both at once cannot be: a listener refuses another whose place overlaps with its own.
#[test]
fn a_syn_comes_to_the_listener_at_its_very_address_or_to_the_one_at_all_of_them() {
    for is_specific_first in [false, true] {
        let (mut listeners, [a, b]) = (Listeners::default(), sockets());
        let mut places = [(a, at(ANY, 80)), (b, at(HERE, 80))];
        if is_specific_first {
            places.reverse();
        }
        for (socket, place) in places {
            assert_eq!(listeners.bind(socket, place, address(true)), Ok(()));
        }
        let wildcard = listeners.listen(at(ANY, 80), entry(a, false)).unwrap();
        assert_eq!(listeners.find(at(HERE, 80), true, 0), Some(wildcard));
        listeners.remove(wildcard);
        let specific = listeners.listen(at(HERE, 80), entry(b, false)).unwrap();
        assert_eq!(listeners.find(at(HERE, 80), true, 0), Some(specific));
        assert_eq!(listeners.find(at(THERE, 80), true, 0), None);
    }
}

#[test]
fn each_of_two_addresses_has_its_own_listener_on_one_port() {
    let (mut listeners, [a, b, c]) = (Listeners::default(), sockets());
    let here = listening(&mut listeners, a, at(HERE, 80));
    let there = listening(&mut listeners, b, at(THERE, 80));
    let everywhere = listening(&mut listeners, c, at(ANY, 81));
    assert_eq!(listeners.find(at(HERE, 80), true, 0), Some(here));
    assert_eq!(listeners.find(at(THERE, 80), true, 0), Some(there));
    assert_eq!(listeners.find(at([10, 7, 0, 4], 80), true, 0), None);
    for addr in [HERE, THERE] {
        assert_eq!(listeners.find(at(addr, 81), true, 0), Some(everywhere));
        assert_eq!(listeners.find(at(addr, 82), true, 0), None);
    }
}

#[test]
fn an_address_that_is_not_ours_comes_only_to_a_listener_that_takes_any() {
    for any_destination in [false, true] {
        let (mut listeners, [socket]) = (Listeners::default(), sockets());
        assert_eq!(listeners.bind(socket, at(ANY, 80), address(false)), Ok(()));
        let listener = listeners.listen(at(ANY, 80), entry(socket, any_destination)).unwrap();
        assert_eq!(listeners.find(at(THERE, 80), true, 0), Some(listener));
        let found = listeners.find(at(THERE, 80), false, 0);
        assert_eq!(found, any_destination.then_some(listener));
    }
}

/// Else the hash would send some peers to a listener that refuses them, though another would not.
#[test]
fn of_those_that_share_a_place_only_the_ones_that_take_any_count_for_a_foreign_address() {
    let share = Share { address: false, port: true };
    let (mut listeners, sockets) = (Listeners::default(), sockets::<5>());
    let ids: Vec<_> = (0..5)
        .map(|n| {
            let (socket, place) = (sockets[n], at(if n == 4 { THERE } else { ANY }, 80));
            assert_eq!(listeners.bind(socket, place, share), Ok(()));
            listeners.listen(place, entry(socket, n % 2 == 1)).unwrap()
        })
        .collect();
    let found = |addr, is_ours| -> Vec<_> {
        (0..8).filter_map(|hash| listeners.find(at(addr, 80), is_ours, hash)).collect()
    };
    // The one at that very address takes it only if it is ours: those at all of them come next.
    assert_eq!(found(THERE, false), [ids[1], ids[3]].repeat(4));
    assert_eq!(found(THERE, true), [ids[4]].repeat(8));
    assert_eq!(found(HERE, true), ids[..4].repeat(2));

    let mut tell = |id, any_destination| {
        let options = SocketOptions { any_destination, ..SocketOptions::default() };
        listeners.set_options(id, Arc::new(options));
        listeners.check();
        (0..4).filter_map(|hash| listeners.find(at(THERE, 80), false, hash)).collect::<Vec<_>>()
    };
    assert_eq!(tell(ids[0], true), [ids[1], ids[3], ids[0], ids[1]]);
    assert_eq!(tell(ids[0], true), [ids[1], ids[3], ids[0], ids[1]], "it has said so before");
    assert_eq!(tell(ids[1], false), [ids[3], ids[0], ids[3], ids[0]]);
    assert_eq!(tell(ids[4], true), [ids[4]].repeat(4), "at that very address");
    listeners.remove(ids[4]);
    listeners.check();
    assert_eq!(listeners.find(at(THERE, 80), false, 0), Some(ids[3]));
}

#[test]
fn a_listener_that_is_gone_is_not_found_and_its_socket_stays_bound() {
    let (mut listeners, [a, b]) = (Listeners::default(), sockets());
    let listener = listening(&mut listeners, a, at(HERE, 80));
    assert_eq!(listeners.remove(listener).map(|entry| entry.socket), Some(a));
    assert!(listeners.remove(listener).is_none());
    assert!(listeners.get(listener).is_none() && listeners.get_mut(listener).is_none());
    assert_eq!(listeners.find(at(HERE, 80), true, 0), None);
    assert_eq!(listeners.bind(b, at(HERE, 80), address(false)), Err(AddressInUse));
    assert!(listeners.listen(at(HERE, 80), entry(a, false)).is_ok());
}

#[test]
fn a_place_that_was_given_up_is_free_for_the_next() {
    let (mut listeners, [a, b]) = (Listeners::default(), sockets());
    assert!(!listeners.is_bound(80));
    assert_eq!(listeners.bind(a, at(HERE, 80), address(false)), Ok(()));
    assert!(listeners.is_bound(80) && !listeners.is_bound(81));
    listeners.unbind(b, at(HERE, 80));
    assert_eq!(listeners.bind(b, at(HERE, 80), address(false)), Err(AddressInUse));
    listeners.unbind(a, at(HERE, 80));
    assert!(!listeners.is_bound(80));
    assert_eq!(listeners.bind(b, at(HERE, 80), address(false)), Ok(()));
}

#[test]
fn listeners_share_a_place_if_all_ask_for_it_and_a_hash_spreads_the_peers() {
    let port = |port| Share { address: false, port };
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut listeners, [a, b]) = (Listeners::default(), sockets());
        assert_eq!(listeners.bind(a, at(HERE, 80), port(first)), Ok(()));
        let here = listeners.listen(at(HERE, 80), entry(a, false)).unwrap();
        let bound = listeners.bind(b, at(HERE, 80), port(second));
        assert_eq!(bound, if first && second { Ok(()) } else { Err(AddressInUse) });
        if bound.is_ok() {
            let there = listeners.listen(at(HERE, 80), entry(b, false)).unwrap();
            let found: Vec<_> =
                (0..4).map(|hash| listeners.find(at(HERE, 80), true, hash)).collect();
            assert_eq!(found, [here, there, here, there].map(Some));
            listeners.remove(here);
            assert_eq!(listeners.find(at(HERE, 80), true, 0), Some(there));
        }
    }
}

#[test]
fn each_of_many_that_share_a_place_gets_its_part_of_the_peers_whoever_has_gone() {
    let share = Share { address: false, port: true };
    let mut listeners = Listeners::default();
    let mut ids: Vec<_> = sockets::<100>()
        .into_iter()
        .map(|socket| {
            assert_eq!(listeners.bind(socket, at(HERE, 80), share), Ok(()));
            listeners.listen(at(HERE, 80), entry(socket, false)).unwrap()
        })
        .collect();
    while !ids.is_empty() {
        let count = ids.len() as u64;
        for hash in [0, count * 7] {
            let found: Vec<_> = (hash..hash + count)
                .filter_map(|hash| listeners.find(at(HERE, 80), true, hash))
                .collect();
            assert_eq!(found, ids, "{hash} of {count}");
        }
        assert!(listeners.remove(ids.remove(ids.len() / 2)).is_some());
    }
    assert_eq!(listeners.find(at(HERE, 80), true, 0), None);
    assert!(listeners.groups.is_empty());
}

/// RFC 9293 §3.5.1: whoever holds half of an old connection to another port is to hear of it.
#[test]
fn cookies_are_awaited_at_the_port_that_sent_them_whoever_listens_there_and_at_no_other() {
    let (mut listeners, [a, b, c]) = (Listeners::default(), sockets());
    let ids = [(a, HERE, 80), (b, THERE, 80), (c, HERE, 81)]
        .map(|(socket, addr, port)| (listening(&mut listeners, socket, at(addr, port)), port));
    let header = TcpHeader {
        source_port: 1,
        destination_port: 2,
        seq: 7,
        ack: 9,
        flags: TcpFlags::ACK,
        window: 0,
        urgent: 0,
    };
    let ack = Segment::new(&header, TcpOptions::default(), bytes::Bytes::new());
    let offer = Offer { mss: 1460, window_scale: None, sack: true, timestamps: None };
    listeners.on_cookie(Instant::ZERO, 80, Promise::new(offer, 4096));
    for (seconds, awaits) in
        [(0, [true, true, false]), (120, [true, true, false]), (121, [false; 3])]
    {
        let now = Instant::from_millis(seconds * 1000);
        let takes = ids.map(|(id, port)| {
            let verdict = listeners.judge(now, id, port, &ack).unwrap();
            matches!(verdict, ListenerVerdict::TakeCookie)
        });
        assert_eq!(takes, awaits, "{seconds}");
    }
    assert_eq!(listeners.promises(Instant::ZERO, 80).count(), 1);
    assert_eq!(listeners.promises(Instant::ZERO, 81).count(), 0);
}
