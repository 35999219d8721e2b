//! Sockets for tasks, as those of `tokio::net`: public as `wharf::tokio`.

mod accept;
#[cfg(feature = "hyper")]
mod connector;
mod echo_socket;
mod operation;
mod split;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;
mod udp_socket;

#[cfg(feature = "hyper")]
pub use self::connector::{Connecting, Connector};
pub use self::echo_socket::EchoSocket;
pub use self::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use self::tcp_listener::TcpListener;
pub use self::tcp_socket::TcpSocket;
pub use self::tcp_stream::TcpStream;
pub use self::udp_socket::UdpSocket;
