//! The fields of `TcpInfo` by their names, for `expect NAME N` in a packet script.

use crate::tcp::TcpInfo;
use crate::time::Duration;

/// The value of a field; of a time in milliseconds, with `_ms` behind the name.
pub(super) fn field(info: &TcpInfo, name: &str) -> Result<u64, String> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(match name {
        "retransmits" => info.retransmits.into(),
        "probes" => info.probes.into(),
        "backoff" => info.backoff.into(),
        "timestamps" => info.timestamps.into(),
        "sack" => info.sack.into(),
        "window_scale" => info.window_scale.into(),
        "send_window_shift" => info.send_window_shift.into(),
        "receive_window_shift" => info.receive_window_shift.into(),
        "rto_ms" => millis(info.rto),
        "ato_ms" => millis(info.ato),
        "send_mss" => info.send_mss.into(),
        "receive_mss" => info.receive_mss.into(),
        "announced_mss" => info.announced_mss.into(),
        "path_mtu" => info.path_mtu.into(),
        "unacknowledged" => info.unacknowledged.into(),
        "backlog" => info.backlog.into(),
        "lost" => info.lost.into(),
        "retransmitted" => info.retransmitted.into(),
        "in_flight" => info.in_flight.into(),
        "srtt_ms" => info.srtt.map_or(0, millis),
        "rttvar_ms" => info.rttvar.map_or(0, millis),
        "min_rtt_ms" => info.min_rtt.map_or(0, millis),
        "ssthresh" => info.ssthresh.into(),
        "cwnd" => info.cwnd.into(),
        "send_window" => info.send_window.into(),
        "receive_window" => info.receive_window.into(),
        "receive_space" => info.receive_space.into(),
        "retransmissions" => info.retransmissions,
        "octets_acknowledged" => info.octets_acknowledged,
        "octets_received" => info.octets_received,
        "octets_sent" => info.octets_sent,
        "octets_sent_again" => info.octets_sent_again,
        "segments_received" => info.segments_received.into(),
        "segments_sent" => info.segments_sent.into(),
        "data_segments_received" => info.data_segments_received.into(),
        "data_segments_sent" => info.data_segments_sent.into(),
        "delivered" => info.delivered.into(),
        "early_segments" => info.early_segments.into(),
        "unsent" => info.unsent.into(),
        "send_queue" => info.send_queue.into(),
        "receive_queue" => info.receive_queue.into(),
        _ => return Err(format!("`{name}` is nothing that `info` tells")),
    })
}
