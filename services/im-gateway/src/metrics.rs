//! Names of the gateway's metrics, and the few lines that record them.

use std::time::Duration;

use gochat_core::snowflake::Parts;
use gochat_infra::topics;
use metrics::{counter, gauge, histogram};

use crate::clock;

/// Sockets that passed the handshake.
pub(crate) const WS_CONNECTIONS: &str = "gochat_ws_connections";
/// Users with a connection to this gateway.
pub(crate) const ONLINE_USERS: &str = "gochat_online_users";
/// How long the check of an access token takes.
pub(crate) const TOKEN_CHECKS: &str = "gochat_token_validation_duration_seconds";
/// Why sockets were closed, label `reason`.
pub(crate) const WS_CLOSED: &str = "gochat_ws_closed_total";
/// Times that ended sessions were too many to be remembered one by one.
pub(crate) const ENDS_WIDENED: &str = "gochat_session_ends_widened_total";
/// Handshakes that were refused, label `code`.
pub(crate) const WS_REFUSED: &str = "gochat_ws_handshake_refused_total";
/// Frames from clients, label `type`.
pub(crate) const WS_FRAMES: &str = "gochat_ws_frames_received_total";
/// Frames handed to sockets.
pub(crate) const DELIVERED: &str = "gochat_downstream_delivered_total";
/// Frames that found no socket or a full queue, label `reason`.
pub(crate) const DROPPED: &str = "gochat_downstream_dropped_total";
/// Seconds from the sequencing of a message to the last socket here.
pub(crate) const FANOUT: &str = "gochat_fanout_latency_seconds";
/// Messages handed to the log.
pub(crate) const SENT: &str = "gochat_message_send_total";
/// Messages the log did not take.
pub(crate) const SEND_FAILED: &str = "gochat_message_send_failures_total";
/// Unauthenticated connections that had to make room.
pub(crate) const TOLD_DROPPED: &str = "gochat_gateway_told_dropped_total";
pub(crate) const SHED: &str = "gochat_connections_shed_total";
/// Connections that were closed before anything was read, label `reason`.
pub(crate) const CONNECTIONS_REFUSED: &str = "gochat_connections_refused_total";
/// HTTP connections without progress, label `reason`.
pub(crate) const CONNECTIONS_CUT: &str = "gochat_connections_cut_total";
/// Requests that were refused before they were routed, label `limit`.
pub(crate) const ADMISSION_REFUSED: &str = "gochat_admission_refused_total";
/// Requests that were refused because too many bytes wait in memory.
pub(crate) const BODIES_REFUSED: &str = "gochat_http_bodies_refused_total";
/// Bytes of answers and request bodies in memory.
const HELD_BYTES: &str = "gochat_http_held_bytes";
/// Bytes that wait for WebSockets whose clients don't read.
const QUEUED_BYTES: &str = "gochat_ws_queued_bytes";
/// Requests with `X-Forwarded-For` from a peer that is not trusted.
pub(crate) const FORWARDED_UNTRUSTED: &str = "gochat_forwarded_untrusted_total";

/// Requests at a door that were judged without the shared bucket.
pub(crate) const RATES_BRIDGED: &str = "gochat_ratelimit_bridged_total";

/// Handshakes of TLS, label `result`.
pub(crate) const TLS_HANDSHAKES: &str = "gochat_tls_handshakes_total";
/// Changed certificate files, label `result`.
pub(crate) const TLS_RELOADS: &str = "gochat_tls_reloads_total";

/// Seconds from the sequencing of a world message to the last socket here.
pub(crate) const WORLD_FANOUT: &str = "world_chat_fanout_latency";

/// Counts one finished HTTP request.
pub(crate) fn http(method: &'static str, path: &str, status: u16, took: Duration) {
    let labels = [
        ("method", method.to_owned()),
        ("path", path.to_owned()),
        ("status", status.to_string()),
    ];
    counter!("http_requests_total", &labels).increment(1);
    histogram!("http_request_duration_seconds", &labels[..2]).record(took.as_secs_f64());
}

/// Times the way of a message from its sequencing to the last socket here.
pub(crate) fn fanned_out(name: &'static str, message_id: i64) {
    let sequenced = Parts::of(message_id.unsigned_abs()).at;
    let took = Duration::from_millis(clock::now_ms().saturating_sub(sequenced));
    histogram!(name).record(took);
}

/// Records taken from this gateway's topic.
pub(crate) fn consumed(records: usize) {
    counter!("gochat_kafka_messages_total",
        "topic" => topics::DOWNSTREAM, "direction" => "consume", "result" => "ok")
    .increment(records as u64);
}

/// A socket was added (1) or taken away (-1).
pub(crate) fn ws_connections(change: f64) {
    gauge!(WS_CONNECTIONS).increment(change);
}

/// A user's first connection here came (1) or their last one went (-1).
pub(crate) fn online_users(change: f64) {
    gauge!(ONLINE_USERS).increment(change);
}

/// So many bytes of answers and request bodies are in memory.
pub(crate) fn held_bytes(bytes: usize) {
    gauge!(HELD_BYTES).set(bytes as f64);
}

/// So many bytes wait for WebSockets whose clients don't read.
pub(crate) fn queued_bytes(bytes: usize) {
    gauge!(QUEUED_BYTES).set(bytes as f64);
}

/// A token was looked at, whatever came of it.
pub(crate) fn token_checked(took: Duration) {
    histogram!(TOKEN_CHECKS).record(took.as_secs_f64());
}

/// Adds to a counter without labels.
pub(crate) fn add(name: &'static str, n: usize) {
    if n > 0 {
        counter!(name).increment(n as u64);
    }
}

/// Adds one to a counter with a label of few values.
pub(crate) fn count(name: &'static str, label: &'static str, value: &'static str) {
    counter!(name, label => value).increment(1);
}

fn add_none(names: &[&'static str]) {
    for name in names {
        counter!(*name).increment(0);
    }
}

/// Counts frames that did not get to a socket.
pub(crate) fn dropped(reason: &'static str, n: u64) {
    if n > 0 {
        counter!(DROPPED, "reason" => reason).increment(n);
    }
}

/// Describes the metrics to whatever recorder is installed, and begins the ones alerts look at: a
/// counter that appears with its first event has never increased.
pub(crate) fn describe() {
    add_none(&[
        SENT,
        SEND_FAILED,
        SHED,
        DELIVERED,
        RATES_BRIDGED,
        TOLD_DROPPED,
        ENDS_WIDENED,
    ]);
    add_none(&[BODIES_REFUSED, FORWARDED_UNTRUSTED]);
    for reason in ["rate", "address", "account", "proxy-header"] {
        counter!(CONNECTIONS_REFUSED, "reason" => reason).increment(0);
    }
    for reason in ["read", "write"] {
        counter!(CONNECTIONS_CUT, "reason" => reason).increment(0);
    }
    for limit in [
        "health",
        "address",
        "door",
        "account",
        "instance",
        "in-flight",
        "strangers",
    ] {
        counter!(ADMISSION_REFUSED, "limit" => limit).increment(0);
    }
    gauge!(HELD_BYTES).set(0.0);
    gauge!(QUEUED_BYTES).set(0.0);
    metrics::describe_counter!(
        CONNECTIONS_REFUSED,
        "Connections closed before a request, by the limit that refused them."
    );
    metrics::describe_counter!(
        CONNECTIONS_CUT,
        "HTTP connections and requests ended because the client took or sent nothing."
    );
    metrics::describe_counter!(
        ADMISSION_REFUSED,
        "Requests refused before they were routed, by limit."
    );
    metrics::describe_counter!(
        BODIES_REFUSED,
        "Requests refused because too many bytes of bodies are in memory."
    );
    metrics::describe_gauge!(
        QUEUED_BYTES,
        metrics::Unit::Bytes,
        "Bytes that wait for WebSockets whose clients don't read."
    );
    metrics::describe_gauge!(
        HELD_BYTES,
        metrics::Unit::Bytes,
        "Bytes of answers and request bodies in memory."
    );
    metrics::describe_counter!(
        FORWARDED_UNTRUSTED,
        "Requests with X-Forwarded-For from a peer that is no trusted proxy."
    );
    for reason in ["overflow", "offline", "lagged"] {
        counter!(DROPPED, "reason" => reason).increment(0);
    }
    for result in ["renewed", "refused"] {
        counter!(TLS_RELOADS, "result" => result).increment(0);
    }
    gauge!(WS_CONNECTIONS).increment(0.0);
    gauge!(ONLINE_USERS).increment(0.0);
    metrics::describe_histogram!(
        WORLD_FANOUT,
        "Seconds from the sequencing of a world message to the last socket of this gateway."
    );
    metrics::describe_counter!(
        "http_requests_total",
        "HTTP requests by method, route and status."
    );
    metrics::describe_histogram!(
        "http_request_duration_seconds",
        "Seconds of HTTP requests by route."
    );
    metrics::describe_gauge!(WS_CONNECTIONS, "Open WebSocket connections.");
    metrics::describe_gauge!(ONLINE_USERS, "Users with a connection to this gateway.");
    metrics::describe_histogram!(TOKEN_CHECKS, "Seconds of an access token's check.");
    metrics::describe_counter!(WS_CLOSED, "Closed WebSocket connections by reason.");
    metrics::describe_counter!(
        ENDS_WIDENED,
        "Times that ended sessions were too many to remember, so that older tokens must be renewed."
    );
    metrics::describe_counter!(WS_REFUSED, "Refused WebSocket handshakes by error code.");
    metrics::describe_counter!(WS_FRAMES, "Frames received from clients by type.");
    metrics::describe_counter!(DELIVERED, "Frames handed to sockets.");
    metrics::describe_counter!(DROPPED, "Frames that could not be delivered, by reason.");
    metrics::describe_histogram!(
        FANOUT,
        "Seconds from the sequencing of a message to the last socket of this gateway."
    );
    metrics::describe_counter!(SENT, "Messages accepted by the log.");
    metrics::describe_counter!(SEND_FAILED, "Messages the log refused.");
    metrics::describe_counter!(TLS_HANDSHAKES, "TLS handshakes by result.");
    metrics::describe_counter!(TLS_RELOADS, "Changed certificate files by result.");
    metrics::describe_counter!(
        RATES_BRIDGED,
        "Requests judged without the rate limits that instances share."
    );
    metrics::describe_counter!(
        TOLD_DROPPED,
        "Numbers told to users that the gateway could not remember: a read may miss them for a moment."
    );
    metrics::describe_counter!(SHED, "Unauthenticated connections closed to make room.");
}
