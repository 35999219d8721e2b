//! What a TCP socket can be told before it connects or listens, for the builders of both kinds.

/// The methods that `wharf::net::TcpSocket` and `wharf::tokio::TcpSocket` share: all but those
/// that wait or return a stream or listener. The type has a field `core`, and `TcpStream` is in
/// scope for the docs.
macro_rules! tcp_socket_options {
    ($socket:ty) => {
        $crate::socket::options::bind_options!($socket);
        $crate::socket::options::socket_options!($socket);
        $crate::socket::options::tcp_options!($socket);

        impl $socket {
            /// Makes a socket for IPv4.
            ///
            /// # Errors
            ///
            /// ENOBUFS when the stack's limits are reached; `NetworkDown` when it has ended.
            pub fn new_v4(net: &$crate::Net) -> std::io::Result<Self> {
                let core = $crate::socket::Replicas::open(net)?;
                Ok(Self { core })
            }

            /// SO_REUSEADDR: whether it shares its address and port with sockets that allow it too
            /// and do not listen. Accepted connections and TIME-WAIT keep nobody from a port,
            /// whether it is on or not. To be set before binding. Off at first.
            pub fn set_reuseaddr(&self, reuseaddr: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.reuse_address = reuseaddr)
            }

            /// SO_REUSEADDR.
            pub fn reuseaddr(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.reuse_address)
            }

            /// TCP_NODELAY: sends small segments at once (Nagle's algorithm off). Off at first.
            pub fn set_nodelay(&self, nodelay: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.nodelay = nodelay)
            }

            /// TCP_NODELAY.
            pub fn nodelay(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.nodelay)
            }

            /// SO_LINGER; see [`TcpStream::set_linger`].
            pub fn set_linger(&self, linger: Option<std::time::Duration>) -> std::io::Result<()> {
                self.core.set_option(|options| options.linger = linger)
            }

            /// SO_LINGER.
            pub fn linger(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.core.option(|options| options.linger)
            }

            /// Whether a listener takes connections to any address, as a gateway does; the
            /// interface must allow it ([`crate::InterfaceConfig::any_destination`]). Off at first.
            pub fn set_any_destination(&self, any: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.any_destination = any)
            }

            /// Binds; port 0 takes a free one.
            ///
            /// # Errors
            ///
            /// `AddrInUse`; `AddrNotAvailable` if the address is not ours; `InvalidInput` the
            /// second time.
            pub fn bind(&self, addr: std::net::SocketAddr) -> std::io::Result<()> {
                self.core.bind(addr)
            }

            /// Our address.
            pub fn local_addr(&self) -> std::io::Result<std::net::SocketAddr> {
                self.core.local_addr()
            }

            /// The error that waits to be told (SO_ERROR), and clears it.
            pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
                self.core.take_error()
            }
        }
    };
}

pub(crate) use tcp_socket_options;
