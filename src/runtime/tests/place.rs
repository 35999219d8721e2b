#![cfg(feature = "tokio")]

use crate::{Link, Net, StackConfig};

#[test]
fn a_connection_is_opened_in_the_shard_of_the_calling_thread() {
    let (queues, _far) = Link::queues(1500, 3, 1);
    let config = StackConfig::new("10.7.0.1/24".parse().unwrap());
    let (net, mut drivers) = Net::drivers(queues, config).unwrap();
    assert_eq!([(); 4].map(|()| net.connecting()), [0, 1, 2, 0], "of no shard: in turn");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.spawn(drivers.remove(2));
    runtime.block_on(async {
        tokio::task::yield_now().await;
        assert_eq!([(); 3].map(|()| net.connecting()), [2, 2, 2]);
        assert_eq!(net.shard(1).connecting(), 0, "a view has no choice");
    });
}

#[test]
fn each_number_names_a_shard_and_a_view_names_its_siblings() {
    let (queues, _far) = Link::queues(1500, 2, 1);
    let config = StackConfig::new("10.7.0.1/24".parse().unwrap());
    let (net, _drivers) = Net::drivers(queues, config).unwrap();
    assert_eq!((net.shards(), net.shard(1).shards()), (2, 2));
    let is_same = |a: &Net, b: &Net| std::ptr::eq(a.shared(), b.shared());
    let view = net.shard(1);
    assert!(!is_same(&view, &net.shard(0)));
    assert!(is_same(&view, &net.shard(3)) && is_same(&view, &view.shard(1)));
    assert!(is_same(&view.shard(0), &net.shard(0)));
}

#[test]
fn a_port_of_udp_has_one_shard_whoever_asks() {
    let (queues, _far) = Link::queues(1500, 2, 1);
    let config = StackConfig::new("10.7.0.1/24".parse().unwrap());
    let (net, _drivers) = Net::drivers(queues, config).unwrap();
    let mut counts = [0; 2];
    for port in 1..200 {
        let places = [&net, &net.shard(0), &net.shard(1)].map(|net| net.for_udp_port(port));
        let owners =
            places.map(|place| usize::from(std::ptr::eq(place.shared(), net.shard(1).shared())));
        assert!(owners.iter().all(|&owner| owner == owners[0]));
        counts[owners[0]] += 1;
    }
    assert!(counts.iter().all(|&count| count > 50), "{counts:?}");
    assert!(std::ptr::eq(net.shard(1).for_udp_port(0).shared(), net.shard(1).shared()));
}
