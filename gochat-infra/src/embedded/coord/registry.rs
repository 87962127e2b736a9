//! [`Registry`] in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::Result;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::embedded::coord::MemoryCoord;
use crate::embedded::coord::state::Watchers;
use crate::port::coord::{Instance, Instances, Lease, Registry};

struct Entry {
    instance: Instance,
    lost: CancellationToken,
    /// Tells a re-registration from the entry it replaced.
    turn: u64,
}

#[derive(Default)]
struct Services {
    by_name: HashMap<String, BTreeMap<String, Entry>>,
    turns: u64,
}

/// Instances by service.
#[derive(Default)]
pub(super) struct Directory {
    services: Mutex<Services>,
    watchers: Watchers<Instances>,
}

impl Directory {
    fn instances(&self, service: &str) -> Instances {
        let services = self.services.lock();
        let entries = services
            .by_name
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::values);
        entries.map(|entry| entry.instance.clone()).collect()
    }

    fn publish(&self, service: &str) {
        self.watchers
            .publish(|name| name == service, |name| self.instances(name));
    }

    fn insert(&self, instance: Instance, lost: CancellationToken) -> u64 {
        let mut services = self.services.lock();
        services.turns += 1;
        let turn = services.turns;
        let entries = services.by_name.entry(instance.name.clone()).or_default();
        let entry = Entry {
            lost,
            turn,
            instance,
        };
        if let Some(replaced) = entries.insert(entry.instance.id.clone(), entry) {
            replaced.lost.cancel();
        }
        turn
    }

    fn remove(&self, service: &str, id: &str, turn: u64) {
        {
            let mut services = self.services.lock();
            let Some(entries) = services.by_name.get_mut(service) else {
                return;
            };
            if entries.get(id).is_none_or(|entry| entry.turn != turn) {
                return;
            }
            entries.remove(id);
        }
        self.publish(service);
    }
}

#[async_trait]
impl Registry for MemoryCoord {
    async fn register(&self, instance: Instance, _ttl: Duration) -> Result<Lease> {
        let instance = instance.validated()?;
        let (service, id) = (instance.name.clone(), instance.id.clone());
        let lost = CancellationToken::new();
        let turn = self.directory.insert(instance, lost.clone());
        self.directory.publish(&service);
        let directory = Arc::clone(&self.directory);
        Ok(self
            .leases
            .grant_with(lost, move || directory.remove(&service, &id, turn)))
    }

    async fn discover(&self, service: &str) -> Result<Instances> {
        Ok(self.directory.instances(service))
    }

    async fn watch(&self, service: &str) -> Result<watch::Receiver<Instances>> {
        Ok(self
            .directory
            .watchers
            .join(service, || self.directory.instances(service)))
    }
}
