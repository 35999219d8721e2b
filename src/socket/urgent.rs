//! Urgent data, for the streams of both kinds.

/// The methods that the streams share: all but sending, which may wait. The type has a field
/// `core`.
macro_rules! tcp_stream_urgent {
    ($stream:ty) => {
        impl $stream {
            /// recv(2) with MSG_OOB: the last urgent octet, if it stands out of the stream
            /// ([`set_out_of_band_inline`](Self::set_out_of_band_inline)). It never waits.
            ///
            /// # Errors
            ///
            /// `InvalidInput`: none is announced, or it has been taken, or is to be read in line;
            /// `WouldBlock`: it has not arrived yet.
            pub fn recv_out_of_band(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let id = self.core.id();
                self.core.call(|shard, _| shard.stack.read_urgent(id, buffer))
            }

            /// SIOCATMARK: whether reading has come to the mark of urgent data. A read never goes
            /// over the mark; it stops there, and the next one goes on.
            pub fn at_mark(&self) -> std::io::Result<bool> {
                self.core.ask(|stack, id| stack.at_mark(id))
            }

            /// SO_OOBINLINE: whether urgent octets are read like all others. On at first, as RFC
            /// 6093 recommends, and unlike Linux.
            pub fn set_out_of_band_inline(&self, is_inline: bool) -> std::io::Result<()> {
                self.core.set_option(|options| options.oob_inline = is_inline)
            }

            /// SO_OOBINLINE.
            pub fn out_of_band_inline(&self) -> std::io::Result<bool> {
                self.core.option(|options| options.oob_inline)
            }
        }
    };
}

pub(crate) use tcp_stream_urgent;
