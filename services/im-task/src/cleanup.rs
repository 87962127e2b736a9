//! What nobody says goodbye to: sessions of gateways that died, guests who never came back.
//!
//! Several instances may run this at once: every row is removed once, whoever comes first.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, Result};
use gochat_infra::port::mq::{OutRecord, Producer};
use gochat_infra::topics;
use gochat_proto::im::repo::v1::{CleanupExpiredStatusRequest, DeleteExpiredGuestsRequest};
use gochat_proto::mq::v1::UserEvent;
use prost::Message;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::config::Cleanup as Config;
use crate::repo::Repo;
use crate::{clock, delivery};

/// The two timers.
pub(crate) struct Cleanup {
    repo: Repo,
    producer: Arc<dyn Producer>,
    config: Config,
}

impl Cleanup {
    pub(crate) fn new(repo: Repo, producer: Arc<dyn Producer>, config: Config) -> Self {
        Self {
            repo,
            producer,
            config,
        }
    }

    /// Runs until `shutdown`. Failures are logged; the next round tries again.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let sessions = every(self.config.sessions_every_s, &shutdown, || self.sessions());
        let guests = every(self.config.guests_every_s, &shutdown, || self.guests());
        tokio::join!(sessions, guests);
    }

    /// Removes sessions without a sign of life and says who is gone.
    pub(crate) async fn sessions(&self) -> Result<()> {
        loop {
            let request = CleanupExpiredStatusRequest {
                expired_before: clock::now_s() - self.config.session_silence_s,
                batch_size: self.config.batch,
            };
            let answer = self.repo.clean_sessions(request).await?;
            let gone = answer.user_ids.iter().map(|user| offline(user)).collect();
            self.producer.send(gone).await.map_err(Error::from)?;
            if answer.cleaned_count < self.config.batch {
                return Ok(());
            }
        }
    }

    /// Deletes guests that were not seen for long.
    pub(crate) async fn guests(&self) -> Result<()> {
        loop {
            let request = DeleteExpiredGuestsRequest {
                inactive_before: clock::now_s() - self.config.guest_days * 86_400,
                batch_size: self.config.batch,
            };
            let deleted = self.repo.delete_guests(request).await?.deleted_count;
            if deleted > 0 {
                tracing::info!(deleted, "old guests removed");
            }
            if deleted < self.config.batch {
                return Ok(());
            }
        }
    }
}

async fn every<F: Future<Output = Result<()>>>(
    seconds: u64,
    shutdown: &CancellationToken,
    work: impl Fn() -> F,
) {
    let mut timer = tokio::time::interval(Duration::from_secs(seconds.max(1)));
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = timer.tick() => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            done = work() => if let Err(error) = done {
                tracing::warn!(%error, "clean-up failed; it is tried again in {seconds} s");
            }
        }
    }
}

fn offline(user_id: &str) -> OutRecord {
    let now = clock::now_s();
    let payload = json!({ "gateway_id": "", "last_seen": now, "reason": "timeout" });
    let event = UserEvent {
        event_id: uuid::Uuid::now_v7().to_string(),
        event_type: "user.offline".to_owned(),
        timestamp: now,
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
