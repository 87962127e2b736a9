//! [`ConfigCenter`] in this process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::embedded::coord::MemoryCoord;
use crate::embedded::coord::state::Watchers;
use crate::port::coord::{ConfigCenter, ConfigState, Versioned};

#[derive(Default)]
struct Store {
    values: BTreeMap<String, Versioned>,
    version: u64,
}

/// Settings by key.
#[derive(Default)]
pub(super) struct Settings {
    store: Mutex<Store>,
    watchers: Watchers<ConfigState>,
}

impl Settings {
    fn below(&self, prefix: &str) -> ConfigState {
        let store = self.store.lock();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let below = store
            .values
            .range::<str, _>(from)
            .take_while(|(key, _)| key.starts_with(prefix));
        Arc::new(
            below
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        )
    }

    fn publish(&self, key: &str) {
        self.watchers.publish(
            |prefix| key.starts_with(prefix),
            |prefix| self.below(prefix),
        );
    }

    fn put(&self, key: &str, value: &str, expected: Option<u64>) -> Result<u64> {
        let version = {
            let mut store = self.store.lock();
            let standing = store.values.get(key).map_or(0, |v| v.version);
            if expected.is_some_and(|expected| expected != standing) {
                return Err(Error::from(ErrorCode::VersionConflict));
            }
            store.version += 1;
            let version = store.version;
            store.values.insert(
                key.to_owned(),
                Versioned {
                    value: value.to_owned(),
                    version,
                },
            );
            version
        };
        self.publish(key);
        Ok(version)
    }
}

#[async_trait]
impl ConfigCenter for MemoryCoord {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        Ok(self.settings.store.lock().values.get(key).cloned())
    }

    async fn set(&self, key: &str, value: &str) -> Result<u64> {
        self.settings.put(key, value, None)
    }

    async fn compare_and_set(&self, key: &str, value: &str, expected: u64) -> Result<u64> {
        self.settings.put(key, value, Some(expected))
    }

    async fn delete(&self, key: &str) -> Result<bool> {
        let removed = {
            let mut store = self.settings.store.lock();
            store.version += 1;
            store.values.remove(key).is_some()
        };
        if removed {
            self.settings.publish(key);
        }
        Ok(removed)
    }

    async fn list(&self, prefix: &str) -> Result<ConfigState> {
        Ok(self.settings.below(prefix))
    }

    async fn watch(&self, prefix: &str) -> Result<watch::Receiver<ConfigState>> {
        Ok(self
            .settings
            .watchers
            .join(prefix, || self.settings.below(prefix)))
    }
}
