//! [`Locks`] in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::embedded::coord::MemoryCoord;
use crate::port::coord::{Lease, Locks};

/// One semaphore per name that somebody holds or waits for.
#[derive(Default)]
pub(super) struct LockTable(Mutex<HashMap<String, Arc<Semaphore>>>);

impl LockTable {
    fn semaphore(&self, name: &str) -> Arc<Semaphore> {
        let mut table = self.0.lock();
        Arc::clone(
            table
                .entry_ref(name)
                .or_insert_with(|| Arc::new(Semaphore::new(1))),
        )
    }

    /// Drops the semaphore when only the table knows it.
    fn forget_unused(&self, name: &str) {
        let mut table = self.0.lock();
        if table
            .get(name)
            .is_some_and(|semaphore| Arc::strong_count(semaphore) == 1)
        {
            table.remove(name);
        }
    }
}

/// Cleans up behind callers that stop waiting.
struct Interest<'a> {
    table: &'a LockTable,
    name: &'a str,
    semaphore: Option<Arc<Semaphore>>,
}

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        self.semaphore.take();
        self.table.forget_unused(self.name);
    }
}

impl MemoryCoord {
    fn locked(&self, name: &str, permit: OwnedSemaphorePermit) -> Lease {
        let (table, name) = (Arc::clone(&self.locks), name.to_owned());
        self.leases.grant(move || {
            drop(permit);
            table.forget_unused(&name);
        })
    }
}

#[async_trait]
impl Locks for MemoryCoord {
    async fn acquire(&self, name: &str, _ttl: Duration) -> Result<Lease> {
        let semaphore = self.locks.semaphore(name);
        let interest = Interest {
            table: &self.locks,
            name,
            semaphore: Some(Arc::clone(&semaphore)),
        };
        let permit = semaphore
            .acquire_owned()
            .await
            .map_err(|_| Error::from(ErrorCode::ServiceUnavailable))?;
        let lease = self.locked(name, permit);
        drop(interest);
        Ok(lease)
    }

    async fn try_acquire(&self, name: &str, _ttl: Duration) -> Result<Lease> {
        match self.locks.semaphore(name).try_acquire_owned() {
            Ok(permit) => Ok(self.locked(name, permit)),
            Err(_) => Err(Error::new(
                ErrorCode::VersionConflict,
                "Somebody else holds this lock.",
            )),
        }
    }
}
