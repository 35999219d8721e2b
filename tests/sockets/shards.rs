//! Stacks of several shards: who carries what, who is told what, and how they end.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use wharf::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use wharf::{DropReason, Link, Net, Spread};

use super::support::{
    End, FAR, LIMIT, NEAR, Pair, at, config, errno, eventually, limited, pattern, read_exactly,
};

pub(crate) fn counted(net: &Net, name: &str) -> u64 {
    let counters = net.counters();
    counters.list().iter().find(|counter| counter.name == name).unwrap().value
}

#[test]
fn flows_go_to_all_shards_and_what_comes_over_the_wrong_queue_is_forwarded() {
    limited(|| {
        let pair = Pair::of(2);
        let listener = TcpListener::bind(&pair.far, (FAR, 80)).unwrap();
        let mut streams = Vec::new();
        for n in 0..30 {
            let mut near = TcpStream::connect(&pair.near, (FAR, 80)).unwrap();
            let (far, peer) = listener.accept().unwrap();
            assert_eq!(peer, near.local_addr().unwrap());
            near.write_all(&[n]).unwrap();
            assert_eq!(read_exactly(&far, 1), [n]);
            streams.push((near, far));
        }
        for net in [&pair.near, &pair.far] {
            assert_eq!(net.connections().len(), 30, "of all shards");
            assert!(counted(net, "strays_forwarded_total") > 0);
            let dropped = DropReason::ALL.iter().map(|&reason| net.counters().dropped(reason));
            assert_eq!(dropped.sum::<u64>(), 0);
        }
    });
}

/// Two stacks of two shards each, on a cable that spreads packets so.
fn spread(spread: Spread) -> (Net, Net) {
    let (near, far) = Link::queues(1500, 2, 2);
    let start = |queues: Vec<Link>, addr| {
        let queues = queues.into_iter().map(|queue| queue.with_spread(spread)).collect();
        Net::start_queues(queues, config(addr)).unwrap()
    };
    (start(near, NEAR), start(far, FAR))
}

/// Some connections, each of which carries `octets` both ways.
fn exchange(near: &Net, far: &Net, octets: &[u8]) {
    let listener = TcpListener::bind(far, (FAR, 80)).unwrap();
    for _ in 0..6 {
        let near = TcpStream::connect(near, (FAR, 80)).unwrap();
        let (far, _) = listener.accept().unwrap();
        thread::scope(|scope| {
            for (mut writer, reader) in [(&near, &far), (&far, &near)] {
                scope.spawn(move || writer.write_all(octets).unwrap());
                scope.spawn(move || assert!(read_exactly(reader, octets.len()) == octets));
            }
        });
    }
}

#[test]
fn where_the_device_steers_no_packet_strays() {
    limited(|| {
        let (near, far) = spread(Spread::Steered);
        exchange(&near, &far, &pattern(100_000));
        for net in [&near, &far] {
            assert_eq!(counted(net, "strays_forwarded_total"), 0);
        }
    });
}

#[test]
fn octets_arrive_whole_when_every_other_packet_comes_over_the_wrong_queue() {
    limited(|| {
        let (near, far) = spread(Spread::Packets);
        exchange(&near, &far, &pattern(300_000));
        for net in [&near, &far] {
            let packets = counted(net, "packets_received_total");
            let strays = counted(net, "strays_forwarded_total");
            assert!((packets / 4..packets * 3 / 4).contains(&strays), "{strays} of {packets}");
        }
    });
}

#[test]
fn a_listener_of_one_shard_accepts_what_that_shard_carries() {
    limited(|| {
        let pair = Pair::of(2);
        let listeners = [0, 1].map(|n| TcpListener::bind(&pair.far.shard(n), (FAR, 80)).unwrap());
        assert_eq!(errno(TcpListener::bind(&pair.far, (FAR, 80))), Some(libc::EADDRINUSE));
        let near: Vec<_> =
            (0..30).map(|_| TcpStream::connect(&pair.near, (FAR, 80)).unwrap()).collect();
        let mut peers = [BTreeSet::new(), BTreeSet::new()];
        eventually("all are accepted", || {
            for (listener, peers) in listeners.iter().zip(&mut peers) {
                listener.set_nonblocking(true).unwrap();
                while let Ok((_, peer)) = listener.accept() {
                    peers.insert(peer);
                }
            }
            peers.iter().map(BTreeSet::len).sum::<usize>() == near.len()
        });
        assert!(peers.iter().all(|peers| !peers.is_empty()), "some of thirty each");
        let all: BTreeSet<_> = peers.into_iter().flatten().collect();
        assert_eq!(all, near.iter().map(|near| near.local_addr().unwrap()).collect());
        // What one listener leaves to the other's shard nobody else takes.
        let [listener, other] = listeners;
        drop(other);
        let outcomes: Vec<_> =
            (0..30).map(|_| TcpStream::connect(&pair.near, (FAR, 80)).is_ok()).collect();
        assert!(outcomes.contains(&true) && outcomes.contains(&false));
        drop(listener);
        TcpListener::bind(&pair.far, (FAR, 80)).unwrap();
    });
}

#[test]
fn what_a_listener_is_told_counts_for_connections_of_every_shard() {
    limited(|| {
        let pair = Pair::of(2);
        let listener = TcpListener::bind(&pair.far, (FAR, 80)).unwrap();
        listener.set_ttl(7).unwrap();
        listener.set_keepalive(true).unwrap();
        assert_eq!(listener.ttl().unwrap(), 7);
        for _ in 0..20 {
            let _near = TcpStream::connect(&pair.near, (FAR, 80)).unwrap();
            let (far, _) = listener.accept().unwrap();
            assert_eq!((far.ttl().unwrap(), far.keepalive().unwrap()), (7, true));
        }
        let socket = TcpSocket::new_v4(&pair.far).unwrap();
        socket.set_nodelay(true).unwrap();
        let listener = socket.listen(8).unwrap(); // At a port that each shard has.
        let addr = at(FAR, listener.local_addr().unwrap().port());
        for _ in 0..20 {
            let _near = TcpStream::connect(&pair.near, addr).unwrap();
            assert!(listener.accept().unwrap().0.nodelay().unwrap());
        }
    });
}

#[test]
fn threads_that_wait_for_one_listener_get_the_connections_of_all_shards() {
    limited(|| {
        let pair = Pair::of(2);
        let listener = TcpListener::bind(&pair.far, (FAR, 80)).unwrap();
        thread::scope(|scope| {
            let waiting = [(); 3].map(|()| {
                scope.spawn(|| (0..10).map(|_| listener.accept().unwrap().1).collect::<Vec<_>>())
            });
            let near: Vec<_> =
                (0..30).map(|_| TcpStream::connect(&pair.near, (FAR, 80)).unwrap()).collect();
            let accepted: BTreeSet<_> =
                waiting.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            assert_eq!(accepted, near.iter().map(|near| near.local_addr().unwrap()).collect());
        });
    });
}

#[test]
fn a_socket_of_udp_hears_everybody_and_its_port_is_taken_in_every_shard() {
    limited(|| {
        let pair = Pair::of(2);
        for port in 5000..5010 {
            let socket = UdpSocket::bind(&pair.far.shard(port.into()), (FAR, port)).unwrap();
            for shard in [0, 1] {
                let second = UdpSocket::bind(&pair.far.shard(shard), (FAR, port));
                assert_eq!(errno(second), Some(libc::EADDRINUSE));
            }
            for n in 0..10 {
                let peer = UdpSocket::bind(&pair.near, (NEAR, 0)).unwrap();
                peer.send_to(&[n], (FAR, port)).unwrap();
                let (len, from) = socket.recv_from(&mut [0; 8]).unwrap();
                assert_eq!((len, from), (1, peer.local_addr().unwrap()));
                socket.send_to(b"back", from).unwrap();
                assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 4);
            }
        }
        let refused = UdpSocket::bind(&pair.near, (NEAR, 0)).unwrap();
        for port in 6000..6004 {
            // The error comes to whoever sent, by what it quotes.
            refused.connect((FAR, port)).unwrap();
            refused.send(b"x").unwrap();
            assert_eq!(errno(refused.recv(&mut [0; 8])), Some(libc::ECONNREFUSED));
        }
    });
}

#[test]
fn a_port_of_udp_is_found_in_another_shard_when_one_has_none_left() {
    limited(|| {
        let (queues, _peer) = Link::queues(1500, 2, 1);
        let net = Net::start_queues(queues, config(FAR)).unwrap();
        let bind = |net: &Net| UdpSocket::bind(net, (FAR, 0));
        let mut sockets = Vec::new();
        let shard = net.shard(0);
        let number = loop {
            match bind(&shard) {
                Ok(socket) => sockets.push(socket),
                Err(error) => break error.raw_os_error(),
            }
        };
        assert_eq!(number, Some(libc::EADDRINUSE));
        // The shards are asked in turn.
        for _ in 0..2 {
            let port = bind(&net).unwrap().local_addr().unwrap().port();
            assert_eq!(net.udp_shard(port), 1);
        }
    });
}

#[test]
fn a_shard_without_connections_keeps_its_queue_until_the_others_have_finished() {
    limited(|| {
        let pair = Pair::of(2);
        let (mut near, far) = pair.connect();
        let net = pair.near.clone();
        let shutting = thread::spawn(move || net.shutdown(LIMIT));
        thread::sleep(Duration::from_millis(100));
        assert_eq!(pair.cable.queues_dropped(), 0);
        near.write_all(b"still").unwrap();
        assert_eq!(read_exactly(&far, 5), b"still");
        drop((near, far));
        shutting.join().unwrap().unwrap();
        assert!(pair.cable.is_dropped());
    });
}

#[test]
fn a_stack_needs_a_queue() {
    let error = Net::start_queues(Vec::<Link>::new(), config(NEAR)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

/// The second shard stands still, so that its mailbox fills.
#[cfg(feature = "tokio")]
#[test]
fn packets_that_a_mailbox_has_no_room_for_are_dropped_and_counted() {
    limited(|| {
        let (near, far) = Link::queues(1500, 2, 1);
        let (net, mut drivers) = Net::drivers(near, config(NEAR)).unwrap();
        let far = Net::start_queues(far, config(FAR)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let _standing = drivers.pop();
        let running = runtime.spawn(drivers.remove(0));
        let socket = UdpSocket::bind(&net.shard(1), (NEAR, 0)).unwrap();
        let to = socket.local_addr().unwrap();
        let peers: Vec<_> = (0..8).map(|_| UdpSocket::bind(&far, (FAR, 0)).unwrap()).collect();
        eventually("the mailbox overflows", || {
            for peer in &peers {
                for _ in 0..50 {
                    peer.send_to(b"x", to).unwrap();
                }
            }
            net.counters().dropped(DropReason::MailboxFull) > 0
        });
        assert!(counted(&net, "strays_forwarded_total") > 1024);
        running.abort();
    });
}

#[cfg(feature = "tokio")]
mod thread_per_core {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use wharf::Driver;

    use super::*;

    /// Echoes on a thread of its own; how many connections this shard has carried.
    fn serve(shard: &Net, driver: Driver) -> u32 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let driver = tokio::spawn(driver);
            let listener = wharf::tokio::TcpListener::bind(shard, (NEAR, 7)).await.unwrap();
            let mut count = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                count += 1;
                tokio::spawn(async move {
                    let mut octets = [0; 64];
                    while let Ok(len @ 1..) = stream.read(&mut octets).await {
                        stream.write_all(&octets[..len]).await.unwrap();
                    }
                });
            }
            driver.await.unwrap().unwrap();
            count
        })
    }

    #[test]
    fn each_thread_serves_the_connections_of_its_own_shard() {
        limited(|| {
            let (near, far) = Link::queues(1500, 2, 1);
            let (near, cable) = End::queues(near);
            let (net, drivers) = Net::drivers(near, config(NEAR)).unwrap();
            let far = Net::start_queues(far, config(FAR)).unwrap();
            let threads: Vec<_> = drivers
                .into_iter()
                .enumerate()
                .map(|(n, driver)| {
                    let shard = net.shard(n);
                    thread::spawn(move || serve(&shard, driver))
                })
                .collect();
            eventually("both listen", || {
                (0..8).all(|_| TcpStream::connect(&far, (NEAR, 7)).is_ok())
            });
            let before = counted(&net, "tcp_opened_total");
            let mut streams: Vec<_> =
                (0..40).map(|_| TcpStream::connect(&far, (NEAR, 7)).unwrap()).collect();
            for round in 0..10 {
                for stream in &mut streams {
                    stream.write_all(&[round; 9]).unwrap();
                }
                for stream in &mut streams {
                    let mut echo = [0; 9];
                    stream.read_exact(&mut echo).unwrap();
                    assert_eq!(echo, [round; 9]);
                }
            }
            drop(streams);
            net.shutdown(LIMIT).unwrap();
            let counts: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
            assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
            assert!(u64::from(counts.iter().sum::<u32>()) >= before + 40);
            assert!(cable.is_dropped());
        });
    }
}
