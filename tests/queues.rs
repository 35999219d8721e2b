//! A TUN of several queues, in a network namespace that each test makes for itself; it goes with
//! the test's process.

mod namespace;

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use wharf::{Device, Frame, Instant, Misfit, Outgoing, Seed, Steering, Tun, TunConfig, TunError};

/// Set in the process that has a namespace of its own.
const INSIDE: &str = "WHARF_QUEUES_INSIDE";

/// More time than anything here needs; what has not come by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the kernel has before it is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// The kernel's end, and ours.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const STACK: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);

/// Runs `inside` in a namespace of its own, which a new process of this program has.
fn in_a_namespace(test: &str, inside: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(flags) = namespace::flags_for(test) else { return };
    let output = Command::new("unshare")
        .arg(flags)
        .arg(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("the test's own program");
    namespace::show(&String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{test}: see above");
}

fn config(offload: bool) -> TunConfig {
    let mut config = TunConfig::new("tun0");
    config.host_address = Some("10.7.0.1/24".parse().expect("an address"));
    config.offload = offload;
    config
}

/// What waits in the queues, and in which of them.
fn arrived(queues: &mut [Tun]) -> Vec<(usize, Frame)> {
    let mut all = Vec::new();
    for (index, queue) in queues.iter_mut().enumerate() {
        let mut frames = VecDeque::new();
        while queue.receive_burst(Instant::ZERO, &mut frames, 64).expect("the device is there") > 0
        {
        }
        all.extend(frames.into_iter().map(|frame| (index, frame)));
    }
    // The kernel has something to say of itself now and then, by IPv6.
    all.retain(|(_, frame)| frame.octets().first().is_some_and(|first| first >> 4 == 4));
    all
}

/// A datagram from us to the kernel, without a checksum of UDP, which may be absent.
fn datagram(from: u16, to: u16) -> Outgoing {
    let mut head = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
    head.extend(STACK.octets());
    head.extend(HOST.octets());
    let sum: u32 = head.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("a small sum");
    head[10..12].copy_from_slice(&checksum.to_be_bytes());
    head.extend([from, to, 8, 0].into_iter().flat_map(u16::to_be_bytes));
    let mut packet = Outgoing::default();
    packet.head.extend(head);
    packet
}

/// The kernel opens connections and sends datagrams, from many ports, and complains about
/// datagrams of ours: an error that quotes.
fn have_the_kernel_send(queues: &mut [Tun]) {
    for port in 1..=100 {
        let to = SocketAddr::from((STACK, port));
        let error =
            TcpStream::connect_timeout(&to, Duration::from_millis(1)).expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
    let socket = UdpSocket::bind((HOST, 0)).expect("an address of the namespace");
    for port in 1..=100 {
        socket.send_to(b"x", (STACK, port)).expect("the device takes it");
    }
    for port in 1..=5 {
        let mut packets = VecDeque::from([datagram(1000 + port, 9)]);
        queues[0].transmit_burst(Instant::ZERO, &mut packets).expect("the device is there");
    }
}

#[test]
fn each_packet_of_the_kernel_arrives_by_the_queue_that_the_rule_says() {
    in_a_namespace("each_packet_of_the_kernel_arrives_by_the_queue_that_the_rule_says", || {
        let mut errors = 0;
        for (count, offload) in [(2u16, true), (3, false), (4, true)] {
            let mut queues = Tun::open_queues(&config(offload), count.into()).unwrap();
            assert!(queues.iter().all(Tun::was_made));
            let steering =
                Steering::new(NonZeroU16::new(count).unwrap(), &Seed::from_number(count.into()));
            if !queues[1].steer(&steering) {
                println!("skip each_packet_of_the_kernel (bpf(2) is not permitted here)");
                return;
            }
            have_the_kernel_send(&mut queues);
            let arrived = arrived(&mut queues);
            let (mut segments, mut datagrams) = (0, 0);
            for (index, frame) in &arrived {
                assert_eq!(*index, steering.owner(frame.octets()), "{frame:?} of {count}");
                match frame.octets()[9] {
                    6 => segments += 1,
                    17 => datagrams += 1,
                    1 => errors += 1,
                    other => panic!("protocol {other}"),
                }
            }
            assert!(segments >= 100 && datagrams == 100, "{segments} and {datagrams}");
            let used: BTreeSet<_> = arrived.iter().map(|(index, _)| *index).collect();
            assert_eq!(used.len(), usize::from(count), "all queues have had some");
        }
        // It complains six times at once, and then once a second.
        assert!(errors >= 5, "{errors} errors");
    });
}

/// What the kernel does by itself: so that without steering only first packets stray.
#[test]
fn a_flow_arrives_by_the_queue_by_which_it_last_left() {
    in_a_namespace("a_flow_arrives_by_the_queue_by_which_it_last_left", || {
        let mut queues = Tun::open_queues(&config(true), 2).unwrap();
        let sockets: Vec<_> = (0..8).map(|_| UdpSocket::bind((HOST, 0)).unwrap()).collect();
        for round in 0..4 {
            for (n, socket) in sockets.iter().enumerate() {
                let port = socket.local_addr().unwrap().port();
                let mut packets = VecDeque::from([datagram(53, port)]);
                let queue = (round + n) % 2;
                queues[queue].transmit_burst(Instant::ZERO, &mut packets).unwrap();
                socket.send_to(b"x", (STACK, 53)).unwrap();
                let arrived = arrived(&mut queues);
                assert_eq!(arrived.len(), 1);
                assert_eq!(arrived[0].0, queue, "flow {n} in round {round}");
            }
        }
    });
}

#[test]
fn a_device_of_several_queues_goes_with_the_last_of_them() {
    in_a_namespace("a_device_of_several_queues_goes_with_the_last_of_them", || {
        for offload in [true, false] {
            let mut queues = Tun::open_queues(&config(offload), 3).unwrap();
            assert!(queues.iter().all(|queue| queue.capabilities() == queues[0].capabilities()));
            assert_eq!(
                queues[0].capabilities().checksum,
                offload && queues[2].capabilities().checksum
            );
            queues.truncate(1);
            let another = Tun::open(&config(offload)).unwrap();
            assert!(!another.was_made(), "it is there as long as a queue is");
            drop(another);
            drop(queues);
            assert!(Tun::open(&config(offload)).unwrap().was_made(), "it had gone");
        }
    });
}

/// Makes a device that stays.
fn make(name: &str, kind: &[&str]) -> bool {
    let args = ["tuntap", "add", "dev", name, "mode", "tun"];
    let made = Command::new("ip").args(args).args(kind).status();
    made.is_ok_and(|status| status.success())
}

/// Gives a device the address of the kernel's end, and brings it up.
fn set_up(name: &str) {
    for args in [["addr", "add", "10.7.0.1/24", "dev", name], ["link", "set", "up", "dev", name]] {
        assert!(Command::new("ip").args(args).status().is_ok_and(|status| status.success()));
    }
}

fn named(name: &str, offload: bool) -> TunConfig {
    let mut config = config(offload);
    name.clone_into(&mut config.name);
    config
}

#[test]
fn a_device_takes_as_many_queues_as_it_was_made_for() {
    in_a_namespace("a_device_takes_as_many_queues_as_it_was_made_for", || {
        if !(make("one", &[]) && make("many", &["multi_queue"])) {
            println!("skip a_device_takes_as_many_queues (no persistent TUN can be made here)");
            return;
        }
        for offload in [true, false] {
            let with_name = |name: &str| named(name, offload);
            for (name, count) in [("one", 1), ("many", 1), ("many", 2), ("many", 1)] {
                let queues = Tun::open_queues(&with_name(name), count).unwrap();
                assert_eq!(queues.len(), count);
                assert!(queues.iter().all(|queue| !queue.was_made()));
            }
            let error = Tun::open_queues(&with_name("one"), 2).unwrap_err();
            // Where sysfs shows another namespace, only the kernel's EINVAL is known.
            let TunError::Unfit { misfit, .. } = error else { panic!("{error}") };
            assert!(matches!(misfit, Misfit::SingleQueue | Misfit::Refused), "{misfit:?}");
        }
        let error = Tun::open_queues(&config(true), 0).unwrap_err();
        assert!(matches!(error, TunError::QueueCount { count: 0 }));
    });
}

/// Whether the datagrams that the kernel gives to a device are summed: a program that knows of no
/// `virtio_net_hdr` would else read packets that nobody has summed.
#[expect(clippy::disallowed_methods, reason = "reading the device blocks")]
fn is_summed(name: &str) -> bool {
    let next = tun_tap::Iface::without_packet_info(name, tun_tap::Mode::Tun);
    let next = next.expect("the device takes a program that knows of no header");
    let socket = UdpSocket::bind((HOST, 0)).expect("an address of the namespace");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut octets = [0; 2000];
        while let Ok(len) = next.recv(&mut octets) {
            if octets[0] == 0x45 && octets[9] == 17 {
                let _ = tell.send(octets[..len].to_vec());
                return;
            }
        }
    });
    let packet = (0..PATIENCE.as_millis() / PAUSE.as_millis()).find_map(|_| {
        // Again and again: the kernel takes a while to find that somebody is there.
        let _ = socket.send_to(b"summed", (STACK, 9));
        told.recv_timeout(PAUSE).ok()
    });
    let packet = packet.expect("none of the kernel's datagrams came out of the device");
    // Over the addresses, the protocol, the length, and all of UDP.
    let pseudo = [&packet[12..20], &[0, 17, 0, 14], &packet[20..]].concat();
    let words = pseudo.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
    let sum = words.sum::<u32>();
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

#[test]
fn a_device_of_others_is_left_without_the_offloads_that_we_agreed_on() {
    in_a_namespace("a_device_of_others_is_left_without_the_offloads_that_we_agreed_on", || {
        if !make("one", &[]) {
            println!("skip a_device_of_others_is_left (no persistent TUN can be made here)");
            return;
        }
        set_up("one");
        let ours = Tun::open(&named("one", true)).unwrap();
        let has_offloads = ours.capabilities().checksum;
        drop(ours);
        assert!(is_summed("one"), "with offloads: {has_offloads}");
    });
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `found` finds, once it does.
fn within_patience<T>(meanwhile: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let found = (0..PATIENCE.as_millis() / PAUSE.as_millis()).find_map(|_| {
        let found = found();
        if found.is_none() {
            std::thread::sleep(PAUSE);
        }
        found
    });
    found.unwrap_or_else(|| panic!("{meanwhile}"))
}

/// Whoever asks again wants no grace, and yet the device is somebody else's.
#[test]
fn a_device_of_others_is_left_without_our_offloads_by_a_server_that_is_told_twice_to_end() {
    let test =
        "a_device_of_others_is_left_without_our_offloads_by_a_server_that_is_told_twice_to_end";
    in_a_namespace(test, || {
        let (true, Some(wharf)) = (make("one", &[]), option_env!("CARGO_BIN_EXE_wharf")) else {
            println!("skip {test} (no persistent TUN can be made here, or there is no program)");
            return;
        };
        set_up("one");
        let mut server = Command::new(wharf);
        let server = server.args(["serve", "--tun", "one"]).stdout(Stdio::piped()).spawn();
        let mut server = Running(server.unwrap());
        let mut ready = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        // Nobody reads it: so the server waits for it when it is first told.
        let mut client = TcpStream::connect((STACK, 80)).unwrap();
        client.write_all(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: w\r\n\r\n").unwrap();
        client.read_exact(&mut [0; 1000]).unwrap();
        let tell = |server: &Child| {
            let told = Command::new("kill").args(["-INT", &server.id().to_string()]).status();
            assert!(told.is_ok_and(|status| status.success()));
        };
        tell(&server.0);
        // Two signals at once are one to it: so it must have heard the first.
        within_patience("it still takes connections", || {
            let next = TcpStream::connect_timeout(&(STACK, 80).into(), PATIENCE);
            next.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused).then_some(())
        });
        assert_eq!(server.0.try_wait().unwrap(), None, "it waits for its client");
        tell(&server.0);
        let status = within_patience("it still runs", || server.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(1));
        assert!(is_summed("one"));
    });
}

#[test]
fn a_device_of_others_is_left_to_choose_its_queues_by_itself() {
    in_a_namespace("a_device_of_others_is_left_to_choose_its_queues_by_itself", || {
        if !make("many", &["multi_queue"]) {
            println!("skip a_device_of_others_chooses (no persistent TUN can be made here)");
            return;
        }
        set_up("many");
        let mut ours = Tun::open_queues(&named("many", true), 2).unwrap();
        let steering = Steering::new(NonZeroU16::new(2).unwrap(), &Seed::from_number(1));
        if !ours[0].steer(&steering) {
            println!("skip a_device_of_others_chooses (bpf(2) is not permitted here)");
            return;
        }
        drop(ours);
        let mut next = Tun::open_queues(&named("many", true), 2).unwrap();
        let socket = UdpSocket::bind((HOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        for queue in [0, 1] {
            let mut ask = || {
                let mut packets = VecDeque::from([datagram(53, port)]);
                next[queue].transmit_burst(Instant::ZERO, &mut packets).unwrap();
                socket.send_to(b"x", (STACK, 53)).unwrap();
                arrived(&mut next).first().map(|&(found, _)| found)
            };
            // The kernel takes a while to find that somebody is there.
            let found = (0..PATIENCE.as_millis() / PAUSE.as_millis()).find_map(|_| {
                let found = ask();
                if found.is_none() {
                    std::thread::sleep(PAUSE);
                }
                found
            });
            let found = found.expect("none of the kernel's datagrams came by any queue");
            assert_eq!(found, queue, "where the flow last left");
        }
    });
}
