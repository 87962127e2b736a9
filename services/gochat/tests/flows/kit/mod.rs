//! What the flow tests stand on: a running server, users of it, their sockets.
//!
//! Everything goes through public HTTP and WebSocket, so the same flows run against any profile:
//! set `GOCHAT_TEST_URL=http://host:port` to run them against a server that is up already.

mod back;
pub mod http;
mod server;
mod socket;
mod user;

pub use back::{Forge, call_rpc, mute, set};
pub use http::Reply;
pub use server::{FEW_ARE_MANY, LISTED, Server, fresh_name};
pub use socket::Socket;
pub use user::{PASSWORD, User};

use std::time::Duration;

use serde_json::Value;

/// How long anything that must happen may take. Generous: a loaded machine is slow, a lost message stays lost.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Polls until `probe` answers, within [`PATIENCE`].
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "did not happen in time: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The text of a JSON string; fails the test for anything else.
#[track_caller]
pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected text, got {value}"))
        .to_owned()
}

/// The items of a JSON list; fails the test for anything else.
#[track_caller]
pub fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("expected a list, got {value}"))
}

/// One field of every item, as text.
#[track_caller]
pub fn texts(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| text(&item[field])).collect()
}

/// The `seqId` of every item.
#[track_caller]
pub fn seqs(items: &[Value]) -> Vec<i64> {
    items
        .iter()
        .map(|m| {
            m["seqId"]
                .as_i64()
                .unwrap_or_else(|| panic!("expected a seqId in {m}"))
        })
        .collect()
}

/// Unix seconds.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
