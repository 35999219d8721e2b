//! Events → the `log` facade.

use super::{DropReason, Event, Observer};
use crate::time::Instant;

/// Writes each event to the `log` facade: drops that tell of a broken or hostile peer as debug,
/// connections that open and close as debug, every packet as trace.
///
/// A [`Net`](crate::Net) does so while its stack is locked. A logger that waits for a call on the
/// same stack, as one does that sends records over one of its sockets, waits for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogObserver;

impl Observer for LogObserver {
    fn on_event(&mut self, now: Instant, event: &Event) {
        if log::max_level() < log::LevelFilter::Debug {
            return;
        }
        let level = match event {
            Event::PacketDropped { reason: DropReason::IcmpUnused }
            | Event::PacketReceived { .. }
            | Event::StrayForwarded
            | Event::PacketSent { .. }
            | Event::SegmentSent { .. } => log::Level::Trace,
            Event::PacketDropped { .. }
            | Event::StateChanged { .. }
            | Event::SynCookieSent { .. }
            | Event::SynCookieTaken { .. }
            | Event::MemoryPressure { .. }
            | Event::Evicted { .. }
            | Event::RetransmissionTimeout { .. }
            | Event::PeerSilent { .. }
            | Event::FastRetransmit { .. } => log::Level::Debug,
        };
        log::log!(target: "wharf", level, "{:.6} {event:?}", (now - Instant::ZERO).as_secs_f64());
    }
}
