//! The table of flows: what is put in is found, what is taken out is not.

use super::*;
use crate::observe::TcpState;
use crate::rng::Seed;
use crate::stack::flow::{Flow, Owner};
use crate::stack::lists::Links;
use crate::tcp::{SeqNumber, TimeWait};
use crate::time::{Duration, Instant};
use crate::wire::Endpoint;

fn flows() -> Flows {
    Flows::new(&mut Rng::new(&Seed::from_number(1)))
}

fn tuple(remote_port: u16) -> FourTuple {
    FourTuple {
        local: Endpoint::new([10, 7, 0, 2].into(), 80),
        remote: Endpoint::new([10, 7, 0, 1].into(), remote_port),
    }
}

/// The smallest flow there is.
fn entry(tuple: FourTuple) -> FlowEntry {
    let positions = (SeqNumber(1), SeqNumber(2));
    let record = TimeWait::new(Instant::ZERO, Duration::from_mins(1), positions, 0, None, false);
    FlowEntry {
        tuple,
        flow: Flow::TimeWait(Box::new(record)),
        owner: Owner::Nobody,
        links: Links::default(),
        ttl: 64,
        tos: 0,
        is_ready: false,
        is_warm: false,
        awaits_memory: false,
        charged: 0,
        reported: TcpState::TimeWait,
    }
}

fn insert(flows: &mut Flows, tuple: FourTuple) -> FlowId {
    flows.insert(flows.hash(&tuple), entry(tuple))
}

#[test]
fn a_flow_is_found_by_its_four_tuple_and_by_no_other() {
    let mut flows = flows();
    let id = insert(&mut flows, tuple(50_000));
    assert_eq!(flows.find(&tuple(50_000)), Some(id));
    let FourTuple { local, remote } = tuple(50_000);
    let elsewhere = Endpoint::new([10, 7, 0, 3].into(), 80);
    for other in [
        tuple(50_001),
        FourTuple { local: remote, remote: local },
        FourTuple { local: elsewhere, remote },
        FourTuple { local: Endpoint::new(local.addr(), 81), remote },
        FourTuple { local, remote: Endpoint::new(elsewhere.addr(), remote.port()) },
    ] {
        assert_eq!(flows.find(&other), None, "{other}");
    }
}

#[test]
fn every_one_of_many_flows_is_found_while_others_come_and_go() {
    let mut flows = flows();
    let ids: Vec<_> = (0..5000).map(|port| insert(&mut flows, tuple(port))).collect();
    for (port, &id) in (0..).zip(&ids).filter(|(port, _)| port % 3 == 0) {
        assert_eq!(flows.remove(id).map(|entry| entry.tuple), Some(tuple(port)));
    }
    for (port, &id) in (0..).zip(&ids) {
        let expected = (port % 3 != 0).then_some(id);
        assert_eq!(flows.find(&tuple(port)), expected, "{port}");
        assert_eq!(flows.get(id).map(|entry| entry.tuple), expected.map(|_| tuple(port)));
    }
    assert_eq!((flows.len(), flows.iter().count()), (3333, 3333));
}

#[test]
fn a_stale_handle_finds_nothing_even_when_its_four_tuple_is_in_use_again() {
    let mut flows = flows();
    let old = insert(&mut flows, tuple(1));
    assert!(flows.remove(old).is_some());
    let new = insert(&mut flows, tuple(1));
    assert_ne!(old, new);
    assert!(flows.get(old).is_none() && flows.get_mut(old).is_none());
    assert!(flows.remove(old).is_none());
    assert_eq!((flows.find(&tuple(1)), flows.len()), (Some(new), 1));
}

#[test]
fn equal_seeds_keep_flows_in_an_equal_order() {
    let order = || {
        let mut flows = flows();
        let ids: Vec<_> = (0..100).map(|port| insert(&mut flows, tuple(port))).collect();
        for &id in ids.iter().step_by(2) {
            flows.remove(id);
        }
        for port in 200..250 {
            insert(&mut flows, tuple(port));
        }
        flows.iter().map(|(_, entry)| entry.tuple).collect::<Vec<_>>()
    };
    assert_eq!(order(), order());
}
