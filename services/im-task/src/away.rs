//! Users whose gateway stopped while they may have been between two connections.
//!
//! A gateway tells friends that somebody is offline half a minute after the last connection went. One that stops can't
//! count that down and says `user.away` instead; whoever takes that event counts, looks the user up, and says
//! `user.offline` if nobody came. What is being counted lives in memory: an orderly stop hands it on as new
//! `user.away` events, and after a kill friends see the user online until they ask again.

use std::sync::Arc;

use gochat_core::error::{Error, Result};
use gochat_core::presence::{OFFLINE_DELAY_MS, OfflineDebounce};
use gochat_infra::port::mq::{OutRecord, Producer};
use gochat_infra::topics;
use gochat_proto::mq::v1::UserEvent;
use parking_lot::Mutex;
use prost::Message;
use serde_json::{Value, json};

use crate::repo::Repo;
use crate::{clock, delivery, metrics};

/// Users counted at once; beyond it friends learn by asking.
const MOST: usize = 1_000_000;

/// Counts down. Shared by the reader of events and the clean-up.
pub(crate) struct Away {
    repo: Repo,
    producer: Arc<dyn Producer>,
    users: Mutex<OfflineDebounce<String>>,
}

impl Away {
    pub(crate) fn new(repo: Repo, producer: Arc<dyn Producer>) -> Self {
        Self {
            repo,
            producer,
            users: Mutex::default(),
        }
    }

    /// A user went at `gone_s` and is offline when nobody came after `delay_ms`.
    pub(crate) fn note(&self, user: &str, gone_s: i64, delay_ms: u64) {
        let mut users = self.users.lock();
        if users.len() >= MOST {
            return metrics::dropped("away", 1);
        }
        let gone_ms = u64::try_from(gone_s).unwrap_or_default() * 1_000;
        users.note_gone_until(gone_ms.saturating_add(delay_ms), user.to_owned());
    }

    /// Says who did not come back.
    ///
    /// # Errors
    /// Presence or the log is away: they are judged again after another delay.
    pub(crate) async fn judge(&self) -> Result<()> {
        let now = now_ms();
        let users = self.users.lock().poll_due(now);
        if users.is_empty() {
            return Ok(());
        }
        // Dropped in the middle of it, by a stop, they are still there to be handed over.
        let mut due = Due {
            of: self,
            again: now,
            users,
        };
        let told = self.tell(&due.users).await;
        match &told {
            Ok(()) => due.users.clear(),
            Err(_) => due.again = now + OFFLINE_DELAY_MS,
        }
        told
    }

    async fn tell(&self, due: &[String]) -> Result<()> {
        let online = self
            .repo
            .gateways_of(due.iter().map(String::as_str))
            .await?;
        let gone = due.iter().filter(|user| !online.contains_key(*user));
        let events = gone.map(|user| offline(user, "disconnect")).collect();
        self.producer.send(events).await.map_err(Error::from)?;
        Ok(())
    }

    /// Hands everybody who is still counted to another instance, which counts the rest of the delay.
    pub(crate) async fn hand_over(&self) {
        let users = self.users.lock().drain();
        // What `note` adds up again; times of events are in seconds.
        let from = u64::try_from(clock::now_s()).unwrap_or_default() * 1_000;
        let events: Vec<_> = users
            .iter()
            .map(|(user, due)| {
                let delay_ms = due.saturating_sub(from);
                let payload = json!({ "gateway_id": "", "delay_ms": delay_ms });
                event(user, "user.away", &payload)
            })
            .collect();
        let count = events.len();
        if count > 0
            && let Err(error) = self.producer.send(events).await
        {
            tracing::warn!(%error, users = count, "friends will not be told who went offline");
        }
    }
}

/// Users who are being judged; those that are left are counted again, until `again`.
struct Due<'a> {
    of: &'a Away,
    again: u64,
    users: Vec<String>,
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        let mut users = self.of.users.lock();
        for user in self.users.drain(..) {
            users.note_gone_until(self.again, user);
        }
    }
}

fn now_ms() -> u64 {
    clock::now_ms().unsigned_abs()
}

/// `user.offline` for somebody nobody said goodbye for.
pub(crate) fn offline(user_id: &str, reason: &str) -> OutRecord {
    let payload = json!({ "gateway_id": "", "last_seen": clock::now_s(), "reason": reason });
    event(user_id, "user.offline", &payload)
}

fn event(user_id: &str, event_type: &str, payload: &Value) -> OutRecord {
    let event = UserEvent {
        event_id: uuid::Uuid::now_v7().to_string(),
        event_type: event_type.to_owned(),
        timestamp: clock::now_s(),
        user_id: user_id.to_owned(),
        payload: payload.to_string(),
    };
    OutRecord::new(
        topics::USER_EVENTS,
        user_id.to_owned(),
        event.encode_to_vec(),
    )
    .with_headers(delivery::headers("UserEvent"))
}
