//! Topics of instances that are gone: deleted once the instance id has been free for long.
//!
//! Since when an id is free stands in the configuration centre, so that no restart begins the time anew. One instance
//! at a time looks, under a lock. A gateway that starts at the very moment makes its topic again.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_infra::port::coord::{ConfigCenter, Instances, Lease, Locks, Registry};
use gochat_infra::port::mq::Mq;
use gochat_infra::topics;

use crate::clock;
use crate::repo::Repo;

/// Services with topics of their own, as they are registered.
const GATEWAYS: &str = "im-gateway";
const LOGICS: &str = "im-logic";
const LOCK: &str = "im-task/topics";
const LOCK_TTL: Duration = Duration::from_secs(30);

/// Who lives, who may act, and where it is written down.
#[derive(Clone)]
pub struct Coord {
    /// Gateways are registered as `im-gateway` under their gateway id, im-logic as `im-logic` under `im-logic-{number}`.
    pub registry: Arc<dyn Registry>,
    /// Of several instances one looks at topics.
    pub locks: Arc<dyn Locks>,
    /// Remembers since when an instance id is free.
    pub config: Arc<dyn ConfigCenter>,
}

pub(super) struct Topics {
    mq: Arc<dyn Mq>,
    coord: Coord,
    repo: Repo,
    free_s: i64,
}

impl Topics {
    pub(super) fn new(mq: Arc<dyn Mq>, coord: Coord, repo: Repo, free_s: i64) -> Self {
        Self {
            mq,
            coord,
            repo,
            free_s,
        }
    }

    /// One round, unless another instance is at it.
    pub(super) async fn clean(&self) -> Result<()> {
        let lease = match self.coord.locks.try_acquire(LOCK, LOCK_TTL).await {
            Ok(lease) => lease,
            Err(error) if error.code == ErrorCode::VersionConflict => return Ok(()),
            Err(error) => return Err(error),
        };
        let outcome = self.round(&lease).await;
        lease.release().await;
        outcome
    }

    async fn round(&self, lease: &Lease) -> Result<()> {
        let prefix = topics::downstream("");
        let all = self.mq.topics(&prefix).await.map_err(Error::from)?;
        let taken = self.taken().await?;
        for topic in all {
            let id = &topic[prefix.len()..];
            if taken.has(id) {
                self.note_taken(id).await?;
            } else if self.is_free_for_long(id).await? && !lease.is_lost() {
                self.delete(&topic, id).await?;
            }
        }
        Ok(())
    }

    async fn taken(&self) -> Result<Taken> {
        Ok(Taken {
            gateways: self.coord.registry.discover(GATEWAYS).await?,
            logics: self.coord.registry.discover(LOGICS).await?,
            // A gateway whose registration is late still has its sockets.
            with_sessions: self.repo.live_gateways().await?,
        })
    }

    async fn delete(&self, topic: &str, id: &str) -> Result<()> {
        // Asked again: it may have come back while others were looked at.
        if self.taken().await?.has(id) {
            return self.note_taken(id).await;
        }
        self.mq.delete_topic(topic).await.map_err(Error::from)?;
        tracing::info!(topic, "topic of a gateway that never came back deleted");
        self.coord.config.delete(&key(id)).await.map(drop)
    }

    /// Whether the id was free each time somebody looked, for as long as it takes. The first look starts the time.
    async fn is_free_for_long(&self, id: &str) -> Result<bool> {
        let now = clock::now_s();
        let since = self.coord.config.get(&key(id)).await?;
        match since.and_then(|since| since.value.parse::<i64>().ok()) {
            Some(since) => Ok(now - since >= self.free_s),
            None => {
                self.coord.config.set(&key(id), &now.to_string()).await?;
                Ok(false)
            }
        }
    }

    async fn note_taken(&self, id: &str) -> Result<()> {
        self.coord.config.delete(&key(id)).await.map(drop)
    }
}

fn key(id: &str) -> String {
    format!("/gochat/topics/free-since/{id}")
}

/// Instance ids that are in use.
struct Taken {
    gateways: Instances,
    logics: Instances,
    with_sessions: Vec<String>,
}

impl Taken {
    /// Whether the owner of `gochat.messages.downstream.{id}` lives.
    fn has(&self, id: &str) -> bool {
        // im-logic's instance `im-logic-7` reads the topic of `logic-7`.
        let of_logic =
            |registered: &str| registered.strip_prefix("im-").unwrap_or(registered) == id;
        self.gateways.iter().any(|g| g.id == id)
            || self.with_sessions.iter().any(|g| g == id)
            || self.logics.iter().any(|l| of_logic(&l.id))
    }
}
