//! [`Locks`] on etcd.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::EventType;
use gochat_core::error::{ErrorCode, Result};
use tokio::time::{sleep, timeout};

use super::claims::{Claim, Loss};
use super::mirror::next;
use super::store::Take;
use super::{EtcdCoord, keys, taken};
use crate::port::coord::{Lease, Locks};
use crate::rpc::Backoff;

/// A lock that is waited for is looked at this often even when etcd says nothing.
const LOOK: Duration = Duration::from_secs(10);
/// Failed requests in a row after which waiting ends with an error.
const FAILURES: u32 = 8;

#[async_trait]
impl Locks for EtcdCoord {
    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Lease> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut failures = 0;
        loop {
            let error = match self.take_when_free(name, ttl).await {
                Ok(lease) => return Ok(lease),
                Err(error) => error,
            };
            if error.code == ErrorCode::VersionConflict {
                // Somebody was quicker: etcd is well.
                failures = 0;
                backoff.reset();
                continue;
            }
            failures += 1;
            if failures == FAILURES || !error.is_retryable() {
                return Err(error);
            }
            sleep(backoff.next_delay()).await;
        }
    }

    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Lease> {
        let claim = Claim {
            store: self.store.clone(),
            key: keys::lock(name),
            value: self.holder.clone(),
            ttl,
            loss: Loss::WhenUnconfirmed,
        };
        let held = claim.make(Take::IfFree).await;
        held.map_err(|error| match error.code {
            ErrorCode::VersionConflict => taken("Somebody holds this lock."),
            _ => error,
        })
    }
}

impl EtcdCoord {
    async fn take_when_free(&self, name: &str, ttl: Duration) -> Result<Lease> {
        self.wait_until_free(name).await?;
        self.try_acquire(name, ttl).await
    }

    async fn wait_until_free(&self, name: &str) -> Result<()> {
        let key = keys::lock(name);
        loop {
            let (owner, at) = self.store.owner(&key).await?;
            if owner.is_none() {
                return Ok(());
            }
            let mut stream = self.store.watch(&key, false, at + 1).await?;
            let freed = async {
                loop {
                    let told = next(&mut stream).await?;
                    let mut events = told.events().iter();
                    if events.any(|event| event.event_type() == EventType::Delete) {
                        return Ok(());
                    }
                }
            };
            if let Ok(outcome) = timeout(LOOK, freed).await {
                return outcome;
            }
        }
    }
}
