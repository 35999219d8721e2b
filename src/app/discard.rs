//! The discard service (RFC 863): what comes is thrown away.

use std::io;

use tokio::io::AsyncWriteExt as _;

use super::datagrams::{DATAGRAM_OCTETS_MAX, Datagrams};
use crate::tokio::TcpStream;

/// Most octets read at a time.
const CHUNK: usize = 1 << 20;

/// Reads until the peer closes its side, then closes ours. Octets read.
pub async fn serve_stream(mut stream: TcpStream) -> io::Result<u64> {
    let mut octets = 0;
    loop {
        // By reference: nobody looks at what is thrown away, so nobody needs a copy of it.
        let chunk = stream.read_bytes(CHUNK).await?;
        if chunk.is_empty() {
            stream.shutdown().await?;
            return Ok(octets);
        }
        octets += chunk.len() as u64;
    }
}

/// Takes each datagram and answers none, for as long as `socket` works.
pub async fn serve_datagrams<D: Datagrams>(socket: D) -> io::Result<()> {
    let mut datagram = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        socket.next(&mut datagram).await?;
    }
}
