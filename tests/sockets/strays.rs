//! Stacks of several shards over the worst device there can be: no packet comes by the queue that
//! the one before it came by, so that every exchange crosses from shard to shard in each state.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use wharf::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use wharf::{DropReason, Impair, Impairment, Link, Net, Spread};

use super::shards::counted;
use super::support::{FAR, LIMIT, NEAR, at, config, eventually, limited, pattern, read_exactly};

/// Two stacks of so many shards each, between which packets go to all queues in turn.
fn pair(shards: usize) -> [Net; 2] {
    pair_over(shards, Spread::Packets)
}

fn pair_over(shards: usize, spread: Spread) -> [Net; 2] {
    let (near, far) = Link::queues(1500, shards, shards);
    [(near, NEAR), (far, FAR)].map(|(ends, addr)| {
        let ends = ends.into_iter().map(|end| end.with_spread(spread));
        Net::start_queues(ends.collect(), config(addr)).unwrap()
    })
}

fn read_to_end(mut stream: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).map(|_| octets)
}

/// Both ends send `len` octets at the same time, and all of it arrives.
fn exchange(near: &TcpStream, far: &TcpStream, len: usize) {
    let octets = pattern(len);
    thread::scope(|scope| {
        for (mut from, to) in [(near, far), (far, near)] {
            let octets = &octets;
            scope.spawn(move || from.write_all(octets).unwrap());
            scope.spawn(move || assert!(read_exactly(to, len) == *octets, "other octets arrived"));
        }
    });
}

#[test]
fn connections_lose_nothing_though_no_flow_keeps_its_queue() {
    for shards in [2, 3] {
        limited(move || {
            let [near, far] = pair(shards);
            let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
            thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let client = TcpStream::connect(&near, (FAR, 80)).unwrap();
                        let (server, _) = listener.accept().unwrap();
                        // Not of the same connection: who came first is accepted first.
                        thread::scope(|scope| {
                            for stream in [&client, &server] {
                                let mut writer = stream;
                                let octets = pattern(300_000);
                                scope.spawn(move || {
                                    writer.write_all(&octets).unwrap();
                                    writer.shutdown(Shutdown::Write).unwrap();
                                });
                                scope.spawn(move || {
                                    assert!(read_to_end(stream).unwrap() == pattern(300_000));
                                });
                            }
                        });
                    });
                }
            });
            for net in [&near, &far] {
                assert!(counted(net, "strays_forwarded_total") > 500);
                assert_eq!(counted(net, "tcp_opened_total"), 6);
            }
        });
    }
}

/// The order in which the ends close, and what they still say, decide the states that strays meet.
#[test]
fn every_way_to_close_is_one_though_its_packets_stray() {
    limited(|| {
        let [near, far] = pair(2);
        let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
        for round in 0..60 {
            let client = TcpStream::connect(&near, (FAR, 80)).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (first, second) = if round % 2 == 0 { (client, server) } else { (server, client) };
            exchange(&first, &second, 100 + 1500 * (round % 3));
            match round % 5 {
                // FIN-WAIT-2 and CLOSE-WAIT, in which the other end still sends.
                0 => {
                    first.shutdown(Shutdown::Write).unwrap();
                    assert!(read_to_end(&second).unwrap().is_empty());
                    (&second).write_all(&pattern(5000)).unwrap();
                    drop(second);
                    assert!(read_to_end(&first).unwrap() == pattern(5000));
                }
                // CLOSING, or nearly so.
                1 => {
                    thread::scope(|scope| {
                        scope.spawn(|| first.shutdown(Shutdown::Write).unwrap());
                        scope.spawn(|| second.shutdown(Shutdown::Write).unwrap());
                    });
                    for end in [&first, &second] {
                        assert!(read_to_end(end).unwrap().is_empty());
                    }
                }
                // A reset by choice.
                2 => {
                    first.set_linger(Some(Duration::ZERO)).unwrap();
                    drop(first);
                    let error = read_to_end(&second).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                }
                // A reset, since what was sent is not read.
                3 => {
                    (&second).write_all(b"unread").unwrap();
                    eventually("it arrives", || first.peek(&mut [0; 6]).unwrap() == 6);
                    drop(first);
                    let error = read_to_end(&second).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                }
                // An orphan that has much to send.
                _ => {
                    (&first).write_all(&pattern(100_000)).unwrap();
                    drop(first);
                    assert!(read_to_end(&second).unwrap() == pattern(100_000));
                }
            }
        }
        for net in [&near, &far] {
            eventually("all have closed", || {
                net.connections().iter().all(|it| it.state == wharf::TcpState::TimeWait)
            });
        }
    });
}

#[test]
fn a_bad_line_on_each_queue_loses_no_octet() {
    limited(|| {
        let (near, far) = Link::queues(1500, 2, 2);
        let lines = |ends: Vec<Link>, seed: u64| {
            let lines = ends.into_iter().zip(seed..).map(|(end, seed)| {
                let settings = format!("loss=2%,duplicate=1%,reorder=2%,delay=1ms,seed={seed}");
                let settings: Impairment = settings.parse().unwrap();
                Impair::new(end.with_spread(Spread::Packets), settings)
            });
            lines.collect::<Vec<_>>()
        };
        let near = Net::start_queues(lines(near, 1), config(NEAR)).unwrap();
        let far = Net::start_queues(lines(far, 11), config(FAR)).unwrap();
        let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
        let clients = [(); 4].map(|()| TcpStream::connect(&near, (FAR, 80)).unwrap());
        thread::scope(|scope| {
            for client in &clients {
                scope.spawn(move || {
                    let mut writer = client;
                    writer.write_all(&pattern(100_000)).unwrap();
                    client.shutdown(Shutdown::Write).unwrap();
                });
                let (server, _) = listener.accept().unwrap();
                scope.spawn(move || assert!(read_to_end(&server).unwrap() == pattern(100_000)));
            }
        });
    });
}

#[test]
fn each_connection_is_accepted_once_by_one_of_the_listeners_of_single_shards() {
    limited(|| {
        let [near, far] = pair(3);
        let listeners = [0, 1, 2].map(|n| TcpListener::bind(&far.shard(n), (FAR, 80)).unwrap());
        let accepted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for listener in &listeners {
                let accepted = &accepted;
                scope.spawn(move || {
                    listener.set_nonblocking(true).unwrap();
                    while accepted.load(Ordering::SeqCst) < 90 {
                        let Ok((mut stream, peer)) = listener.accept() else {
                            thread::yield_now();
                            continue;
                        };
                        stream.set_nonblocking(false).unwrap();
                        stream.write_all(peer.to_string().as_bytes()).unwrap();
                        accepted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..90 {
                let client = TcpStream::connect(&near, (FAR, 80)).unwrap();
                let told = read_to_end(&client).unwrap();
                let own = client.local_addr().unwrap().to_string();
                assert_eq!(String::from_utf8(told).unwrap(), own);
            }
        });
        assert_eq!(accepted.into_inner(), 90);
        assert_eq!(counted(&far, "tcp_opened_total"), 90);
    });
}

/// Threads that want one port at the same time, in all shards or in one: whoever has it has it
/// alone, and what failed leaves nothing behind.
#[test]
fn of_those_that_bind_at_the_same_time_one_has_the_port() {
    limited(|| {
        let [near, _far] = pair(3);
        let places = [near.clone(), near.clone(), near.shard(0), near.shard(2), near.clone()];
        for round in 0..50 {
            let port = 2000 + round;
            let barrier = Barrier::new(places.len());
            let bound: Vec<_> = thread::scope(|scope| {
                let threads = places.each_ref().map(|place| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let socket = TcpSocket::new_v4(place).unwrap();
                        barrier.wait();
                        match socket.bind(at(NEAR, port)) {
                            Ok(()) => Some(socket),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::AddrInUse);
                                None
                            }
                        }
                    })
                });
                threads.map(|thread| thread.join().unwrap()).into_iter().collect()
            });
            let has = |index: usize| bound[index].is_some();
            let whole = [0, 1, 4].into_iter().filter(|&index| has(index)).count();
            assert!(whole <= 1, "two have all shards");
            assert!(whole == 0 || !(has(2) || has(3)), "one has what another has");
            drop(bound);
            let socket = TcpSocket::new_v4(&near).unwrap();
            socket.bind(at(NEAR, port)).unwrap();
        }
    });
}

/// Ports that nobody chose are never had twice, whoever asks.
#[test]
fn ports_that_are_chosen_at_the_same_time_differ() {
    limited(|| {
        let [near, _far] = pair(2);
        let ports: Vec<u16> = thread::scope(|scope| {
            let threads = [(); 4].map(|()| {
                scope.spawn(|| {
                    let bind = |_| {
                        let listener = TcpListener::bind(&near, (NEAR, 0)).unwrap();
                        let socket = UdpSocket::bind(&near, (NEAR, 0)).unwrap();
                        (listener, socket)
                    };
                    (0..50).map(bind).collect::<Vec<_>>()
                })
            });
            let all: Vec<_> =
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            let ports = |port: fn(&(TcpListener, UdpSocket)) -> u16| {
                let mut ports: Vec<_> = all.iter().map(port).collect();
                ports.sort_unstable();
                let before = ports.len();
                ports.dedup();
                assert_eq!(ports.len(), before);
                ports
            };
            ports(|(_, socket)| socket.local_addr().unwrap().port());
            ports(|(listener, _)| listener.local_addr().unwrap().port())
        });
        assert_eq!(ports.len(), 200);
    });
}

/// A stack's connections to itself, whose segments all cross or do not, beside strays.
#[test]
fn connections_of_a_stack_to_itself_are_whole_whatever_shards_their_ends_are_in() {
    limited(|| {
        let [near, far] = pair(2);
        let listeners = [(&near, NEAR), (&far, FAR)]
            .map(|(net, addr)| TcpListener::bind(net, (addr, 80)).unwrap());
        thread::scope(|scope| {
            for (to, listener) in [NEAR, FAR].into_iter().zip(&listeners) {
                for _ in 0..4 {
                    let near = &near;
                    scope.spawn(move || {
                        for _ in 0..5 {
                            let client = TcpStream::connect(near, (to, 80)).unwrap();
                            let (server, _) = listener.accept().unwrap();
                            for stream in [&client, &server] {
                                let mut writer = stream;
                                writer.write_all(&pattern(20_000)).unwrap();
                            }
                            for stream in [&client, &server] {
                                assert!(read_exactly(stream, 20_000) == pattern(20_000));
                            }
                        }
                    });
                }
            }
        });
        for (net, opened) in [(&near, 3 * 20), (&far, 20)] {
            assert_eq!(counted(net, "tcp_opened_total"), opened);
            assert_eq!(net.counters().dropped(DropReason::OwnSource), 0);
        }
    });
}

/// What was written before the last handle went still arrives, whichever shard carries it.
#[test]
fn what_orphans_have_to_send_arrives_after_the_last_handle_has_gone() {
    limited(|| {
        let [near, far] = pair(3);
        let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
        let clients = [(); 6].map(|()| TcpStream::connect(&near, (FAR, 80)).unwrap());
        let servers = [(); 6].map(|()| listener.accept().unwrap().0);
        for mut client in clients {
            client.write_all(&pattern(50_000)).unwrap();
        }
        drop(near);
        for server in servers {
            assert!(read_to_end(&server).unwrap() == pattern(50_000));
        }
    });
}

#[test]
fn a_shutdown_waits_for_transfers_whose_packets_stray() {
    limited(|| {
        let [near, far] = pair(2);
        let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
        let clients = [(); 4].map(|()| TcpStream::connect(&near, (FAR, 80)).unwrap());
        let servers = [(); 4].map(|()| listener.accept().unwrap().0);
        thread::scope(|scope| {
            for mut client in clients {
                scope.spawn(move || client.write_all(&pattern(400_000)).unwrap());
            }
            let readers = servers.map(|server| scope.spawn(move || read_to_end(&server).unwrap()));
            thread::sleep(Duration::from_millis(5)); // Under way.
            near.shutdown(LIMIT).unwrap();
            for reader in readers {
                assert!(reader.join().unwrap() == pattern(400_000));
            }
        });
    });
}

/// No thread hangs, and nobody is told that all was well. Flows keep their order here: a reset that
/// overtakes text is challenged (RFC 5961 §3), and nobody is left to answer.
#[test]
fn a_shutdown_at_once_ends_transfers_whose_packets_stray() {
    limited(|| {
        for round in 0..5 {
            let [near, far] = pair_over(2, Spread::Flows);
            let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
            let clients = [(); 4].map(|()| TcpStream::connect(&near, (FAR, 80)).unwrap());
            let servers = [(); 4].map(|()| listener.accept().unwrap().0);
            thread::scope(|scope| {
                for mut client in clients {
                    scope.spawn(move || while client.write_all(&pattern(10_000)).is_ok() {});
                }
                let readers = servers.map(|server| scope.spawn(move || read_to_end(&server)));
                thread::sleep(Duration::from_millis(round));
                near.shutdown(Duration::ZERO).unwrap();
                for reader in readers {
                    let error = reader.join().unwrap().unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                }
            });
            far.shutdown(Duration::ZERO).unwrap();
        }
    });
}

/// Both ends of a connection agree with the device on whose it is.
#[test]
fn nothing_strays_where_the_device_steers_as_it_is_asked_to() {
    limited(|| {
        let [near, far] = pair_over(3, Spread::Steered);
        let listener = TcpListener::bind(&far, (FAR, 80)).unwrap();
        let server = UdpSocket::bind(&far, (FAR, 53)).unwrap();
        for round in 0..20 {
            let client = TcpStream::connect(&near, (FAR, 80)).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            exchange(&client, &accepted, 10_000);
            let socket = UdpSocket::bind(&near, (NEAR, 0)).unwrap();
            socket.send_to(b"x", (FAR, 53)).unwrap();
            let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
            server.send_to(b"y", from).unwrap();
            assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
            if round < 5 {
                // Of these errors a host gets six at once, and each has an owner too.
                socket.connect((FAR, 54)).unwrap();
                socket.send(b"x").unwrap();
                let error = socket.recv(&mut [0; 8]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            }
        }
        for net in [&near, &far] {
            assert_eq!(counted(net, "strays_forwarded_total"), 0);
        }
    });
}
