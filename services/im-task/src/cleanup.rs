//! What nobody says goodbye to: sessions of gateways that died, topics of gateways that never came back, guests likewise.
//!
//! Several instances may run this at once: every row is removed once, whoever comes first; topics are looked at by one
//! instance at a time.

mod topics;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, Result};
use gochat_infra::port::mq::Producer;
use gochat_proto::im::repo::v1::{
    CleanupExpiredStatusRequest, DeleteExpiredGuestsRequest, PurgeAuditRequest,
};
use tokio_util::sync::CancellationToken;

pub use self::topics::Coord;
use self::topics::Topics;
use crate::away::{Away, offline};
use crate::clock;
use crate::config::Cleanup as Config;
use crate::repo::Repo;
use crate::service::Ports;

/// How often users are looked at whose gateway stopped, in seconds.
const AWAY_EVERY_S: u64 = 1;

/// The timers.
pub(crate) struct Cleanup {
    repo: Repo,
    producer: Arc<dyn Producer>,
    away: Arc<Away>,
    /// `None` where there is nobody to ask who lives: a single process keeps its topics.
    topics: Option<Topics>,
    config: Config,
}

impl Cleanup {
    pub(crate) fn new(repo: Repo, away: Arc<Away>, ports: &Ports, config: Config) -> Self {
        let coord = ports.coord.clone();
        let topics = coord
            .map(|coord| Topics::new(ports.mq.clone(), coord, repo.clone(), config.topic_free_s));
        Self {
            repo,
            producer: ports.mq.producer(),
            away,
            topics,
            config,
        }
    }

    /// Runs until `shutdown`. Failures are logged; the next round tries again.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let sessions = every(self.config.sessions_every_s, &shutdown, || self.sessions());
        let guests = every(self.config.guests_every_s, &shutdown, || self.guests());
        let away = every(AWAY_EVERY_S, &shutdown, || self.away.judge());
        let topics = every(self.config.topics_every_s, &shutdown, || self.topics());
        let audit = every(self.config.audit_every_s, &shutdown, || self.audit());
        tokio::join!(sessions, guests, away, topics, audit);
    }

    /// Deletes audit records whose time is over.
    pub(crate) async fn audit(&self) -> Result<()> {
        let before_s = clock::now_s() - self.config.audit_days.saturating_mul(86_400);
        loop {
            let request = PurgeAuditRequest {
                before_ms: before_s.saturating_mul(1_000).max(0),
                limit: self.config.batch,
            };
            let deleted = self.repo.purge_audit(request).await?.deleted;
            if deleted < self.config.batch {
                return Ok(());
            }
        }
    }

    async fn topics(&self) -> Result<()> {
        match &self.topics {
            Some(topics) => topics.clean().await,
            None => Ok(()),
        }
    }

    /// Removes sessions without a sign of life and says who is gone.
    pub(crate) async fn sessions(&self) -> Result<()> {
        loop {
            let request = CleanupExpiredStatusRequest {
                expired_before: clock::now_s() - self.config.session_silence_s,
                batch_size: self.config.batch,
            };
            let answer = self.repo.clean_sessions(request).await?;
            let gone = answer.user_ids.iter().map(|user| offline(user, "timeout"));
            let gone = gone.collect();
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
