//! The options that sockets of both kinds have alike, written down once.
//!
//! Each macro makes methods of a type that has a field `core`, a
//! [`SocketCore`](crate::socket::SocketCore). Names are those of `socket2`, where `std` and `tokio`
//! have none.

use crate::time::Duration;

/// How an idle peer is asked whether it is still there: the argument of `set_tcp_keepalive`, as
/// that of `socket2`. What is not set stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    pub(crate) time: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) retries: Option<u8>,
}

impl TcpKeepalive {
    /// Changes nothing yet.
    pub const fn new() -> Self {
        Self { time: None, interval: None, retries: None }
    }

    /// TCP_KEEPIDLE: how long a connection is idle before the first probe, 1 s to 32,767 s.
    /// 2 hours unless it is set.
    #[must_use]
    pub const fn with_time(self, time: Duration) -> Self {
        Self { time: Some(time), ..self }
    }

    /// TCP_KEEPINTVL: from one unanswered probe to the next, 1 s to 32,767 s. 75 s unless it is
    /// set.
    #[must_use]
    pub const fn with_interval(self, interval: Duration) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// TCP_KEEPCNT: after so many unanswered probes the connection ends, 1 to 127. 9 unless it is
    /// set.
    #[must_use]
    pub const fn with_retries(self, retries: u8) -> Self {
        Self { retries: Some(retries), ..self }
    }
}

/// What every socket has: buffers and the TOS octet.
macro_rules! socket_options {
    ($socket:ty) => {
        impl $socket {
            /// SO_RCVBUF: how many octets wait for the application to read them. 256 KiB unless
            /// [`crate::TcpConfig`] says otherwise. That of an open connection only grows.
            ///
            /// # Errors
            ///
            /// `InvalidInput` unless it is from 2 KiB to 1 GiB.
            pub fn set_recv_buffer_size(&self, octets: u32) -> std::io::Result<()> {
                self.core.set_option(|options| options.receive_buffer = octets)
            }

            /// SO_RCVBUF.
            pub fn recv_buffer_size(&self) -> std::io::Result<u32> {
                self.core.option(|options| options.receive_buffer)
            }

            /// SO_SNDBUF: how many octets wait for the peer to acknowledge them. 256 KiB unless
            /// [`crate::TcpConfig`] says otherwise.
            ///
            /// # Errors
            ///
            /// `InvalidInput` unless it is from 2 KiB to 1 GiB.
            pub fn set_send_buffer_size(&self, octets: u32) -> std::io::Result<()> {
                self.core.set_option(|options| options.send_buffer = octets)
            }

            /// SO_SNDBUF.
            pub fn send_buffer_size(&self) -> std::io::Result<u32> {
                self.core.option(|options| options.send_buffer)
            }

            /// IP_TOS of the packets that we send from now on: the DSCP in the upper six bits. The
            /// two ECN bits of TCP's packets are TCP's own. 0 at first.
            pub fn set_tos_v4(&self, tos: u8) -> std::io::Result<()> {
                self.core.set_option(|options| options.tos = tos)
            }

            /// IP_TOS.
            pub fn tos_v4(&self) -> std::io::Result<u8> {
                self.core.option(|options| options.tos)
            }
        }
    };
}

/// What every TCP socket has. What a listener is told counts for the connections that it accepts.
macro_rules! tcp_options {
    ($socket:ty) => {
        impl $socket {
            /// SO_KEEPALIVE: whether an idle peer is asked now and then if it is still there. Off
            /// at first.
            pub fn set_keepalive(&self, keepalive: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.keepalive = keepalive)
            }

            /// SO_KEEPALIVE.
            pub fn keepalive(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.keepalive)
            }

            /// Switches SO_KEEPALIVE on, with these times.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if one is out of its range; then nothing is changed.
            pub fn set_tcp_keepalive(
                &self,
                keepalive: &$crate::socket::TcpKeepalive,
            ) -> std::io::Result<()> {
                self.core.set_option(|options| {
                    options.keepalive = true;
                    options.keepalive_idle = keepalive.time.unwrap_or(options.keepalive_idle);
                    options.keepalive_interval =
                        keepalive.interval.unwrap_or(options.keepalive_interval);
                    options.keepalive_count = keepalive.retries.unwrap_or(options.keepalive_count);
                })
            }

            /// TCP_KEEPIDLE.
            pub fn tcp_keepalive_time(&self) -> std::io::Result<std::time::Duration> {
                self.core.option(|options| options.keepalive_idle)
            }

            /// TCP_KEEPINTVL.
            pub fn tcp_keepalive_interval(&self) -> std::io::Result<std::time::Duration> {
                self.core.option(|options| options.keepalive_interval)
            }

            /// TCP_KEEPCNT.
            pub fn tcp_keepalive_retries(&self) -> std::io::Result<u32> {
                self.core.option(|options| options.keepalive_count.into())
            }

            /// TCP_USER_TIMEOUT: how long what was sent may wait for its acknowledgment, or what
            /// was written for the peer's window to open; then the connection ends as `TimedOut`.
            /// `None`, or zero, is [`crate::TcpConfig::give_up_after`]. `None` at first.
            ///
            /// # Errors
            ///
            /// `InvalidInput` unless it is from 1 ms to 2^31 - 1 ms.
            pub fn set_tcp_user_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                let timeout = timeout.filter(|timeout| !timeout.is_zero());
                self.core.set_option(|options| options.user_timeout = timeout)
            }

            /// TCP_USER_TIMEOUT.
            pub fn tcp_user_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                self.core.option(|options| options.user_timeout)
            }

            /// TCP_MAXSEG: octets of text in the largest segment, for connections that are opened
            /// from then on. What the interface carries unless it is set.
            ///
            /// # Errors
            ///
            /// `InvalidInput` unless it is from 88 to 32,767.
            pub fn set_mss(&self, mss: u32) -> std::io::Result<()> {
                let mss = u16::try_from(mss).unwrap_or(u16::MAX); // Too large, as any such.
                self.core.set_option(|options| options.max_segment = Some(mss))
            }

            /// TCP_MAXSEG: of a connection the segments that it sends; else what was set, or 536.
            pub fn mss(&self) -> std::io::Result<u32> {
                self.core.ask(|stack, id| stack.max_segment(id))
            }

            /// TCP_CORK: whether a segment that is not full waits for more to be written, for 200
            /// ms at most. Off at first.
            pub fn set_cork(&self, cork: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.cork = cork)
            }

            /// TCP_CORK.
            pub fn cork(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.cork)
            }

            /// TCP_QUICKACK: whether acknowledgments are not held back. Off at first; it lasts
            /// until it is switched off.
            pub fn set_quickack(&self, quickack: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.quick_ack = quickack)
            }

            /// TCP_QUICKACK.
            pub fn quickack(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.quick_ack)
            }

            /// TCP_NOTSENT_LOWAT: the socket is writable only while fewer octets than so many wait
            /// to be sent for the first time. `u32::MAX`, which is no limit, at first and after 0.
            pub fn set_tcp_notsent_lowat(&self, octets: u32) -> std::io::Result<()> {
                let mark = Some(octets).filter(|octets| (1..u32::MAX).contains(octets));
                self.core.set_option(|options| options.notsent_lowat = mark)
            }

            /// TCP_NOTSENT_LOWAT.
            pub fn tcp_notsent_lowat(&self) -> std::io::Result<u32> {
                self.core.option(|options| options.notsent_lowat.unwrap_or(u32::MAX))
            }

            /// TCP_CONGESTION, for connections that are opened from then on: `reno`.
            ///
            /// # Errors
            ///
            /// `NotFound` for one that is not built.
            pub fn set_tcp_congestion(&self, name: &str) -> std::io::Result<()> {
                let found = $crate::CongestionAlgorithm::from_name(name);
                let unknown = std::io::ErrorKind::NotFound;
                let algorithm = found.ok_or_else(|| std::io::Error::from(unknown))?;
                self.core.set_option(|options| options.congestion = algorithm)
            }

            /// TCP_CONGESTION.
            pub fn tcp_congestion(&self) -> std::io::Result<&'static str> {
                self.core.option(|options| options.congestion.name())
            }

            /// TCP_SYNCNT: how often the SYN of a connect is sent again before it is given up, 1 to
            /// 127. `None`, which is for [`crate::TcpConfig::connect_timeout`], at first.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if it is out of its range.
            pub fn set_tcp_syn_count(&self, count: Option<u8>) -> std::io::Result<()> {
                self.core.set_option(|options| options.syn_count = count)
            }

            /// TCP_LINGER2: how long a connection whose socket is gone waits in FIN-WAIT-2 for the
            /// peer's FIN; zero resets it instead. 60 s unless [`crate::TcpConfig`] says otherwise.
            pub fn set_tcp_linger2(&self, wait: std::time::Duration) -> std::io::Result<()> {
                self.core.set_option(|options| options.linger2 = wait)
            }
        }
    };
}

/// What a socket can be told before it is bound.
macro_rules! bind_options {
    ($socket:ty) => {
        impl $socket {
            /// SO_REUSEPORT: whether sockets that all ask for it share a place; what arrives is
            /// spread over them. To be set before binding. Off at first.
            pub fn set_reuseport(&self, reuseport: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.reuse_port = reuseport)
            }

            /// SO_REUSEPORT.
            pub fn reuseport(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.reuse_port)
            }

            /// IP_LOCAL_PORT_RANGE: first and last port to choose from if it asks for none. A bound
            /// outside of [`crate::TcpConfig::ephemeral_ports`] counts as that. `None` at first.
            ///
            /// # Errors
            ///
            /// `InvalidInput` if it begins at 0 or ends before it begins.
            pub fn set_local_port_range(&self, range: Option<(u16, u16)>) -> std::io::Result<()> {
                self.core.set_option(|options| options.local_port_range = range)
            }
        }
    };
}

pub(crate) use {bind_options, socket_options, tcp_options};
