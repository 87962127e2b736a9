//! The number of this instance: worker id of its Snowflakes, part of its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::snowflake::LeaseRules;
use tokio_util::sync::CancellationToken;

use crate::ids::{FloorStore, IdSource, LeaseKeeper, SnowflakeIds, system_clock};
use crate::port::coord::{InstanceId, InstanceIds, Lease};
use crate::rpc::Backoff;
use crate::shell::Health;

/// Longest wait for the number to be given back at the end.
const RELEASE: Duration = Duration::from_secs(2);

/// Ids under a number that is ours as long as its lease is.
///
/// When the lease is lost, no more ids are made, until the same number could be claimed again. The
/// generator stays the same all the time, and its floor is stored, so it never repeats itself, nor
/// what an earlier process made.
pub struct LeasedIds {
    ids: Arc<SnowflakeIds>,
    floor: Arc<dyn FloorStore>,
    held: AtomicBool,
}

/// A generator for a number, and what keeps time leased for it.
///
/// # Errors
/// `INVALID_PARAMS` for a number out of range.
pub(super) async fn leased(
    number: u16,
    floor: Arc<dyn FloorStore>,
    rules: LeaseRules,
) -> Result<(Arc<LeasedIds>, LeaseKeeper)> {
    let lost = CancellationToken::new();
    let (ids, keeper) =
        SnowflakeIds::leased(number, lost, floor.clone(), system_clock(), rules).await?;
    let held = AtomicBool::new(true);
    Ok((Arc::new(LeasedIds { ids, floor, held }), keeper))
}

impl IdSource for LeasedIds {
    fn next_id(&self) -> Result<u64> {
        if self.held.load(Ordering::Acquire) {
            return self.ids.next_id();
        }
        Err(Error::new(
            ErrorCode::ServiceUnavailable,
            "No ids can be made right now; try again.",
        ))
    }
}

/// The number, and what is done with it.
#[derive(Clone)]
pub struct Number {
    /// The number.
    pub id: u16,
    /// Ids made with it.
    pub ids: Arc<dyn IdSource>,
}

/// The task that keeps a claimed number: it ends after `stop`, when the number is given back.
pub(super) fn kept(
    claimed: InstanceId,
    ids: Arc<LeasedIds>,
    from: Arc<dyn InstanceIds>,
    service: &'static str,
    ttl: Duration,
    health: Health,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let InstanceId { id, lease } = claimed;
    let keeper = Keeper {
        ids,
        id,
        from,
        service,
        ttl,
        health,
    };
    keeper.run(lease, stop)
}

struct Keeper {
    ids: Arc<LeasedIds>,
    id: u16,
    from: Arc<dyn InstanceIds>,
    service: &'static str,
    ttl: Duration,
    health: Health,
}

impl Keeper {
    async fn run(self, mut lease: Lease, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    let ended = self.ids.ids.end(&*self.ids.floor);
                    let _ = tokio::time::timeout(RELEASE, ended).await;
                    let _ = tokio::time::timeout(RELEASE, lease.release()).await;
                    return;
                }
                () = lease.lost() => {}
            }
            self.ids.held.store(false, Ordering::Release);
            tracing::error!(
                number = self.id,
                "the instance number was lost; no ids are made until it is ours again"
            );
            let again = tokio::select! {
                () = stop.cancelled() => return,
                again = self.claim_again() => again,
            };
            let Some(again) = again else { return };
            lease = again;
            self.ids.held.store(true, Ordering::Release);
            tracing::info!(number = self.id, "the instance number is ours again");
        }
    }

    /// The same number again; `None` when another instance has it: this one must start anew, under another name.
    async fn claim_again(&self) -> Option<Lease> {
        let mut backoff = Backoff::default();
        loop {
            match self
                .from
                .acquire_exact(self.service, self.id, self.ttl)
                .await
            {
                Ok(claimed) => return Some(claimed.lease),
                Err(error) if error.code == ErrorCode::VersionConflict => {
                    self.health
                        .fail(format!("instance number {} was taken by another", self.id));
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, number = self.id, "the instance number can't be claimed again yet");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::coord::MemoryCoord;
    use crate::ids::CenterFloor;
    use crate::port::coord::{ConfigCenter, Release};

    const TTL: Duration = Duration::from_secs(30);

    struct Nothing;

    impl Release for Nothing {
        fn release(self: Box<Self>) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::ready(()))
        }
    }

    /// Ids of a number whose floor is in `coord`.
    async fn ids(coord: &MemoryCoord, number: u16) -> Arc<LeasedIds> {
        let center: Arc<dyn ConfigCenter> = Arc::new(coord.clone());
        let floor = CenterFloor::new(center, "s", &number.to_string());
        let (ids, keeper) = leased(number, Arc::new(floor), LeaseRules::default())
            .await
            .unwrap();
        tokio::spawn(keeper.run());
        ids
    }

    fn claimed(id: u16) -> (InstanceId, CancellationToken) {
        let lost = CancellationToken::new();
        let lease = Lease::new(lost.clone(), Box::new(Nothing));
        (InstanceId { id, lease }, lost)
    }

    #[tokio::test]
    async fn a_lost_number_makes_no_ids_until_it_is_claimed_again() {
        let coord = MemoryCoord::new();
        let other = coord.acquire_exact("s", 5, TTL).await.unwrap();
        let (claimed, lost) = claimed(5);
        let health = Health::new("s");
        let stop = CancellationToken::new();
        let from: Arc<dyn InstanceIds> = Arc::new(coord.clone());
        let ids = ids(&coord, 5).await;
        let keeper = kept(claimed, ids.clone(), from, "s", TTL, health.clone(), stop);
        assert!(ids.next_id().is_ok());
        lost.cancel();
        // Another holds the number: this instance is finished.
        keeper.await;
        assert!(ids.next_id().unwrap_err().is_retryable());
        assert!(!health.is_alive());
        drop(other);
    }

    #[tokio::test]
    async fn a_number_that_is_still_free_is_taken_back() {
        let coord = MemoryCoord::new();
        let (claimed, lost) = claimed(7);
        let health = Health::new("s");
        let stop = CancellationToken::new();
        let from: Arc<dyn InstanceIds> = Arc::new(coord.clone());
        let ids = ids(&coord, 7).await;
        let (told, known) = (stop.clone(), health.clone());
        let keeper = kept(claimed, ids.clone(), from, "s", TTL, known, told);
        let before = ids.next_id().unwrap();
        lost.cancel();
        let keeper = tokio::spawn(keeper);
        let after = loop {
            match ids.next_id() {
                Ok(id) if coord.acquire_exact("s", 7, TTL).await.is_err() => break id,
                _ => tokio::task::yield_now().await,
            }
        };
        assert!(after > before && health.is_alive());
        stop.cancel();
        keeper.await.unwrap();
        assert!(
            coord.acquire_exact("s", 7, TTL).await.is_ok(),
            "given back at the end"
        );
    }
}
