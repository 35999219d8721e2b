//! The live page, and the numbers behind it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::http::{Site, json as respond};
use crate::{ConnectionInfo, Counter, Counters, DropReason, Net, TcpInfo, TcpState};

/// How many connections `/api/connections` describes at most. 1,000: the page is for people.
pub const CONNECTIONS_SHOWN_MAX: usize = 1000;

/// One file with all that it needs: it works where nothing but this server can be reached.
const PAGE: &str = include_str!("index.html");

/// Nothing from elsewhere is loaded, and the page talks to this server only.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      img-src data:; connect-src 'self' ws:; base-uri 'none'; form-action 'none'";

/// What the page shows of a stack. Asked by people, about once a second.
pub trait Status: Send + Sync + 'static {
    /// How often each kind of event has happened so far.
    fn counters(&self) -> Counters;

    /// All connections.
    fn connections(&self) -> Vec<ConnectionInfo>;
}

impl Status for Net {
    fn counters(&self) -> Counters {
        Self::counters(self)
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        Self::connections(self)
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
    for (state, count) in by_state(&site.status.connections()) {
        let state = state.to_string();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "wharf_tcp_connections{{state=\"{state}\"}} {count}");
    }
    for (name, help, value) in [
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
    let states = by_state(&site.status.connections());
    let named = |Counter { name, value, .. }: Counter| (name.to_owned(), Value::from(value));
    let dropped = |&reason: &DropReason| {
        let count = counters.dropped(reason);
        (count > 0).then(|| (reason.label().to_owned(), Value::from(count)))
    };
    respond(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": site.uptime(),
        "chat_clients": site.chat.clients(),
        "connections": by_name(&states),
        "counters": counters.list().into_iter().map(named).collect::<serde_json::Map<_, _>>(),
        "dropped": DropReason::ALL.iter().filter_map(dropped).collect::<serde_json::Map<_, _>>(),
    }))
}

async fn connections(State(site): State<Arc<Site>>) -> Response {
    let all = site.status.connections();
    let shown: Vec<_> = all.iter().take(CONNECTIONS_SHOWN_MAX).map(describe).collect();
    respond(&json!({ "total": all.len(), "connections": shown }))
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

fn by_state(connections: &[ConnectionInfo]) -> BTreeMap<TcpState, u64> {
    let mut counts = BTreeMap::new();
    for connection in connections {
        *counts.entry(connection.state).or_insert(0) += 1;
    }
    counts
}

fn by_name(states: &BTreeMap<TcpState, u64>) -> serde_json::Map<String, Value> {
    let named = |(state, &count): (&TcpState, &u64)| (state.to_string(), Value::from(count));
    states.iter().map(named).collect()
}
