//! The line of JSON, and the verdict.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::swarm::Total;

/// Prints the result of a run and gives its exit code: 1 when an invariant was broken.
pub(super) fn print(bench: &str, args: &impl Serialize, violations: u64, body: Value) -> ExitCode {
    let command: Vec<String> = std::env::args().skip(1).collect();
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut line = Map::new();
    line.insert("bench".into(), json!(bench));
    line.insert(
        "command".into(),
        json!(format!("gochat {}", command.join(" "))),
    );
    line.insert("at".into(), json!(since.as_secs()));
    line.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    line.insert("args".into(), json!(args));
    if let Value::Object(body) = body {
        line.extend(body);
    }
    line.insert("ok".into(), json!(violations == 0));
    println!("{}", Value::Object(line));
    if violations == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How the generator itself did; `behind` says that the figures are its own limit.
pub(super) fn generator(total: &Total, workers: usize, seconds: f64, target: f64) -> Value {
    let lag = total.lag.p99() as f64 / 1000.0;
    let busy = total.done.cpu / seconds.max(0.001) / workers as f64;
    let sent = total.done.counts.sent as f64 / seconds.max(0.001);
    let slow = target > 0.0 && sent < target * 0.98;
    json!({
        "workers": workers, "lag_ms": total.lag.summary(), "cpu_seconds": round(total.done.cpu),
        "busy": round(busy), "behind": lag > 5.0 || busy > 0.9 || slow,
    })
}

/// Two digits are plenty.
pub(super) fn round(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}
