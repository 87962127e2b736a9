//! `user.online`, `user.offline` and `user.away` on `gochat.user-events`.

use bytes::Bytes;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_infra::port::mq::OutRecord;
use gochat_infra::rpc::Backoff;
use gochat_infra::topics;
use gochat_proto::mq::v1::UserEvent;
use prost::Message as _;
use serde_json::json;

use super::Gone;
use crate::clock;
use crate::state::Gw;
use crate::upstream::new_trace;
use crate::ws::conn::Conn;

/// Attempts before an event is given up; presence itself is right without it.
const ATTEMPTS: u32 = 5;

pub(super) fn online(gw: &Gw, conn: &Conn) -> OutRecord {
    let about = conn.about();
    let payload = json!({
        "gateway_id": &*gw.id,
        "ip_address": &about.address,
        "user_agent": &*about.client_info,
    });
    record("user.online", conn.user(), &payload)
}

pub(super) fn offline(gw: &Gw, user: UserId, why: Gone) -> OutRecord {
    let payload =
        json!({"gateway_id": &*gw.id, "last_seen": clock::now_s(), "reason": why.as_str()});
    record("user.offline", user, &payload)
}

/// The gateway stops while a user may be between two connections: somebody else has to see whether they
/// come back until `due`, in Unix milliseconds.
pub(super) fn away(gw: &Gw, user: UserId, due: UnixMillis) -> OutRecord {
    // Counted from the time of the event, which is in whole seconds.
    let from = clock::now_ms() / 1_000 * 1_000;
    let payload = json!({"gateway_id": &*gw.id, "delay_ms": due.saturating_sub(from)});
    record("user.away", user, &payload)
}

fn record(event_type: &str, user: UserId, payload: &serde_json::Value) -> OutRecord {
    let event = UserEvent {
        event_id: new_trace(),
        event_type: event_type.to_owned(),
        timestamp: clock::now_s(),
        user_id: user.to_string(),
        payload: payload.to_string(),
    };
    OutRecord::new(
        topics::USER_EVENTS,
        Bytes::from(user.to_string()),
        event.encode_to_vec(),
    )
}

/// Writes events; retries while the log is away for a moment.
pub(super) async fn publish(gw: &Gw, events: Vec<OutRecord>) {
    if events.is_empty() {
        return;
    }
    let producer = gw.mq.producer();
    let mut backoff = Backoff::default();
    for attempt in 1..=ATTEMPTS {
        match producer.send(events.clone()).await {
            Ok(_) => return,
            Err(error) if error.is_retryable() && attempt < ATTEMPTS => {
                tokio::time::sleep(backoff.next_delay()).await;
            }
            Err(error) => {
                return tracing::warn!(%error, events = events.len(), "presence events are lost");
            }
        }
    }
}
