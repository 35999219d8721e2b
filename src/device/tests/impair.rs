//! What a bad line does to packets, by its settings: in virtual time, over a link in memory.

use super::*;
use crate::device::Link;

/// A line with these faults, and the far end of the link behind it.
fn line(settings: &str) -> (Impair<Link>, Link) {
    let (near, far) = Link::pair_virtual(1500);
    let many = 1 << 20;
    let near = near.with_queue(many);
    (Impair::new(near, settings.parse().unwrap()), far.with_queue(many))
}

/// A packet of 100 octets that bears a number.
fn packet(number: u32) -> Outgoing {
    let mut packet = Outgoing::default();
    packet.head.extend(number.to_be_bytes());
    packet.payload.push(vec![0; 46].into());
    packet.payload.push(vec![0; 50].into());
    packet
}

fn number(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.octets()[..4].try_into().unwrap())
}

fn send(device: &mut impl Device, now: Instant, numbers: impl IntoIterator<Item = u32>) {
    let mut packets = numbers.into_iter().map(packet).collect();
    device.transmit_burst(now, &mut packets).unwrap();
    assert!(packets.is_empty());
}

fn receive(device: &mut dyn Device, now: Instant) -> Vec<u32> {
    let mut frames = VecDeque::new();
    loop {
        let count = device.receive_burst(now, &mut frames, 64).unwrap();
        if count < 64 && device.deadline() != Some(Instant::ZERO) {
            return frames.iter().map(number).collect();
        }
    }
}

const fn us(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

/// Sends one packet each `gap` microseconds through the line and runs it until it is empty: the
/// numbers in the order in which they come out, each with its time.
fn run(device: &mut Impair<Link>, far: &mut Link, count: u32, gap: u64) -> Vec<(Instant, u32)> {
    let mut out = Vec::new();
    let mut next = 0;
    loop {
        let send_at = (next < count).then(|| us(u64::from(next) * gap));
        let Some(now) = [send_at, device.deadline()].into_iter().flatten().min() else {
            return out;
        };
        if Some(now) == send_at {
            send(device, now, [next]);
            next += 1;
        } else {
            send(device, now, []);
        }
        out.extend(receive(far, now).into_iter().map(|n| (now, n)));
    }
}

fn numbers(out: &[(Instant, u32)]) -> Vec<u32> {
    out.iter().map(|(_, number)| *number).collect()
}

/// Whether `count` is what happens to 1 in `of` of 20,000 packets, to within a fifth of it.
fn is_about(count: u64, of: u64) -> bool {
    let expected = 20_000 / of;
    count.abs_diff(expected) <= expected / 5
}

#[test]
fn a_line_without_faults_passes_everything_at_once_and_in_order() {
    let (mut device, mut far) = line("seed=1");
    send(&mut device, us(1), 0..500);
    send(&mut far, us(1), 500..600);
    assert_eq!(receive(&mut far, us(1)), (0..500).collect::<Vec<_>>());
    assert_eq!(receive(&mut device, us(1)), (500..600).collect::<Vec<_>>());
    assert_eq!(device.deadline(), None);
    let seen = (device.outgoing().packets, device.incoming().packets);
    assert_eq!(seen, (500, 100));
}

#[test]
fn what_is_longer_than_the_mtu_is_lost_in_both_directions() {
    for (mtu, passes) in [(99, false), (100, true)] {
        let (mut device, mut far) = line(&format!("mtu={mtu}"));
        send(&mut device, us(1), [7]);
        send(&mut far, us(1), [8]);
        assert_eq!(receive(&mut far, us(1)).len(), usize::from(passes));
        assert_eq!(receive(&mut device, us(1)).len(), usize::from(passes));
        for statistics in [device.outgoing(), device.incoming()] {
            assert_eq!((statistics.packets, statistics.too_long), (1, u64::from(!passes)));
        }
    }
}

#[test]
fn loss_takes_its_share_in_each_direction_and_nothing_else() {
    let (mut device, mut far) = line("loss=5%");
    for turn in 0..20 {
        send(&mut device, us(turn), 0..1000);
        send(&mut far, us(turn), 0..1000);
    }
    let there = receive(&mut far, us(20)).len();
    let back = receive(&mut device, us(20)).len();
    for (statistics, arrived) in [(device.outgoing(), there), (device.incoming(), back)] {
        assert!(is_about(statistics.lost, 20), "{statistics:?}");
        assert_eq!(arrived as u64 + statistics.lost, 20_000);
    }
    assert_ne!(device.outgoing().lost, device.incoming().lost, "a seed each");
}

#[test]
fn losses_come_in_bursts_of_the_length_that_was_asked_for() {
    let (mut device, mut far) = line("burst=1%/20%,seed=3");
    send(&mut device, us(0), 0..20_000);
    let arrived = receive(&mut far, us(0));
    let lost = device.outgoing().lost;
    // Bad for 1 / (1 + 20) of the time, five packets at a time.
    assert!(is_about(lost, 21), "{lost} lost");
    let gaps = arrived.windows(2).filter(|pair| pair[1] != pair[0] + 1);
    let mean = lost / gaps.count() as u64;
    assert!((4..=6).contains(&mean), "bursts of {mean}");
}

#[test]
fn a_delay_holds_each_packet_for_that_long_and_no_longer() {
    let (mut device, mut far) = line("delay=20ms");
    send(&mut device, us(0), [1]);
    send(&mut device, us(5), [2]);
    assert_eq!(device.deadline(), Some(us(20_000)));
    send(&mut device, us(19_999), []);
    assert!(receive(&mut far, us(19_999)).is_empty());
    send(&mut device, us(20_000), []);
    assert_eq!(receive(&mut far, us(20_000)), [1]);
    assert_eq!(device.deadline(), Some(us(20_005)));
    send(&mut device, us(30_000), []);
    assert_eq!(receive(&mut far, us(30_000)), [2]);

    send(&mut far, us(40_000), [3]);
    assert!(receive(&mut device, us(40_000)).is_empty());
    assert_eq!(device.deadline(), Some(us(60_000)), "both directions");
    assert!(receive(&mut device, us(59_999)).is_empty());
    assert_eq!(receive(&mut device, us(60_000)), [3]);
    assert_eq!(device.deadline(), None);
}

#[test]
fn jitter_spreads_packets_within_its_bounds_and_keeps_their_order() {
    let (mut device, mut far) = line("delay=20ms,jitter=5ms");
    let out = run(&mut device, &mut far, 2000, 100);
    assert_eq!(numbers(&out), (0..2000).collect::<Vec<_>>());
    let waits = out.iter().map(|&(at, n)| at - us(u64::from(n) * 100));
    let (least, most) = (waits.clone().min().unwrap(), waits.max().unwrap());
    assert!(least >= Duration::from_millis(15) && most <= Duration::from_millis(25));
    // Packets that wait for the one before them are on the late side.
    assert!(most > least + Duration::from_millis(5), "{least:?} to {most:?}");
}

#[test]
fn jitter_above_the_delay_stops_at_zero() {
    let (mut device, mut far) = line("jitter=1ms");
    let out = run(&mut device, &mut far, 100, 10_000);
    let waits: Vec<_> = out.iter().map(|&(at, n)| at - us(u64::from(n) * 10_000)).collect();
    assert!(waits.contains(&Duration::ZERO), "half of them");
    assert!(waits.iter().all(|&wait| wait <= Duration::from_millis(1)));
    assert!(waits.iter().any(|&wait| wait > Duration::ZERO));
}

#[test]
fn a_reordered_packet_overtakes_what_is_under_way_by_the_delay() {
    let (mut device, mut far) = line("delay=10ms,reorder=5%");
    let out = run(&mut device, &mut far, 2000, 100);
    let early = out.iter().filter(|&&(at, n)| at == us(u64::from(n) * 100)).count();
    assert_eq!(early as u64, device.outgoing().reordered);
    assert!((60..=140).contains(&early), "{early}");
    let late = out.iter().filter(|&&(at, n)| at == us(u64::from(n) * 100 + 10_000));
    assert_eq!(late.count(), 2000 - early, "the others take their time");
}

#[test]
fn without_a_delay_a_reordered_packet_is_overtaken_for_a_millisecond() {
    let (mut device, mut far) = line("reorder=5%");
    let out = run(&mut device, &mut far, 2000, 100);
    let late = out.iter().filter(|&&(at, n)| at == us(u64::from(n) * 100 + 1_000)).count();
    assert_eq!(late as u64, device.outgoing().reordered);
    assert!((60..=140).contains(&late), "{late}");
    let mut sorted = numbers(&out);
    assert!(!sorted.is_sorted());
    sorted.sort_unstable();
    assert_eq!(sorted, (0..2000).collect::<Vec<_>>(), "none lost, none twice");
}

#[test]
fn a_copy_comes_right_behind_its_packet() {
    let (mut device, mut far) = line("duplicate=10%");
    send(&mut device, us(0), 0..20_000);
    let mut arrived = receive(&mut far, us(0));
    assert!(arrived.is_sorted());
    let duplicated = device.outgoing().duplicated;
    assert!(is_about(duplicated, 10));
    assert_eq!(arrived.len() as u64, 20_000 + duplicated);
    arrived.dedup();
    assert_eq!(arrived.len(), 20_000);
}

#[test]
fn corruption_flips_one_bit_of_the_packet_and_none_of_the_sender() {
    let (mut device, mut far) = line("corrupt=100%");
    let mut hit = [false; 3];
    for turn in 0..200 {
        let original = packet(7);
        let mut packets = VecDeque::from([original.clone()]);
        device.transmit_burst(us(turn), &mut packets).unwrap();
        let mut frames = VecDeque::new();
        far.receive_burst(us(turn), &mut frames, 2).unwrap();
        let (sent, got) = (packet(7).to_frame(), frames[0].clone());
        assert_eq!(original.to_frame(), sent, "the send buffer is as it was");
        assert_eq!(got.octets().len(), sent.octets().len());
        let flips: Vec<_> = std::iter::zip(sent.octets(), got.octets())
            .map(|(a, b)| (a ^ b).count_ones())
            .enumerate()
            .filter(|(_, bits)| *bits > 0)
            .collect();
        assert_eq!(flips.len(), 1);
        assert_eq!(flips[0].1, 1);
        hit[match flips[0].0 {
            0..4 => 0,
            4..50 => 1,
            _ => 2,
        }] = true;
    }
    assert_eq!(hit, [true; 3], "head and both slices of the payload");

    send(&mut far, us(300), [7]);
    let mut frames = VecDeque::new();
    device.receive_burst(us(300), &mut frames, 2).unwrap();
    assert_ne!(frames[0].octets(), packet(7).to_frame().octets());
}

#[test]
fn a_rate_spaces_packets_and_its_queue_drops_the_last_to_come() {
    // 100 octets take 1 ms.
    let (mut device, mut far) = line("rate=800kbit,queue=4,delay=10ms");
    send(&mut device, us(0), 0..6);
    assert_eq!(device.outgoing().overflowed, 2);
    for n in 0..4 {
        let at = us(11_000 + 1_000 * u64::from(n));
        assert_eq!(device.deadline(), Some(at));
        send(&mut device, at, []);
        assert_eq!(receive(&mut far, at), [n]);
    }
    assert_eq!(device.deadline(), None);
    // After a pause the line is free at once; room comes back packet by packet.
    send(&mut device, us(100_000), 10..14);
    send(&mut device, us(100_999), [14]);
    assert_eq!(device.outgoing().overflowed, 3);
    send(&mut device, us(101_000), [15]);
    assert_eq!(device.outgoing().overflowed, 3);
    let out = run(&mut device, &mut far, 0, 1);
    assert_eq!(numbers(&out), [10, 11, 12, 13, 15]);
    assert_eq!(out[4].0, us(115_000));
}

#[test]
fn what_is_held_has_a_bound() {
    let (mut device, _far) = line("delay=1000s");
    for turn in 0..70 {
        send(&mut device, us(turn), 0..1000);
    }
    assert_eq!(device.outgoing.held.len(), HELD_MAX);
    assert_eq!(device.outgoing().overflowed, 70_000 - HELD_MAX as u64);
}

#[test]
fn what_is_held_has_a_bound_in_octets_too_and_what_has_left_gives_room() {
    let (mut device, _far) = line("delay=1s");
    let mut large = Outgoing::default();
    large.payload.push(vec![0; 65_535].into());
    let fit = HELD_OCTETS_MAX / 65_535;
    for second in 0..3 {
        let now = Instant::from_millis(1000 * second);
        send(&mut device, now, []);
        let mut packets = std::iter::repeat_n(large.clone(), fit + 3).collect();
        device.transmit_burst(now, &mut packets).unwrap();
        assert_eq!(device.outgoing.held.len(), fit);
        assert_eq!(device.outgoing().overflowed, 3 * (second + 1));
    }
}

#[test]
fn equal_seeds_give_equal_lines_and_others_do_not() {
    let all = "loss=3%,burst=1%/25%,delay=20ms,jitter=5ms,reorder=1%,duplicate=1%,corrupt=1%,\
               rate=10mbit,queue=64,seed=";
    let [a, b, c] = [1, 1, 2].map(|seed| {
        let (mut device, mut far) = line(&format!("{all}{seed}"));
        let out = run(&mut device, &mut far, 3000, 80);
        (out, device.outgoing())
    });
    assert_eq!(a, b);
    assert_ne!(a, c);
}

#[test]
fn what_arrives_does_not_change_what_leaves() {
    let settings = "loss=10%,delay=1ms,jitter=1ms";
    let [quiet, busy] = [false, true].map(|is_busy| {
        let (mut device, mut far) = line(settings);
        if is_busy {
            send(&mut far, us(0), 0..1000);
            receive(&mut device, us(0));
        }
        send(&mut device, us(0), 0..1000);
        send(&mut device, us(9_000), []);
        receive(&mut far, us(9_000))
    });
    assert_eq!(quiet, busy);
}

/// An edge-triggered event loop hears of waiting packets once: if all of a burst are held, the
/// line must ask for the next call itself.
#[test]
fn a_burst_that_is_held_whole_asks_to_be_called_again_at_once() {
    let (mut device, mut far) = line("delay=20ms");
    send(&mut far, us(7), 0..5);
    let mut frames = VecDeque::new();
    assert_eq!(device.receive_burst(us(7), &mut frames, 4).unwrap(), 0);
    assert_eq!(device.deadline(), Some(Instant::ZERO));
    assert_eq!(device.receive_burst(us(7), &mut frames, 0).unwrap(), 0);
    assert_eq!(device.deadline(), Some(Instant::ZERO), "nothing was asked for");
    assert_eq!(device.receive_burst(us(7), &mut frames, 4).unwrap(), 0);
    assert_eq!(device.deadline(), Some(us(20_007)));
    assert_eq!(device.receive_burst(us(20_007), &mut frames, 3).unwrap(), 3);
    assert_eq!(device.deadline(), Some(us(20_007)), "two are due");
    assert_eq!(receive(&mut device, us(20_007)), [3, 4]);
}

#[test]
fn a_vanished_device_is_an_error_through_the_line() {
    let (mut device, far) = line("delay=20ms");
    send(&mut device, us(0), [1]);
    far.unplug();
    let outcome = device.receive_burst(us(1), &mut VecDeque::new(), 9);
    assert_eq!(outcome.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    let outcome = device.transmit_burst(us(1), &mut VecDeque::new());
    assert!(outcome.is_err());
}
