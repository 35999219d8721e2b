//! Sockets whose calls block, as those of `std::net` do: public as `wharf::net`.

mod echo_socket;
mod tcp_listener;
mod tcp_socket;
mod tcp_stream;
mod udp_socket;
pub(super) mod wait;

pub use self::echo_socket::EchoSocket;
pub use self::tcp_listener::{Incoming, TcpListener};
pub use self::tcp_socket::TcpSocket;
pub use self::tcp_stream::TcpStream;
pub use self::udp_socket::UdpSocket;
