//! Coordination that may not be there yet: a process starts without etcd and has it as soon as it answers.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use tokio::sync::watch;

use super::Coordination;
use crate::port::coord::{
    ConfigCenter, ConfigState, Instance, InstanceId, InstanceIds, Instances, Lease, Locks,
    Registry, Versioned,
};

/// Answers `SERVICE_UNAVAILABLE` until [`set`](Self::set), then whatever was set answers. Cheap to clone.
pub(super) struct Late<T> {
    there: Arc<OnceLock<T>>,
    told: watch::Sender<bool>,
}

impl<T> Clone for Late<T> {
    fn clone(&self) -> Self {
        Self {
            there: self.there.clone(),
            told: self.told.clone(),
        }
    }
}

impl<T: Coordination> Late<T> {
    /// Nothing is there yet.
    pub(super) fn new() -> Self {
        Self {
            there: Arc::default(),
            told: watch::Sender::new(false),
        }
    }

    /// It is there. Only the first one counts.
    pub(super) fn set(&self, it: T) {
        if self.there.set(it).is_ok() {
            self.told.send_replace(true);
        }
    }

    /// Waits until it is there, at most so long.
    pub(super) async fn wait(&self, most: Duration) -> bool {
        let mut told = self.told.subscribe();
        let there = told.wait_for(|there| *there);
        tokio::time::timeout(most, there).await.is_ok()
    }

    fn it(&self) -> Result<&T> {
        self.there.get().ok_or_else(|| {
            Error::new(
                ErrorCode::ServiceUnavailable,
                "etcd was not there yet since the start.",
            )
        })
    }
}

#[async_trait]
impl<T: Coordination> Registry for Late<T> {
    async fn register(&self, instance: Instance, ttl: Duration) -> Result<Lease> {
        self.it()?.register(instance, ttl).await
    }

    async fn discover(&self, service: &str) -> Result<Instances> {
        self.it()?.discover(service).await
    }

    async fn watch(&self, service: &str) -> Result<watch::Receiver<Instances>> {
        Registry::watch(self.it()?, service).await
    }
}

#[async_trait]
impl<T: Coordination> InstanceIds for Late<T> {
    async fn acquire(&self, service: &str, ttl: Duration) -> Result<InstanceId> {
        InstanceIds::acquire(self.it()?, service, ttl).await
    }

    async fn acquire_exact(&self, service: &str, id: u16, ttl: Duration) -> Result<InstanceId> {
        self.it()?.acquire_exact(service, id, ttl).await
    }
}

#[async_trait]
impl<T: Coordination> Locks for Late<T> {
    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Lease> {
        Locks::acquire(self.it()?, name, ttl).await
    }

    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Lease> {
        self.it()?.try_acquire(name, ttl).await
    }
}

#[async_trait]
impl<T: Coordination> ConfigCenter for Late<T> {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        ConfigCenter::get(self.it()?, key).await
    }

    async fn set(&self, key: &str, value: &str) -> Result<u64> {
        ConfigCenter::set(self.it()?, key, value).await
    }

    async fn compare_and_set(&self, key: &str, value: &str, expected: u64) -> Result<u64> {
        self.it()?.compare_and_set(key, value, expected).await
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.it()?.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<ConfigState> {
        self.it()?.list(prefix).await
    }

    async fn watch(&self, prefix: &str) -> Result<watch::Receiver<ConfigState>> {
        ConfigCenter::watch(self.it()?, prefix).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::coord::MemoryCoord;

    #[tokio::test]
    async fn calls_say_come_back_until_it_is_there() {
        let late = Late::<MemoryCoord>::new();
        let refused = late.discover("im-repo").await.unwrap_err();
        assert!(refused.is_retryable());
        assert!(!late.wait(Duration::ZERO).await);
        late.set(MemoryCoord::new());
        assert!(late.wait(Duration::ZERO).await);
        assert!(late.discover("im-repo").await.unwrap().is_empty());
    }
}
