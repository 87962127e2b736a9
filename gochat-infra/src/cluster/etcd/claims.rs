//! Makes claims: a key on a lease.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keeper::{Keeper, end_lease};
use super::store::{Store, Take, Taken};
use super::taken;
use crate::port::coord::{Lease, Release};

/// When a claim counts as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// When somebody else has the key, or its TTL went by without a confirmed renewal.
    WhenUnconfirmed,
    /// Only when somebody else has the key.
    WhenReplaced,
}

/// What is claimed.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) store: Store,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) ttl: Duration,
    pub(super) loss: Loss,
}

impl Claim {
    /// Makes the claim and keeps it.
    ///
    /// # Errors
    /// `VERSION_CONFLICT` when somebody has it.
    pub(super) async fn make(self, how: Take) -> Result<Lease> {
        // On its own: a caller that goes away in between leaves no claim behind, because the lease is dropped then.
        let made = tokio::spawn(self.make_on_its_own(how));
        made.await
            .map_err(|_| Error::new(ErrorCode::Internal, "the claim was not finished"))?
    }

    async fn make_on_its_own(mut self, how: Take) -> Result<Lease> {
        let lease = new_lease_id();
        // From before it was sent: etcd counts from later on.
        let confirmed = Instant::now();
        self.ttl = self.store.grant(lease, self.ttl).await?;
        let outcome = match self.store.take(&self.key, &self.value, lease, how).await {
            Ok(Taken::Done) => {
                let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
                let keeper = Keeper::new(self, lease, confirmed, lost.clone(), stop.clone());
                let task = tokio::spawn(keeper.run());
                return Ok(Lease::new(lost, Box::new(Held { stop, task })));
            }
            Ok(Taken::By(_)) => Err(taken("Somebody else has it.")),
            Err(error) => Err(error),
        };
        // Whatever became of the key, it goes with the lease.
        tokio::spawn(end_lease(self.store, lease));
        outcome
    }
}

/// An id nobody else chose: 63 bits by lot.
pub(super) fn new_lease_id() -> i64 {
    (rand::random::<i64>() & i64::MAX).max(1)
}

/// A claim in the hands of its holder.
struct Held {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Release for Held {
    fn release(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.stop.cancel();
        Box::pin(async move {
            // A task that was aborted has nothing left to give back.
            let _ = self.task.await;
        })
    }
}
