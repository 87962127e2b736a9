//! [`InstanceIds`] in this process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::embedded::coord::MemoryCoord;
use crate::port::coord::{INSTANCE_IDS, InstanceId, InstanceIds};

/// Numbers in use by service.
#[derive(Default)]
pub(super) struct Numbers(Mutex<HashMap<String, BTreeSet<u16>>>);

impl Numbers {
    fn take_smallest(&self, service: &str) -> Option<u16> {
        let mut numbers = self.0.lock();
        let used = numbers.entry_ref(service).or_default();
        let id = INSTANCE_IDS.into_iter().find(|id| !used.contains(id))?;
        used.insert(id);
        Some(id)
    }

    fn take(&self, service: &str, id: u16) -> bool {
        self.0.lock().entry_ref(service).or_default().insert(id)
    }

    fn give_back(&self, service: &str, id: u16) {
        let mut numbers = self.0.lock();
        if let Some(used) = numbers.get_mut(service) {
            used.remove(&id);
        }
    }
}

impl MemoryCoord {
    fn numbered(&self, service: &str, id: u16) -> InstanceId {
        let (ids, service) = (Arc::clone(&self.ids), service.to_owned());
        InstanceId {
            id,
            lease: self.leases.grant(move || ids.give_back(&service, id)),
        }
    }
}

#[async_trait]
impl InstanceIds for MemoryCoord {
    async fn acquire(&self, service: &str, _ttl: Duration) -> Result<InstanceId> {
        let id = self.ids.take_smallest(service).ok_or(Error::new(
            ErrorCode::ServiceUnavailable,
            "All instance ids of this service are taken.",
        ))?;
        Ok(self.numbered(service, id))
    }

    async fn acquire_exact(&self, service: &str, id: u16, _ttl: Duration) -> Result<InstanceId> {
        if !INSTANCE_IDS.contains(&id) {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "An instance id is 1 to 1023.",
            ));
        }
        if !self.ids.take(service, id) {
            return Err(Error::new(
                ErrorCode::VersionConflict,
                "This instance id is taken.",
            ));
        }
        Ok(self.numbered(service, id))
    }
}
