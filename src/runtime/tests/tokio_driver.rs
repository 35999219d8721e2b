use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::time::Duration;
use crate::tokio::{TcpListener, TcpStream};
use crate::{Link, Net, StackConfig};

/// All on one thread, so that a whole window comes at once. That the time passes shows that packets
/// gathered: nothing else takes as long as a pause.
#[test]
fn packets_gather_while_a_driver_that_is_a_task_sleeps() {
    const LIMIT: Duration = Duration::from_millis(200);
    const OCTETS: usize = 4_000_000;
    let (near, far) = Link::pair(65_535);
    let [(near, near_driver), (far, far_driver)] = [(near, 1), (far, 2)].map(|(link, host)| {
        let mut config = StackConfig::new(format!("10.7.0.{host}/24").parse().unwrap());
        config.interface.mtu = 65_535;
        config.tcp.receive_buffer = 2 << 20;
        config.tcp.send_buffer = 2 << 20;
        Net::driver(link, config).unwrap()
    });
    // Longer than anybody else may ask for.
    far.shared().ask(|shard, _| shard.coalescing.set_limit(LIMIT));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = far.clone();
    runtime.block_on(async move {
        tokio::spawn(near_driver);
        tokio::spawn(far_driver);
        let listener = TcpListener::bind(&far, "10.7.0.2:9").await.unwrap();
        let mut near = TcpStream::connect(&near, "10.7.0.2:9").await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let begin = clock.shared().now();
        let sending = tokio::spawn(async move { near.write_all(&vec![7; OCTETS]).await });
        // Much at once: while a task still has to read, and its window to open, nobody sleeps.
        let reading = tokio::spawn(async move {
            let (mut room, mut count) = (vec![0; OCTETS], 0);
            while count < OCTETS {
                count += far.read(&mut room[count..]).await.unwrap();
            }
            assert!(room == vec![7; OCTETS]);
        });
        reading.await.unwrap();
        sending.await.unwrap().unwrap();
        assert!(clock.shared().now() - begin >= LIMIT, "{:?}", clock.shared().now() - begin);
    });
}
