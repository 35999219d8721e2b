//! The discard service (RFC 863): what comes is thrown away.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::datagrams::{DATAGRAM_OCTETS_MAX, Datagrams};

/// Octets read at a time.
const CHUNK: usize = 64 << 10;

/// Reads until the peer closes its side, then closes ours. Octets read.
pub async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut octets = 0;
    loop {
        let len = stream.read(&mut chunk).await?;
        if len == 0 {
            stream.shutdown().await?;
            return Ok(octets);
        }
        octets += len as u64;
    }
}

/// Takes each datagram and answers none, for as long as `socket` works.
pub async fn serve_datagrams<D: Datagrams>(socket: D) -> io::Result<()> {
    let mut datagram = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        socket.next(&mut datagram).await?;
    }
}
