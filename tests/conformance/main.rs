//! RFC 9293 as packet scripts: one file a topic, names that carry the requirement's label.
//!
//! The notation is packetdrill's; `wharf::sim::script` says what a line can be. Time is virtual and
//! exact, and every packet that a script does not name is a failure.

mod addresses;
mod black_hole;
mod blind_attacks;
mod close;
mod cookies;
mod datagrams;
mod demux;
mod drops;
mod handshake;
mod icmp;
mod keep_alive;
mod lifetime;
mod listener;
mod loopback;
mod matrix;
mod options;
mod orphans;
mod path_mtu;
mod reset;
mod retransmission;
mod sack;
mod socket_options;
mod tcp_info;
mod time_wait;
mod timestamps;
mod transfer;
mod urgent;
mod window;

use wharf::StackConfig;
use wharf::sim::Script;

/// The default configuration, changed by `change`.
fn config(change: impl FnOnce(&mut StackConfig)) -> Script {
    let mut config = wharf::sim::script::default_config();
    change(&mut config);
    Script::new(config)
}
