//! Octets that sockets hand over instead of copying them, several pieces by one call.

use std::net::Shutdown;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt as _;
use wharf::tokio::TcpStream;

use crate::support::{limited, pattern};

fn chunks() -> Vec<Bytes> {
    [1, 1000, 70_000, 0, 500_000, 3].map(|len| pattern(len).into()).into()
}

/// Takes `octets` from the front of `chunks`.
fn advance(chunks: &mut Vec<Bytes>, mut octets: usize) {
    chunks.retain_mut(|chunk| {
        let len = chunk.len().min(octets);
        chunk.advance(len);
        octets -= len;
        !chunk.is_empty()
    });
}

#[test]
fn threads_write_and_read_several_chunks_by_one_call() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        assert_eq!(near.write_bytes_vectored(&[]).unwrap(), 0);
        assert_eq!(far.read_bytes_vectored(&mut []).unwrap(), 0);
        let writer = std::thread::spawn(move || {
            let mut left = chunks();
            while !left.is_empty() {
                let taken = near.write_bytes_vectored(&left).unwrap();
                advance(&mut left, taken);
            }
            near.shutdown(Shutdown::Write).unwrap();
            near // Dropped here, it would be closed before the other end has read.
        });
        let (mut all, mut parts) = (Vec::new(), [const { Bytes::new() }; 4]);
        loop {
            match far.read_bytes_vectored(&mut parts).unwrap() {
                0 => break,
                count => all.extend(parts[..count].concat()),
            }
        }
        assert!(all == chunks().concat());
        drop(writer.join().unwrap());
    });
}

/// Octets whose owner makes a call when it goes, as that of a program's own pool may.
struct Caller(wharf::net::TcpStream);

impl AsRef<[u8]> for Caller {
    fn as_ref(&self) -> &[u8] {
        b"x"
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.peer_addr().unwrap();
    }
}

#[test]
fn what_the_chunks_held_before_a_read_may_call_the_stack_as_it_goes() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let held = |stream: &wharf::net::TcpStream| {
            [Bytes::from_owner(Caller(stream.try_clone().unwrap()))]
        };
        let mut chunks = held(&far);
        near.write_all_bytes(Bytes::from_static(b"hello")).unwrap();
        assert_eq!(far.read_bytes_vectored(&mut chunks).unwrap(), 1);
        assert_eq!(chunks, ["hello"]);

        near.write_all_bytes(Bytes::from_static(b"again")).unwrap();
        let mut chunks = held(&far);
        let far = TcpStream::from(far);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(far.read_bytes_vectored(&mut chunks)).unwrap(), 1);
        assert_eq!(chunks, ["again"]);
    });
}

#[test]
fn tasks_write_and_read_several_chunks_by_one_call() {
    limited(|| {
        let pair = super::pair();
        let (near, far) = pair.connect();
        let (mut near, far) = (TcpStream::from(near), TcpStream::from(far));
        let writing = async {
            let mut left = chunks();
            while !left.is_empty() {
                let taken = near.write_bytes_vectored(&left).await.unwrap();
                advance(&mut left, taken);
            }
            near.shutdown().await.unwrap();
        };
        let reading = async {
            let (mut all, mut parts) = (Vec::new(), [const { Bytes::new() }; 4]);
            loop {
                match far.read_bytes_vectored(&mut parts).await.unwrap() {
                    0 => break all,
                    count => all.extend(parts[..count].concat()),
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ((), all) = runtime.block_on(async { tokio::join!(writing, reading) });
        assert!(all == chunks().concat());
    });
}
