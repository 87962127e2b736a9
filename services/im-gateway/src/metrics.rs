//! Names of the gateway's metrics, and the few lines that record them.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// Sockets that passed the handshake.
pub(crate) const WS_CONNECTIONS: &str = "gochat_ws_connections";
/// Why sockets were closed, label `reason`.
pub(crate) const WS_CLOSED: &str = "gochat_ws_closed_total";
/// Handshakes that were refused, label `code`.
pub(crate) const WS_REFUSED: &str = "gochat_ws_handshake_refused_total";
/// Frames from clients, label `type`.
pub(crate) const WS_FRAMES: &str = "gochat_ws_frames_received_total";
/// Frames handed to sockets.
pub(crate) const DELIVERED: &str = "gochat_downstream_delivered_total";
/// Frames that found no socket or a full queue, label `reason`.
pub(crate) const DROPPED: &str = "gochat_downstream_dropped_total";
/// Seconds one broadcast took to be written to every socket.
pub(crate) const BROADCAST: &str = "gochat_fanout_latency_seconds";
/// Messages handed to the log.
pub(crate) const SENT: &str = "gochat_message_send_total";
/// Messages the log did not take.
pub(crate) const SEND_FAILED: &str = "gochat_message_send_failures_total";
/// Unauthenticated connections that had to make room.
pub(crate) const SHED: &str = "gochat_connections_shed_total";

/// Handshakes of TLS, label `result`.
pub(crate) const TLS_HANDSHAKES: &str = "gochat_tls_handshakes_total";
/// Changed certificate files, label `result`.
pub(crate) const TLS_RELOADS: &str = "gochat_tls_reloads_total";

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

/// A socket was added (1) or taken away (-1).
pub(crate) fn ws_connections(change: f64) {
    gauge!(WS_CONNECTIONS).increment(change);
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

/// Counts frames that did not get to a socket.
pub(crate) fn dropped(reason: &'static str, n: u64) {
    if n > 0 {
        counter!(DROPPED, "reason" => reason).increment(n);
    }
}

/// Describes the metrics to whatever recorder is installed.
pub(crate) fn describe() {
    metrics::describe_gauge!(WS_CONNECTIONS, "Open WebSocket connections.");
    metrics::describe_counter!(WS_CLOSED, "Closed WebSocket connections by reason.");
    metrics::describe_counter!(WS_REFUSED, "Refused WebSocket handshakes by error code.");
    metrics::describe_counter!(WS_FRAMES, "Frames received from clients by type.");
    metrics::describe_counter!(DELIVERED, "Frames handed to sockets.");
    metrics::describe_counter!(DROPPED, "Frames that could not be delivered, by reason.");
    metrics::describe_histogram!(
        BROADCAST,
        "Seconds from a broadcast record to the last socket."
    );
    metrics::describe_counter!(SENT, "Messages accepted by the log.");
    metrics::describe_counter!(SEND_FAILED, "Messages the log refused.");
    metrics::describe_counter!(TLS_HANDSHAKES, "TLS handshakes by result.");
    metrics::describe_counter!(TLS_RELOADS, "Changed certificate files by result.");
    metrics::describe_counter!(SHED, "Unauthenticated connections closed to make room.");
}
