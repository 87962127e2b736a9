//! [`ConfigCenter`] on etcd.

use std::sync::Arc;

use async_trait::async_trait;
use gochat_core::error::Result;
use tokio::sync::watch;

use super::mirror::mirror;
use super::{EtcdCoord, taken};
use crate::port::coord::{ConfigCenter, ConfigState, Versioned};

#[async_trait]
impl ConfigCenter for EtcdCoord {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        self.store.get(key).await
    }

    async fn set(&self, key: &str, value: &str) -> Result<u64> {
        self.store.put(key, value).await
    }

    async fn compare_and_set(&self, key: &str, value: &str, expected: u64) -> Result<u64> {
        let written = self.store.put_if(key, value, expected).await?;
        written.ok_or_else(|| taken("The key has another version by now."))
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        self.store.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<ConfigState> {
        Ok(Arc::new(self.store.list(prefix).await?.0))
    }

    async fn watch(&self, prefix: &str) -> Result<watch::Receiver<ConfigState>> {
        let state = |entries: &_| Arc::new(Clone::clone(entries));
        mirror(self.store.clone(), prefix.to_owned(), None, state).await
    }
}
