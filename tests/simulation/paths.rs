//! Paths whose MTU changes under way, with routers that tell of it and routers that do not.

use wharf::sim::{Path, Plan, Random, Router};
use wharf::{Duration, Instant, MtuProbing};

use super::{line, pair, seeds, server};

/// A path with one to four changes within the first second.
fn any_path(rng: &mut Random) -> Path {
    let router = [Router::Tells, Router::TellsNoSize, Router::Silent][rng.index(3)];
    let mut path = Path::new(router, 1500);
    let mut at = 0;
    for _ in 0..=rng.below(3) {
        at += rng.below(300);
        let mtu = 552 + rng.index(949);
        path = path.then(Instant::from_millis(at), mtu);
    }
    path
}

#[test]
fn whatever_becomes_of_the_path_all_that_was_written_arrives() {
    for seed in seeds(40) {
        let mut rng = Random::new(seed);
        let probing = [MtuProbing::OnBlackHole, MtuProbing::Always][rng.index(2)];
        let text = ["delay=10ms", "delay=20ms,loss=1%,reorder=2%", "delay=5ms,loss=5%"];
        let text = text[rng.index(text.len())];
        let mut world = pair(seed, line(text), |config| config.tcp.mtu_probing = probing);
        for host in 0..2 {
            world.set_path(host, Some(any_path(&mut rng)));
        }
        world.serve(1, 80, |_| Plan::bulk(150_000));
        world.connect(0, None, server(), Plan::bulk(150_000));
        let what = format!("SEED={seed} {text} {probing:?}");
        assert!(world.run_until_done(Duration::from_mins(10)), "{what}: it stalled");
        world.finish(Duration::from_hours(2), &what);
    }
}
