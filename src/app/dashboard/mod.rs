//! The live page, and the numbers behind it.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::http::{Site, json as respond};
use crate::{ConnectionInfo, Counter, Counters, DropReason, Net, StateCounts, TcpInfo, Totals};

/// How many connections `/api/connections` describes at most. 200: the page is for people, and a
/// browser lays as many out anew each second without getting in its reader's way.
pub const CONNECTIONS_SHOWN_MAX: usize = 200;

/// One file with all that it needs: it works where nothing but this server can be reached.
const PAGE: &str = include_str!("index.html");

/// Nothing from elsewhere is loaded, and the page talks to this server only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self' ws:; base-uri 'none'; form-action 'none'";

/// What the page shows of a stack. Each reader asks about once a second, so that no answer may cost
/// more the more connections there are.
pub trait Status: Send + Sync + 'static {
    /// How often each kind of event has happened so far.
    fn counters(&self) -> Counters;

    /// What it holds altogether.
    fn totals(&self) -> Totals;

    /// At most `max` connections, and if there are more those that tell most.
    fn connections(&self, max: usize) -> Vec<ConnectionInfo>;
}

impl Status for Net {
    fn counters(&self) -> Counters {
        Self::counters(self)
    }

    fn totals(&self) -> Totals {
        Self::totals(self)
    }

    fn connections(&self, max: usize) -> Vec<ConnectionInfo> {
        self.some_connections(max)
    }
}

/// `/`, `/metrics` and `/api`.
pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/api/stats", get(stats))
        .route("/api/connections", get(connections))
}

async fn page() -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-cache")];
    (headers, Html(PAGE)).into_response()
}

/// Prometheus text, version 0.0.4.
async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let mut text = site.status.counters().to_prometheus();
    text.push_str("# HELP wharf_tcp_connections TCP connections, by state.\n");
    text.push_str("# TYPE wharf_tcp_connections gauge\n");
    let totals = site.status.totals();
    for (state, count) in totals.states.iter() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "wharf_tcp_connections{{state=\"{state}\"}} {count}");
    }
    for (name, help, value) in [
        ("tcp_orphans", "Connections that no program holds.", totals.orphans as u64),
        ("tcp_buffered_octets", "Octets that TCP buffers hold.", totals.buffered as u64),
        ("chat_clients", "Clients in the chat.", site.chat.clients() as u64),
        ("uptime_seconds", "Time since the server was started.", site.uptime()),
    ] {
        let _ = writeln!(
            text,
            "# HELP wharf_{name} {help}\n# TYPE wharf_{name} gauge\nwharf_{name} {value}"
        );
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (headers, text).into_response()
}

async fn stats(State(site): State<Arc<Site>>) -> Response {
    let counters = site.status.counters();
    let totals = site.status.totals();
    let named = |Counter { name, value, .. }: Counter| (name.to_owned(), Value::from(value));
    let dropped = |&reason: &DropReason| {
        let count = counters.dropped(reason);
        (count > 0).then(|| (reason.label().to_owned(), Value::from(count)))
    };
    respond(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": site.uptime(),
        "chat_clients": site.chat.clients(),
        "connections": by_name(&totals.states),
        "tcp_orphans": totals.orphans,
        "tcp_buffered_octets": totals.buffered,
        "counters": counters.list().into_iter().map(named).collect::<serde_json::Map<_, _>>(),
        "dropped": DropReason::ALL.iter().filter_map(dropped).collect::<serde_json::Map<_, _>>(),
    }))
}

async fn connections(State(site): State<Arc<Site>>) -> Response {
    let shown = site.status.connections(CONNECTIONS_SHOWN_MAX);
    // They may have become fewer since.
    let total = site.status.totals().connections.max(shown.len());
    let shown: Vec<_> = shown.iter().map(describe).collect();
    respond(&json!({ "total": total, "connections": shown }))
}

/// One connection; what a half-open or closing one does not have is `null`.
fn describe(connection: &ConnectionInfo) -> Value {
    let ConnectionInfo { local, remote, state, info } = connection;
    let mut described = json!({
        "local": local,
        "remote": remote,
        "state": state.to_string(),
        "info": Value::Null,
    });
    if let Some(info) = info {
        described["info"] = describe_info(info);
    }
    described
}

fn describe_info(info: &TcpInfo) -> Value {
    let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    json!({
        "srtt_us": info.srtt.map(micros),
        "rttvar_us": info.rttvar.map(micros),
        "rto_us": micros(info.rto),
        "cwnd": info.cwnd,
        "ssthresh": info.ssthresh,
        "send_mss": info.send_mss,
        "send_window": info.send_window,
        "receive_window": info.receive_window,
        "in_flight": info.in_flight,
        "retransmissions": info.retransmissions,
        "send_queue": info.send_queue,
        "receive_queue": info.receive_queue,
    })
}

/// The states in which there are any.
fn by_name(states: &StateCounts) -> serde_json::Map<String, Value> {
    let held = states.iter().filter(|&(_, count)| count > 0);
    held.map(|(state, count)| (state.to_string(), Value::from(count))).collect()
}
