//! [`Registry`] on etcd.

use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use tokio::sync::watch;

use super::claims::{Claim, Loss};
use super::mirror::mirror;
use super::store::{Entries, Take};
use super::{EtcdCoord, keys};
use crate::port::coord::{Instance, Instances, Lease, Registry};

#[async_trait]
impl Registry for EtcdCoord {
    async fn register(&self, instance: Instance, ttl: Duration) -> Result<Lease> {
        let instance = instance.validated()?;
        let value = serde_json::to_string(&instance).map_err(|error| {
            Error::new(ErrorCode::InvalidParams, format!("not an entry: {error}"))
        })?;
        let claim = Claim {
            store: self.store.clone(),
            key: keys::instance(&instance.name, &instance.id),
            value,
            ttl,
            loss: Loss::WhenReplaced,
        };
        claim.make(Take::Always).await
    }

    async fn discover(&self, service: &str) -> Result<Instances> {
        let (entries, _) = self.store.list(&keys::service(service)).await?;
        Ok(instances(&entries))
    }

    async fn watch(&self, service: &str) -> Result<watch::Receiver<Instances>> {
        let grace = Some(self.store.registry_grace);
        mirror(self.store.clone(), keys::service(service), grace, instances).await
    }
}

fn instances(entries: &Entries) -> Instances {
    let mut found: Vec<Instance> = entries
        .iter()
        .filter_map(|(key, entry)| {
            serde_json::from_str(&entry.value)
                .map_err(|error| tracing::warn!(key, %error, "not an instance"))
                .ok()
        })
        .collect();
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.into()
}
