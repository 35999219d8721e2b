//! Paths that swallow large segments and say nothing, and the search for what they carry: RFC 4821.

use wharf::sim::established;
use wharf::{Duration, MtuProbing};

use crate::config;
use crate::path_mtu::TOO_BIG;

/// RFC 4821 §7.7; the ends are as Linux with `tcp_mtu_probing` = 1 has them.
#[test]
fn large_segments_that_vanish_three_times_are_cut_smaller_and_smaller_to_the_floor() {
    established("").plays(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0.3  > P. 1:1461(1460) ack 1
        +0.6  > P. 1:1461(1460) ack 1
        +1.2  > .  1:1025(1024) ack 1
        +0    expect send_mss 1024
        +2.4  > .  1:513(512) ack 1
        +4.8  > .  1:513(512) ack 1
        +0    expect send_mss 512
        +0.1  < .  1:1(0) ack 513 win 512
        +0    > .  513:1025(512) ack 1
        +0    > P. 1025:1461(436) ack 1
        +0.1  < .  1:1(0) ack 1461 win 512
        +100  nothing
        ",
    );
}

/// Whether a window is still shut must be heard even through a black hole, which nobody looks for
/// there: what is sent again is small.
#[test]
fn what_asks_whether_a_window_is_still_shut_passes_a_black_hole() {
    established("").plays(
        "
        +0    write 1460
        +0    > P. 1:1461(1460) ack 1
        +0.1  < .  1:1(0) ack 1 win 0
        +0.2  > .  1:473(472) ack 1
        +0.6  > .  1:473(472) ack 1
        +1.2  > .  1:473(472) ack 1
        +2.4  > .  1:473(472) ack 1
        +0    expect send_mss 1460
        +0.1  < .  1:1(0) ack 473 win 512
        +0    > P. 473:1461(988) ack 1
        +0.1  < .  1:1(0) ack 1461 win 512
        +100  nothing
        ",
    );
}

/// What was sent in small segments is sent again in large ones, for which the hole is as black.
#[test]
fn small_segments_that_come_together_when_they_are_sent_again_count_as_large_ones() {
    for (first, second, fourth) in [(100, 1460, 1024), (400, 400, 800)] {
        let (together, all) = ((first + second).min(1460), first + second);
        let segment = |len: u32| format!("1:{}({len}) ack 1", 1 + len);
        let [together, fourth, last] = [together, fourth, 512].map(segment);
        let push = if all > 1460 { "." } else { "P." };
        established("").plays(&format!(
            "
            +0    nodelay on
            +0    write {first}
            +0    > P. {one}
            +0    write {second}
            +0    > P. {end}:{behind}({second}) ack 1
            +0.3  > {push} {together}
            +0.6  > {push} {together}
            +1.2  > {push} {together}
            +2.4  > {push} {fourth}
            +4.8  > .  {last}
            ",
            one = segment(first),
            end = 1 + first,
            behind = 1 + all,
        ));
    }
}

#[test]
fn small_segments_that_vanish_are_no_black_hole_and_nothing_is_if_probing_is_off() {
    let small = "
        +0    write 472
        +0    > P. 1:473(472) ack 1
        +0.3  > P. 1:473(472) ack 1
        +0.6  > P. 1:473(472) ack 1
        +1.2  > P. 1:473(472) ack 1
        +2.4  > P. 1:473(472) ack 1
        +0    expect send_mss 1460
    ";
    established("").plays(small);
    let large = small.replace("473", "1461").replace("472", "1460");
    config(|config| config.tcp.mtu_probing = MtuProbing::Off).established("").plays(&large);
}

/// A connection in a black hole that ends where segments of 1024 octets pass, with room in its
/// congestion window for probes.
const IN_BLACK_HOLE: &str = "
    +0    write 1460
    +0    > P. 1:1461(1460) ack 1
    +0.3  > P. 1:1461(1460) ack 1
    +0.6  > P. 1:1461(1460) ack 1
    +1.2  > .  1:1025(1024) ack 1
    +0.1  < .  1:1(0) ack 1025 win 512
    +0    > P. 1025:1461(436) ack 1
    +0.1  < .  1:1(0) ack 1461 win 512
    +0    write 4096
    +0    > .  1461:2485(1024) ack 1
    +0    > .  2485:3509(1024) ack 1
    +0.1  < .  1:1(0) ack 3509 win 512
    +0    > .  3509:4533(1024) ack 1
    +0    > P. 4533:5557(1024) ack 1
    +0.1  < .  1:1(0) ack 5557 win 512
    +0    write 15904
    # The probe, and what shows whether it arrives.
    +0    > .  5557:7017(1460) ack 1
    +0    > .  7017:8041(1024) ack 1
    +0    > .  8041:9065(1024) ack 1
    +0    > .  9065:10089(1024) ack 1
    +0    expect send_mss 1024
    +0    expect cwnd 4532
";

#[test]
fn a_probe_that_arrives_makes_segments_larger() {
    let script = format!(
        "{IN_BLACK_HOLE}
        +0.1  < .  1:1(0) ack 7017 win 512
        +0    > .  10089:11549(1460) ack 1
        +0    expect send_mss 1460
        "
    );
    established("").plays(&script);
}

#[test]
fn a_probe_that_is_lost_is_no_congestion_and_a_smaller_one_follows() {
    let script = format!(
        "{IN_BLACK_HOLE}
        +0.1  < .  1:1(0) ack 5557 win 512
        +0    > .  10089:11113(1024) ack 1
        +0    < .  1:1(0) ack 5557 win 512
        +0    > .  11113:12137(1024) ack 1
        +0    < .  1:1(0) ack 5557 win 512
        +0    > .  5557:6581(1024) ack 1
        +0    > .  6581:7017(436) ack 1
        +0    > .  12137:13161(1024) ack 1
        +0    expect cwnd 4532
        +0    expect ssthresh 2920
        +0    expect rto_ms 300
        +0.1  < .  1:1(0) ack 13161 win 512
        +0    > .  13161:14402(1241) ack 1
        +0    > .  14402:15426(1024) ack 1
        +0    > .  15426:16450(1024) ack 1
        +0    > .  16450:17474(1024) ack 1
        +0    > .  17474:18498(1024) ack 1
        "
    );
    established("").plays(&script);
}

/// What is sent again arrives in small segments, and says nothing of the large one.
#[test]
fn a_probe_that_is_lost_behind_another_segment_has_not_arrived() {
    config(|config| config.tcp.mtu_probing = MtuProbing::Always).established("").plays(
        "
        +0    write 1024
        +0    > P. 1:1025(1024) ack 1
        +0    write 8000
        +0    > .  1025:2485(1460) ack 1
        +0    > .  2485:3509(1024) ack 1
        +0    > .  3509:4533(1024) ack 1
        +0    > .  4533:5557(1024) ack 1
        +0    > .  5557:6581(1024) ack 1
        +0    > .  6581:7605(1024) ack 1
        +0    > .  7605:8629(1024) ack 1
        +0    > P. 8629:9025(396) ack 1
        # Lost are the first one and the probe.
        +0.1  < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1025(1024) ack 1
        +0.1  < .  1:1(0) ack 1025 win 512
        +0    > .  1025:2049(1024) ack 1
        +0.1  < .  1:1(0) ack 2049 win 512
        +0    > .  2049:3073(1024) ack 1
        +0.1  < .  1:1(0) ack 9025 win 512
        +0    expect send_mss 1024
        +0    write 1460
        +0    > .  9025:10049(1024) ack 1
        +0    > P. 10049:10485(436) ack 1
        ",
    );
}

/// Of a probe whose beginning alone is sent again the rest can only have come with itself.
#[test]
fn a_probe_whose_first_octets_are_sent_again_may_have_arrived() {
    config(|config| config.tcp.mtu_probing = MtuProbing::Always).established("").plays(
        "
        +0    write 1000
        +0    > P. 1:1001(1000) ack 1
        +0    write 4532
        +0    > .  1001:2461(1460) ack 1
        +0    > .  2461:3485(1024) ack 1
        +0    > .  3485:4509(1024) ack 1
        +0    > P. 4509:5533(1024) ack 1
        +0.1  < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    < .  1:1(0) ack 1 win 512
        +0    > .  1:1025(1024) ack 1
        +0.1  < .  1:1(0) ack 5533 win 512
        +0    expect send_mss 1460
        ",
    );
}

/// A router that tells of the probe: it was too large, and the rest stays as it is.
#[test]
fn a_probe_that_a_router_refuses_is_sent_again_alone() {
    let script = format!(
        "{IN_BLACK_HOLE}
        +0.05 {TOO_BIG} 1300 quoting 5557
        +0    > .  5557:6581(1024) ack 1
        +0    > .  6581:7017(436) ack 1
        +0    expect send_mss 1024
        +0.05 < .  1:1(0) ack 5557 win 512
        +0.05 < .  1:1(0) ack 10089 win 512
        +0    > .  10089:11113(1024) ack 1
        +0    > .  11113:12137(1024) ack 1
        +0    > .  12137:13161(1024) ack 1
        +0    > .  13161:14185(1024) ack 1
        +0    > .  14185:15209(1024) ack 1
        +0.1  < .  1:1(0) ack 15209 win 512
        +0    > .  15209:16469(1260) ack 1
        +0    > .  16469:17493(1024) ack 1
        +0    > .  17493:18517(1024) ack 1
        +0    > .  18517:19541(1024) ack 1
        +0    > .  19541:20565(1024) ack 1
        +0.1  < .  1:1(0) ack 16469 win 512
        +0    > P. 20565:21461(896) ack 1
        +0    expect send_mss 1260
        "
    );
    established("").plays(&script);
}

#[test]
fn with_probing_from_the_start_segments_are_small_until_a_probe_has_arrived() {
    config(|config| config.tcp.mtu_probing = MtuProbing::Always).established("").plays(
        "
        +0    write 8000
        +0    > .  1:1461(1460) ack 1
        +0    > .  1461:2485(1024) ack 1
        +0    > .  2485:3509(1024) ack 1
        +0    > .  3509:4533(1024) ack 1
        +0    > .  4533:5557(1024) ack 1
        +0    > .  5557:6581(1024) ack 1
        +0    > .  6581:7605(1024) ack 1
        +0    > P. 7605:8001(396) ack 1
        +0    expect send_mss 1024
        +0.1  < .  1:1(0) ack 8001 win 512
        +0    expect send_mss 1460
        ",
    );
}

/// RFC 2923 §2.1: a path that narrows under way, and a router that does not tell.
#[test]
fn a_transfer_survives_a_black_hole_in_either_direction() {
    use wharf::sim::{Path, Plan, Router, Simulation};
    for (seed, mtu) in [(1, 1480), (2, 1100), (3, 1000), (4, 552)] {
        let mut world = Simulation::pair(seed, "delay=10ms".parse().unwrap());
        for host in 0..2 {
            let path = Path::new(Router::Silent, 1500).then(wharf::Instant::from_millis(90), mtu);
            world.set_path(host, Some(path));
        }
        world.serve(1, 80, |_| Plan::bulk(300_000));
        world.connect(0, None, "10.7.0.2:80".parse().unwrap(), Plan::bulk(300_000));
        assert!(world.run_until_done(Duration::from_secs(30)), "{mtu}: it stalled");
        world.finish(Duration::from_hours(1), "a black hole");
    }
}
