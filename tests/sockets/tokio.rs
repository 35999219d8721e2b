//! `wharf::tokio`: what `tokio::net` promises, with a thread or a task as the driver.

use std::future::{Future, poll_fn};
use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wharf::tokio::{EchoSocket, TcpListener, TcpSocket, TcpStream, UdpSocket};
use wharf::{Link, Net};

use crate::support::{
    Cable, End, FAR, LIMIT, NEAR, NOBODY, at, config, errno, eventually, pattern,
};

/// Two stacks that run as tasks of the test's own runtime.
struct Tasks {
    near: Net,
    far: Net,
    cable: Cable,
    near_drivers: Vec<JoinHandle<std::io::Result<()>>>,
    far_drivers: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Tasks {
    fn new() -> Self {
        let (near, far) = Link::queues(1500, super::SHARDS, super::SHARDS);
        let (near, cable) = End::queues(near);
        let (near, near_drivers) = Net::drivers(near, config(NEAR)).unwrap();
        let (far, far_drivers) = Net::drivers(far, config(FAR)).unwrap();
        let near_drivers = near_drivers.into_iter().map(tokio::spawn).collect();
        let far_drivers = far_drivers.into_iter().map(tokio::spawn).collect();
        Self { near, far, cable, near_drivers, far_drivers }
    }
}

/// Fails if `future` hangs.
async fn limited<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.expect("the test hangs")
}

async fn connect(near: &Net, far: &Net) -> (TcpStream, TcpStream) {
    limited(async {
        let listener = TcpListener::bind(far, (FAR, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let near = TcpStream::connect(near, addr).await.unwrap();
        let (far, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, near.local_addr().unwrap());
        assert_eq!(near.peer_addr().unwrap(), far.local_addr().unwrap());
        (near, far)
    })
    .await
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_read_clears_no_more_of_its_buffer_than_there_is_to_read() {
    let tasks = Tasks::new();
    let (mut near, mut far) = connect(&tasks.near, &tasks.far).await;
    limited(near.write_all(b"abc")).await.unwrap();
    limited(far.readable()).await.unwrap();
    let mut octets = [std::mem::MaybeUninit::uninit(); 8192];
    let mut buffer = ReadBuf::uninit(&mut octets);
    let read = poll_fn(|cx| {
        tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut far), cx, &mut buffer)
    });
    limited(read).await.unwrap();
    assert_eq!((buffer.filled(), buffer.initialized().len()), (&b"abc"[..], 3));
}

/// Sends two million octets through an echo server and back.
async fn echo_much(near: &Net, far: &Net) {
    let (near, mut far) = connect(near, far).await;
    let echoing = tokio::spawn(async move {
        let (mut read, mut write) = far.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let (mut read, mut write) = near.into_split();
    let sent = Arc::new(pattern(2_000_000));
    let writing = tokio::spawn({
        let sent = sent.clone();
        async move {
            write.write_all(&sent).await.unwrap();
            // Dropping the half says that this is all.
        }
    });
    let mut got = Vec::new();
    limited(read.read_to_end(&mut got)).await.unwrap();
    assert!(got == *sent, "{} octets of {}", got.len(), sent.len());
    writing.await.unwrap();
    echoing.await.unwrap();
}

#[tokio::test]
async fn octets_come_back_when_driver_and_tasks_share_a_thread() {
    let tasks = Tasks::new();
    echo_much(&tasks.near, &tasks.far).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn octets_come_back_when_driver_and_tasks_move_between_threads() {
    let tasks = Tasks::new();
    echo_much(&tasks.near, &tasks.far).await;
}

#[tokio::test]
async fn octets_come_back_when_the_drivers_have_threads_of_their_own() {
    let pair = super::pair();
    echo_much(&pair.near, &pair.far).await;
}

#[tokio::test]
async fn many_tasks_are_served_at_once() {
    let tasks = Tasks::new();
    let listener = TcpListener::bind(&tasks.far, (FAR, 80)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
            });
        }
    });
    let clients: Vec<_> = (0..300u32)
        .map(|n| {
            let net = tasks.near.clone();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(&net, (FAR, 80)).await.unwrap();
                for round in 0..5 {
                    stream.write_u32(n + round).await.unwrap();
                    assert_eq!(stream.read_u32().await.unwrap(), n + round);
                }
            })
        })
        .collect();
    for client in clients {
        limited(client).await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_accept_loses_no_connection() {
    let pair = super::pair();
    let listener = TcpListener::bind(&pair.far, (FAR, 80)).await.unwrap();
    let mut streams = Vec::new();
    for n in 0..50 {
        {
            let mut dropped = Box::pin(listener.accept());
            assert!(poll_once(&mut dropped).is_pending());
            let connecting = TcpStream::connect(&pair.near, (FAR, 80));
            streams.push(limited(connecting).await.unwrap());
            if n % 2 == 0 {
                // By now it would be ready, and has woken somebody who does not come.
                tokio::task::yield_now().await;
            }
        }
        let (_, peer) = limited(listener.accept()).await.unwrap();
        assert_eq!(peer, streams[n].local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_dropped_accept_does_not_take_the_wake_up_of_another() {
    let pair = super::pair();
    let listener = Arc::new(TcpListener::bind(&pair.far, (FAR, 80)).await.unwrap());
    let waiting = tokio::spawn({
        let listener = listener.clone();
        async move { listener.accept().await.unwrap().1 }
    });
    tokio::task::yield_now().await;
    let mut dropped = Box::pin(listener.accept());
    assert!(poll_once(&mut dropped).is_pending());
    let near = limited(TcpStream::connect(&pair.near, (FAR, 80))).await.unwrap();
    drop(dropped);
    assert_eq!(limited(waiting).await.unwrap(), near.local_addr().unwrap());
}

#[tokio::test]
async fn poll_accept_wakes_its_last_task() {
    let pair = super::pair();
    let listener = TcpListener::bind(&pair.far, (FAR, 80)).await.unwrap();
    let accepting = tokio::spawn(async move { poll_fn(|cx| listener.poll_accept(cx)).await });
    tokio::task::yield_now().await;
    let near = limited(TcpStream::connect(&pair.near, (FAR, 80))).await.unwrap();
    let (_, peer) = limited(accepting).await.unwrap().unwrap();
    assert_eq!(peer, near.local_addr().unwrap());
}

#[tokio::test]
async fn a_dropped_read_has_read_nothing() {
    let pair = super::pair();
    let (mut near, mut far) = connect(&pair.near, &pair.far).await;
    let mut lost = [0; 8];
    {
        let mut dropped = Box::pin(near.read(&mut lost));
        assert!(poll_once(&mut dropped).is_pending());
        far.write_all(b"all of it").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(lost, [0; 8]);
    let mut got = [0; 9];
    limited(near.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"all of it");
}

#[tokio::test]
async fn a_dropped_connect_gives_up() {
    let pair = super::pair();
    let connecting = TcpStream::connect(&pair.near, (NOBODY, 80));
    assert!(timeout(Duration::from_millis(50), connecting).await.is_err());
    eventually("the attempt is forgotten", || pair.near.connections().is_empty());
}

#[tokio::test]
async fn errors_of_a_connect_are_the_kernels() {
    let tasks = Tasks::new();
    let error = limited(TcpStream::connect(&tasks.near, (FAR, 9))).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
    let error = limited(TcpStream::connect(&tasks.near, "[::1]:9")).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));
    let none: &[std::net::SocketAddr] = &[];
    let error = TcpStream::connect(&tasks.near, none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // The last address that works is taken.
    let listener = TcpListener::bind(&tasks.far, (FAR, 80)).await.unwrap();
    let addrs = [at(FAR, 9), at(FAR, 80)];
    limited(TcpStream::connect(&tasks.near, &addrs[..])).await.unwrap();
    limited(listener.accept()).await.unwrap();
}

#[tokio::test]
async fn readiness_is_waited_for_and_tried() {
    let pair = super::pair();
    let (near, far) = connect(&pair.near, &pair.far).await;
    assert_eq!(errno(near.try_read(&mut [0; 8])), Some(libc::EAGAIN));
    let mut waiting = Box::pin(near.readable());
    assert!(poll_once(&mut waiting).is_pending());
    limited(far.writable()).await.unwrap();
    assert_eq!(far.try_write(b"x").unwrap(), 1);
    limited(waiting).await.unwrap();
    limited(near.readable()).await.unwrap();
    let both = limited(near.ready(Interest::READABLE | Interest::WRITABLE)).await.unwrap();
    assert!(both.is_readable() && both.is_writable() && !both.is_read_closed());
    let ready = limited(near.ready(Interest::READABLE)).await.unwrap();
    assert!(ready.is_readable() && !ready.is_writable());
    assert_eq!(near.try_read(&mut [0; 8]).unwrap(), 1);
    assert_eq!(errno(near.try_read(&mut [0; 8])), Some(libc::EAGAIN));
    limited(poll_fn(|cx| near.poll_write_ready(cx))).await.unwrap();
    drop(far);
    let ready = limited(near.ready(Interest::READABLE)).await.unwrap();
    assert!(ready.is_readable() && ready.is_read_closed());
    limited(poll_fn(|cx| near.poll_read_ready(cx))).await.unwrap();
    assert_eq!(near.try_read(&mut [0; 8]).unwrap(), 0);
}

#[tokio::test]
async fn a_full_buffer_becomes_writable_when_the_peer_reads() {
    let tasks = Tasks::new();
    let (near, mut far) = connect(&tasks.near, &tasks.far).await;
    let mut sent = 0;
    while let Ok(Ok(())) = timeout(Duration::from_millis(100), near.writable()).await {
        if let Ok(len) = near.try_write(&[5; 10_000]) {
            sent += len;
        }
    }
    let writable = tokio::spawn(async move {
        near.writable().await.unwrap();
        near
    });
    let mut got = vec![0; sent];
    limited(far.read_exact(&mut got)).await.unwrap();
    let near = limited(writable).await.unwrap();
    assert!(near.try_write(b"more").unwrap() == 4);
}

#[tokio::test]
async fn several_buffers_are_written_in_one_call() {
    let pair = super::pair();
    let (mut near, far) = connect(&pair.near, &pair.far).await;
    assert!(tokio::io::AsyncWrite::is_write_vectored(&near));
    let slices = [b"ab".as_slice(), b"", b"cde"].map(IoSlice::new);
    assert_eq!(limited(near.write_vectored(&slices)).await.unwrap(), 5);
    assert_eq!(near.try_write_vectored(&slices).unwrap(), 5);
    let mut got = [0; 16];
    eventually("all has arrived", || far.try_read(&mut []).is_ok() && peeked(&far, &mut got) == 10);
    assert_eq!(&got[..10], b"abcdeabcde");
}

/// How many octets wait, by a poll that must not have to wait.
fn peeked(stream: &TcpStream, buffer: &mut [u8]) -> usize {
    let mut buffer = ReadBuf::new(buffer);
    match stream.poll_peek(&mut Context::from_waker(Waker::noop()), &mut buffer) {
        Poll::Ready(len) => len.unwrap(),
        Poll::Pending => 0,
    }
}

#[tokio::test]
async fn a_peek_leaves_what_it_sees() {
    let pair = super::pair();
    let (near, mut far) = connect(&pair.near, &pair.far).await;
    let mut buffer = [0; 8];
    let mut peek = pin!(near.peek(&mut buffer));
    assert!(poll_once(&mut peek).is_pending());
    far.write_all(b"x").await.unwrap();
    assert_eq!(limited(peek).await.unwrap(), 1);
    assert_eq!(peeked(&near, &mut [0; 8]), 1);
    assert_eq!(near.try_read(&mut [0; 8]).unwrap(), 1);
}

#[tokio::test]
async fn a_dropped_write_half_ends_the_stream_and_reading_goes_on() {
    let tasks = Tasks::new();
    let (near, mut far) = connect(&tasks.near, &tasks.far).await;
    let (mut read, mut write) = near.into_split();
    write.write_all(b"question").await.unwrap();
    drop(write);
    let mut question = Vec::new();
    limited(far.read_to_end(&mut question)).await.unwrap();
    assert_eq!(question, b"question");
    far.write_all(b"answer").await.unwrap();
    drop(far);
    let mut answer = Vec::new();
    limited(read.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"answer");
}

#[tokio::test]
async fn halves_are_reunited_with_their_own_and_with_no_other() {
    let pair = super::pair();
    let (near, mut far) = connect(&pair.near, &pair.far).await;
    let (other, _other_far) = connect(&pair.near, &pair.far).await;
    let (read, write) = near.into_split();
    let (other_read, _other_write) = other.into_split();
    let error = other_read.reunite(write).unwrap_err();
    let (_, write) = (error.0, error.1);
    let mut near = read.reunite(write).unwrap();
    near.write_all(b"whole").await.unwrap();
    let mut got = [0; 5];
    limited(far.read_exact(&mut got)).await.unwrap();
    // A half that is forgotten leaves its direction open.
    let (_read, write) = near.into_split();
    write.forget();
    let more = timeout(Duration::from_millis(50), far.read(&mut got)).await;
    assert!(more.is_err(), "no end of file");
}

#[tokio::test]
async fn a_shutdown_twice_and_after_the_end_is_no_error() {
    let tasks = Tasks::new();
    let (mut near, mut far) = connect(&tasks.near, &tasks.far).await;
    near.shutdown().await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(limited(far.read(&mut [0; 8])).await.unwrap(), 0);
    far.set_zero_linger().unwrap();
    drop(far);
    let _ = limited(near.read(&mut [0; 8])).await;
    near.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_socket_is_set_up_before_it_connects_or_listens() {
    let pair = super::pair();
    let socket = TcpSocket::new_v4(&pair.far).unwrap();
    assert!(!socket.reuseaddr().unwrap());
    socket.set_reuseaddr(true).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_recv_buffer_size(100_000).unwrap();
    socket.set_send_buffer_size(200_000).unwrap();
    socket.bind(at(FAR, 80)).unwrap();
    assert_eq!(socket.local_addr().unwrap(), at(FAR, 80));
    let listener = socket.listen(16).unwrap();

    let socket = TcpSocket::new_v4(&pair.near).unwrap();
    socket.set_tos_v4(0x10).unwrap();
    socket.bind(at(NEAR, 5000)).unwrap();
    let near = limited(socket.connect(at(FAR, 80))).await.unwrap();
    assert_eq!(near.local_addr().unwrap(), at(NEAR, 5000));
    let (far, peer) = limited(listener.accept()).await.unwrap();
    assert_eq!(peer, at(NEAR, 5000));
    assert!(far.nodelay().unwrap());

    let socket = TcpSocket::new_v4(&pair.near).unwrap();
    assert_eq!(errno(socket.set_recv_buffer_size(1)), Some(libc::EINVAL));
    assert_eq!(errno(socket.bind(at(NOBODY, 1))), Some(libc::EADDRNOTAVAIL));
    assert!(!socket.nodelay().unwrap());
    assert_eq!(socket.recv_buffer_size().unwrap(), 256 << 10);
}

/// As a gateway's: who is meant is whom the accepted socket answers for.
#[tokio::test]
async fn a_listener_for_any_destination_accepts_what_is_routed_to_it() {
    let (near, far) = Link::pair(1500);
    let near = Net::start(near, config(NEAR)).unwrap();
    let mut gateway = config(FAR);
    gateway.interface.any_destination = true;
    let far = Net::start(far, gateway).unwrap();
    let socket = TcpSocket::new_v4(&far).unwrap();
    socket.set_any_destination(true).unwrap();
    socket.bind("0.0.0.0:80".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let plain = TcpListener::bind(&far, "0.0.0.0:81").await.unwrap();
    for meant in ["192.0.2.9:80", "198.51.100.7:80"] {
        let mut near = limited(TcpStream::connect(&near, meant)).await.unwrap();
        let (mut far, peer) = limited(listener.accept()).await.unwrap();
        assert_eq!(far.local_addr().unwrap(), meant.parse().unwrap());
        assert_eq!(peer, near.local_addr().unwrap());
        near.write_all(b"there").await.unwrap();
        let mut got = [0; 5];
        limited(far.read_exact(&mut got)).await.unwrap();
        far.write_all(b"back!").await.unwrap();
        limited(near.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"back!");
    }
    // Who does not ask for any destination gets what is its own and nothing else.
    let connecting = TcpStream::connect(&near, "192.0.2.9:81");
    timeout(Duration::from_millis(50), connecting).await.expect_err("nobody answers");
    limited(TcpStream::connect(&near, at(FAR, 81))).await.unwrap();
    limited(plain.accept()).await.unwrap();
}

#[tokio::test]
async fn sockets_change_between_blocking_and_tasks() {
    let pair = super::pair();
    let (near, mut far) = connect(&pair.near, &pair.far).await;
    let blocking = wharf::net::TcpStream::from(near);
    std::io::Write::write_all(&mut &blocking, b"blocking").unwrap();
    let mut got = [0; 8];
    limited(far.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"blocking");
    blocking.shutdown(Shutdown::Write).unwrap();
    let mut near = TcpStream::from(blocking);
    assert_eq!(limited(far.read(&mut got)).await.unwrap(), 0);
    far.write_all(b"x").await.unwrap();
    assert_eq!(limited(near.read_u8()).await.unwrap(), b'x');
}

#[tokio::test]
async fn datagrams_and_pings_are_exchanged() {
    let tasks = Tasks::new();
    let near = UdpSocket::bind(&tasks.near, (NEAR, 0)).await.unwrap();
    let far = UdpSocket::bind(&tasks.far, "0.0.0.0:7000").await.unwrap();
    assert_eq!(errno(far.try_recv_from(&mut [0; 8])), Some(libc::EAGAIN));
    let mut buffer = [0; 8];
    {
        let mut dropped = Box::pin(far.recv_from(&mut buffer));
        assert!(poll_once(&mut dropped).is_pending());
    }
    limited(near.send_to(b"ping", (FAR, 7000))).await.unwrap();
    limited(far.readable()).await.unwrap();
    let (len, peer) = limited(far.recv_from(&mut buffer)).await.unwrap();
    assert_eq!((&buffer[..len], peer), (&b"ping"[..], near.local_addr().unwrap()));
    limited(near.connect((FAR, 7000))).await.unwrap();
    far.try_send_to(b"pong!", peer).unwrap();
    assert_eq!(limited(near.recv(&mut buffer)).await.unwrap(), 5);
    limited(near.send(b"x")).await.unwrap();
    assert_eq!(limited(far.peek_from(&mut buffer)).await.unwrap().0, 1);
    let error = limited(near.send_to(&[0; 1473], (FAR, 7000))).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));

    limited(far.recv(&mut buffer)).await.unwrap();
    limited(near.send_segments(b"12345", 3)).await.unwrap();
    limited(near.send_segments_to(b"678", 3, (FAR, 7000))).await.unwrap();
    near.try_send_segments_to(b"9", 3, at(FAR, 7000)).unwrap();
    for expected in [&b"123"[..], b"45", b"678", b"9"] {
        let len = limited(far.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..len], expected);
    }
    let error = limited(near.send_segments(b"1", 0)).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EINVAL));

    let echo = EchoSocket::open(&tasks.near).unwrap();
    limited(echo.send_to(FAR.into(), 7, b"12345678")).await.unwrap();
    let reply = limited(echo.recv()).await.unwrap();
    assert_eq!((reply.sequence, reply.len), (7, 8));
}

/// The driver shares the thread, so that nothing leaves before all of them have had their turn.
#[tokio::test]
async fn tasks_that_find_no_room_for_a_datagram_go_on_when_there_is_some() {
    let tasks = Tasks::new();
    let senders: Vec<_> = (0..20)
        .map(|_| {
            let net = tasks.near.clone();
            tokio::spawn(async move {
                let socket = UdpSocket::bind(&net, (NEAR, 0)).await.unwrap();
                for _ in 0..200 {
                    socket.send_to(b"datagram", at(FAR, 7000)).await.unwrap();
                }
            })
        })
        .collect();
    for sender in senders {
        limited(sender).await.unwrap();
    }
}

#[tokio::test]
async fn a_driver_ends_with_its_last_handle() {
    let Tasks { near, far, cable, near_drivers, far_drivers } = Tasks::new();
    let (stream, far_stream) = connect(&near, &far).await;
    drop(near);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!cable.is_dropped(), "a socket keeps its stack");
    drop(stream);
    drop(far_stream);
    drop(far);
    for driver in near_drivers.into_iter().chain(far_drivers) {
        limited(driver).await.unwrap().unwrap();
    }
    assert!(cable.is_dropped());
}

#[tokio::test]
async fn a_shutdown_ends_the_driver_of_the_same_thread() {
    let Tasks { near, far, cable, near_drivers, far_drivers: _ } = Tasks::new();
    let (mut stream, mut far_stream) = connect(&near, &far).await;
    stream.write_all(b"bye").await.unwrap();
    limited(near.shutdown_async(Duration::from_millis(50))).await.unwrap();
    for driver in near_drivers {
        limited(driver).await.unwrap().unwrap();
    }
    assert!(cable.is_dropped());
    let mut got = [0; 3];
    limited(far_stream.read_exact(&mut got)).await.unwrap();
    let error = limited(far_stream.read(&mut got)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = TcpListener::bind(&near, (NEAR, 80)).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN));
}

#[tokio::test]
async fn a_vanished_device_ends_every_wait_and_the_driver() {
    let Tasks { near, far, cable, near_drivers, far_drivers: _ } = Tasks::new();
    let (mut stream, _far_stream) = connect(&near, &far).await;
    let listener = TcpListener::bind(&near, (NEAR, 80)).await.unwrap();
    let udp = UdpSocket::bind(&near, (NEAR, 80)).await.unwrap();
    let reading = tokio::spawn(async move { errno(stream.read(&mut [0; 8]).await) });
    let accepting = tokio::spawn(async move { errno(listener.accept().await) });
    let receiving = tokio::spawn(async move { errno(udp.recv(&mut [0; 8]).await) });
    tokio::time::sleep(Duration::from_millis(20)).await;
    cable.unplug();
    for wait in [reading, accepting, receiving] {
        assert_eq!(limited(wait).await.unwrap(), Some(libc::ENETDOWN));
    }
    assert_eq!(errno(limited(near.wait_async()).await), Some(libc::ENODEV));
    let mut outcomes = Vec::new();
    for driver in near_drivers {
        outcomes.push(limited(driver).await.unwrap());
    }
    assert_eq!(errno(outcomes.remove(0)), Some(libc::ENODEV));
    assert!(outcomes.iter().all(Result::is_ok), "the others end since it does");
}

#[tokio::test]
async fn a_dropped_driver_resets_and_leaves_nobody_waiting() {
    let Tasks { near, far, cable, near_drivers, far_drivers: _ } = Tasks::new();
    let (stream, mut far_stream) = connect(&near, &far).await;
    let reading = tokio::spawn(async move { stream.readable().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    near_drivers[0].abort();
    limited(reading).await.unwrap().unwrap();
    limited(near.wait_async()).await.unwrap();
    assert!(cable.is_dropped());
    let error = limited(far_stream.read(&mut [0; 8])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn calls_of_other_threads_reach_a_driver_that_sleeps() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = runtime.block_on(async { Tasks::new() });
    let calling = std::thread::spawn({
        let (near, far) = (tasks.near.clone(), tasks.far.clone());
        move || {
            let listener = wharf::net::TcpListener::bind(&far, (FAR, 80)).unwrap();
            let near = wharf::net::TcpStream::connect(&near, (FAR, 80)).unwrap();
            let (far, _) = listener.accept().unwrap();
            std::io::Write::write_all(&mut &near, &pattern(100_000)).unwrap();
            crate::support::read_exactly(&far, 100_000)
        }
    });
    runtime.block_on(limited(async {
        while !calling.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }));
    assert!(calling.join().unwrap() == pattern(100_000));
}
