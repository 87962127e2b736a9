//! [`InstanceIds`] on etcd.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};

use super::claims::{Claim, Loss};
use super::store::Take;
use super::{EtcdCoord, keys, taken};
use crate::port::coord::{INSTANCE_IDS, InstanceId, InstanceIds, Lease};

impl EtcdCoord {
    async fn claim_id(&self, service: &str, id: u16, ttl: Duration) -> Result<Lease> {
        let claim = Claim {
            store: self.store.clone(),
            key: keys::id(service, id),
            value: self.holder.clone(),
            ttl,
            loss: Loss::WhenUnconfirmed,
        };
        claim.make(Take::IfFree).await
    }

    async fn used(&self, service: &str) -> Result<BTreeSet<u16>> {
        let prefix = keys::ids(service);
        let (entries, _) = self.store.list(&prefix).await?;
        let ids = entries.keys().filter_map(|key| key.strip_prefix(&prefix));
        Ok(ids.filter_map(|id| id.parse().ok()).collect())
    }
}

#[async_trait]
impl InstanceIds for EtcdCoord {
    async fn acquire(&self, service: &str, ttl: Duration) -> Result<InstanceId> {
        let used = self.used(service).await?;
        for id in INSTANCE_IDS.filter(|id| !used.contains(id)) {
            match self.claim_id(service, id, ttl).await {
                Ok(lease) => return Ok(InstanceId { id, lease }),
                // Somebody was quicker.
                Err(error) if error.code == ErrorCode::VersionConflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorCode::ServiceUnavailable,
            "All instance ids of this service are taken.",
        ))
    }

    async fn acquire_exact(&self, service: &str, id: u16, ttl: Duration) -> Result<InstanceId> {
        if !INSTANCE_IDS.contains(&id) {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "An instance id is 1 to 1023.",
            ));
        }
        match self.claim_id(service, id, ttl).await {
            Ok(lease) => Ok(InstanceId { id, lease }),
            Err(error) if error.code == ErrorCode::VersionConflict => {
                Err(taken("This instance id is taken."))
            }
            Err(error) => Err(error),
        }
    }
}
