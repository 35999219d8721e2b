//! UDP sockets of `wharf::tokio`: the calls that poll or only try, and the end of the stack.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{Interest, ReadBuf};
use tokio::time::timeout;
use wharf::tokio::UdpSocket;

use crate::support::{FAR, LIMIT, NEAR, Pair, at};

async fn sockets(pair: &Pair) -> (UdpSocket, UdpSocket) {
    let near = UdpSocket::bind(&pair.near, (NEAR, 7001)).await.unwrap();
    let far = UdpSocket::bind(&pair.far, (FAR, 7000)).await.unwrap();
    near.connect((FAR, 7000)).await.unwrap();
    far.connect((NEAR, 7001)).await.unwrap();
    (near, far)
}

#[tokio::test]
async fn a_connected_socket_polls_and_tries_without_an_address() {
    let pair = super::pair();
    let (near, far) = sockets(&pair).await;
    let mut octets = [0; 9];
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(far.try_peek(&mut octets).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(far.poll_recv_ready(&mut cx).is_pending());
    assert!(far.poll_recv(&mut cx, &mut ReadBuf::new(&mut octets)).is_pending());
    assert!(matches!(near.poll_send_ready(&mut cx), Poll::Ready(Ok(()))));

    assert_eq!(near.try_send(b"one").unwrap(), 3);
    assert_eq!(poll_fn(|cx| near.poll_send(cx, b"other")).await.unwrap(), 5);
    timeout(LIMIT, poll_fn(|cx| far.poll_recv_ready(cx))).await.unwrap().unwrap();
    assert_eq!(far.peek(&mut octets).await.unwrap(), 3);
    assert_eq!(far.try_peek_from(&mut octets).unwrap(), (3, at(NEAR, 7001)));
    for (is_peek, expected) in [(true, &b"one"[..]), (false, b"one"), (false, b"other")] {
        let mut buffer = ReadBuf::new(&mut octets);
        let received = poll_fn(|cx| {
            if is_peek {
                far.poll_peek_from(cx, &mut buffer).map_ok(|peer| assert_eq!(peer, at(NEAR, 7001)))
            } else {
                far.poll_recv(cx, &mut buffer)
            }
        });
        timeout(LIMIT, received).await.unwrap().unwrap();
        assert_eq!(buffer.filled(), expected);
    }
}

#[tokio::test]
async fn a_task_that_asks_for_errors_alone_hears_of_them_alone() {
    let pair = super::pair();
    let (near, far) = sockets(&pair).await;
    far.send(b"no error").await.unwrap();
    timeout(LIMIT, near.readable()).await.unwrap().unwrap();
    assert!(timeout(Duration::from_millis(20), near.ready(Interest::ERROR)).await.is_err());
    near.connect((FAR, 7999)).await.unwrap();
    near.send(b"anybody?").await.unwrap();
    let ready = timeout(LIMIT, near.ready(Interest::ERROR)).await.unwrap().unwrap();
    assert!(ready.is_error() && !ready.is_readable(), "{ready:?}");
    let error = near.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// A task that looks for what it has asked for would else turn in circles.
#[tokio::test]
async fn after_the_end_a_socket_is_ready_for_whatever_is_asked_and_each_call_tells_of_it() {
    let pair = super::pair();
    let (near, _far) = sockets(&pair).await;
    timeout(LIMIT, pair.near.shutdown_async(Duration::ZERO)).await.unwrap().unwrap();
    near.try_recv(&mut [0]).unwrap_err(); // What the end has left to be told.
    for interest in [Interest::READABLE, Interest::WRITABLE] {
        let ready = timeout(LIMIT, pin!(near.ready(interest))).await.unwrap().unwrap();
        assert_eq!(ready.is_readable(), interest.is_readable(), "{ready:?}");
        assert_eq!(ready.is_writable(), interest.is_writable(), "{ready:?}");
    }
    let errors = [near.try_recv(&mut [0]), near.try_send(b"x")].map(Result::unwrap_err);
    assert!(errors.iter().all(|error| error.raw_os_error() == Some(libc::ENETDOWN)));
}
