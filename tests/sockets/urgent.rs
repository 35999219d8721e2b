//! Urgent data through the sockets of both kinds.

use std::io::{ErrorKind, IoSliceMut, Read, Write};
use std::thread;
use std::time::Duration;

use crate::support::{errno, eventually, limited};

#[test]
fn urgent_octets_are_read_in_line_and_a_read_stops_at_their_mark() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        assert!(far.out_of_band_inline().unwrap());
        near.write_all(b"abc").unwrap();
        assert_eq!(near.send_out_of_band(b"d!").unwrap(), 2);
        near.write_all(b"ef").unwrap();
        eventually("all has arrived", || far.peek(&mut [0; 9]).unwrap() == 4);
        let (mut one, mut two, mut three) = ([0; 2], [0; 2], [0; 2]);
        let mut buffers = [&mut one, &mut two, &mut three].map(|buffer| IoSliceMut::new(buffer));
        assert_eq!(far.read_vectored(&mut buffers).unwrap(), 4, "up to the mark");
        assert!(far.at_mark().unwrap());
        assert_eq!(errno(far.recv_out_of_band(&mut [0])), Some(libc::EINVAL));
        let mut rest = [0; 3];
        far.read_exact(&mut rest).unwrap();
        assert_eq!((one, two, rest), (*b"ab", *b"cd", *b"!ef"));
        assert!(!far.at_mark().unwrap());
    });
}

#[test]
fn an_urgent_octet_out_of_line_is_received_by_its_own_call() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        far.set_out_of_band_inline(false).unwrap();
        near.write_all(b"abc").unwrap();
        near.send_out_of_band(b"!").unwrap();
        near.write_all(b"ef").unwrap();
        let mut octet = [0];
        eventually("the octet has arrived", || far.recv_out_of_band(&mut octet).is_ok());
        assert_eq!(octet, *b"!");
        let mut rest = [0; 5];
        far.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"abcef");
    });
}

#[test]
fn a_thread_may_wait_for_urgent_data() {
    limited(|| {
        let pair = super::pair();
        let (mut near, mut far) = pair.connect();
        near.write_all(b"abc").unwrap();
        eventually("it has arrived", || far.peek(&mut [0; 9]).unwrap() == 3);
        far.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let in_vain = far.wait_out_of_band().unwrap_err();
        assert_eq!(in_vain.kind(), ErrorKind::WouldBlock, "what is here is not urgent");
        far.set_read_timeout(None).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| far.wait_out_of_band().unwrap());
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            near.send_out_of_band(b"!").unwrap();
            assert!(waiting.join().unwrap());
        });
        assert!(far.wait_out_of_band().unwrap(), "nothing has been read");
        far.read_exact(&mut [0; 4]).unwrap();
        far.set_nonblocking(true).unwrap();
        assert_eq!(far.wait_out_of_band().unwrap_err().kind(), ErrorKind::WouldBlock);
        far.set_nonblocking(false).unwrap();
        drop(near);
        assert!(!far.wait_out_of_band().unwrap(), "the peer has closed");
    });
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_task_may_wait_for_urgent_data() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
    use wharf::tokio::TcpStream;

    use crate::support::LIMIT;

    let pair = super::pair();
    let (near, far) = pair.connect();
    let exchange = async {
        let (mut near, mut far) = (TcpStream::from(near), TcpStream::from(far));
        far.set_out_of_band_inline(false).unwrap();
        near.write_all(b"abc").await.unwrap();
        assert!(far.ready(Interest::READABLE).await.unwrap().is_readable());
        let (ready, sent) =
            tokio::join!(far.ready(Interest::PRIORITY), near.send_out_of_band(b"!"));
        assert!(ready.unwrap().is_priority());
        assert_eq!(sent.unwrap(), 1);
        let mut octet = [0];
        assert_eq!(far.recv_out_of_band(&mut octet).unwrap(), 1);
        assert_eq!(octet, *b"!");
        drop(near);
        let ready = far.ready(Interest::PRIORITY).await.unwrap();
        assert!(ready.is_read_closed() && !ready.is_priority(), "{ready:?}");
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"abc");
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("the test hangs");
}
