//! Keeps a claim until it is given back or lost.

use std::time::Duration;

use gochat_core::error::{ErrorCode, Result};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, Loss, new_lease_id};
use super::sight::{self, Seen};
use super::store::{Store, Take, Taken};
use crate::rpc::Backoff;

/// Renewals come at least this often, however long the TTL: that is how soon a lease that etcd lost is noticed.
const PACE: Duration = Duration::from_secs(10);
/// Between attempts after a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// For giving a claim back.
const PATIENCE: Duration = Duration::from_secs(3);
/// Attempts to end a lease before it is left to run out.
const END_TRIES: u32 = 4;
/// Former leases of a claim that are remembered as our own.
const FORMER: usize = 8;

/// Why a claim is lost.
#[derive(Debug, Clone, Copy)]
enum Why {
    Taken,
    Unconfirmed,
}

/// Whether etcd has the claim, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held,
    /// Etcd said that the lease or the key is gone; it is being made again.
    Gone,
}

pub(super) struct Keeper {
    claim: Claim,
    /// The newest is the last one. The others are remembered in case etcd comes back from an older past.
    leases: Vec<i64>,
    /// The last one is not known to hold the key yet.
    trying: bool,
    standing: Standing,
    /// When the last confirmed renewal was sent.
    confirmed: Instant,
    next: Instant,
    lost: CancellationToken,
    stop: CancellationToken,
}

impl Keeper {
    pub(super) fn new(
        claim: Claim,
        lease: i64,
        confirmed: Instant,
        lost: CancellationToken,
        stop: CancellationToken,
    ) -> Self {
        Self {
            next: confirmed + pace(claim.ttl),
            claim,
            leases: vec![lease],
            trying: false,
            standing: Standing::Held,
            confirmed,
            lost,
            stop,
        }
    }

    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            why = self.hold() => Some(why),
        };
        let end_all = async {
            for lease in self.leases.iter().rev() {
                end_lease(self.claim.store.clone(), *lease).await;
            }
        };
        if let Some(why) = ended {
            tracing::error!(key = self.claim.key, ?why, "a claim is lost");
            self.lost.cancel();
            // It may still stand in etcd, where it keeps others out and helps nobody.
            end_all.await;
        } else if timeout(PATIENCE, end_all).await.is_err() {
            tracing::warn!(
                key = self.claim.key,
                "a claim could not be given back in time and runs out by itself"
            );
        }
    }

    /// Renews and repairs until the claim is lost.
    async fn hold(&mut self) -> Why {
        let mut sightings = sight::watch(self.claim.store.clone(), self.claim.key.clone());
        loop {
            if let Err(why) = self.step(&mut sightings).await {
                return why;
            }
        }
    }

    async fn step(&mut self, sightings: &mut mpsc::Receiver<Seen>) -> Result<(), Why> {
        let fence = self.fence();
        let until = fence.unwrap_or_else(|| self.confirmed + self.claim.ttl);
        tokio::select! {
            biased;
            () = sleep_until(until), if fence.is_some() => Err(Why::Unconfirmed),
            Some(seen) = sightings.recv() => self.judge(seen),
            () = sleep_until(self.next) => match fence {
                Some(until) => match timeout_at(until, self.work()).await {
                    Ok(worked) => worked,
                    Err(_) => Err(Why::Unconfirmed),
                },
                None => self.work().await,
            },
        }
    }

    /// When to stop without a confirmation, for claims that must.
    fn fence(&self) -> Option<Instant> {
        (self.claim.loss == Loss::WhenUnconfirmed).then(|| self.confirmed + self.claim.ttl)
    }

    fn judge(&mut self, seen: Seen) -> Result<(), Why> {
        match seen {
            Some(owner) if !self.leases.contains(&owner.lease) => Err(Why::Taken),
            Some(_) => Ok(()),
            None => {
                // Perhaps old news: making it again looks first.
                self.standing = Standing::Gone;
                self.next = Instant::now();
                Ok(())
            }
        }
    }

    async fn work(&mut self) -> Result<(), Why> {
        let sent = Instant::now();
        let worked = match self.standing {
            Standing::Held => self.renew().await,
            Standing::Gone => self.make_again().await,
        };
        match worked {
            Ok(true) => {
                self.confirmed = sent;
                self.next = sent + pace(self.claim.ttl);
                Ok(())
            }
            Ok(false) => Err(Why::Taken),
            Err(error) => {
                tracing::debug!(key = self.claim.key, %error, "a claim could not be renewed yet");
                self.next = Instant::now() + PAUSE.min(self.claim.ttl / 8);
                Ok(())
            }
        }
    }

    /// `false` when somebody else has the key.
    async fn renew(&mut self) -> Result<bool> {
        if self.claim.store.renew(self.lease()).await? {
            return Ok(true);
        }
        self.standing = Standing::Gone;
        self.make_again().await
    }

    /// Takes the key on a new lease; `false` when somebody else has it.
    async fn make_again(&mut self) -> Result<bool> {
        let (owner, _) = self.claim.store.owner(&self.claim.key).await?;
        let how = match owner {
            Some(owner) if !self.leases.contains(&owner.lease) => return Ok(false),
            // Our own, and its lease lives: nothing was lost.
            Some(owner)
                if owner.lease == self.lease() && self.claim.store.renew(owner.lease).await? =>
            {
                self.settle();
                return Ok(true);
            }
            Some(owner) => Take::Over(owner.revision),
            None => Take::IfFree,
        };
        if !self.trying {
            if self.leases.len() == FORMER {
                self.leases.remove(0);
            }
            // Remembered before it is used: should the answer get lost, the key is still known as ours.
            self.leases.push(new_lease_id());
            self.trying = true;
        }
        let lease = self.lease();
        let Claim {
            store,
            key,
            value,
            ttl,
            ..
        } = &self.claim;
        store.grant(lease, *ttl).await?;
        match store.take(key, value, lease, how).await? {
            Taken::Done => {
                tracing::warn!(key, "a claim that etcd had lost was made again");
                self.settle();
                Ok(true)
            }
            // Changed since it was looked at: look again.
            Taken::By(_) => Err(ErrorCode::VersionConflict.into()),
        }
    }

    fn settle(&mut self) {
        self.standing = Standing::Held;
        self.trying = false;
    }

    fn lease(&self) -> i64 {
        self.leases.last().copied().unwrap_or_default()
    }
}

fn pace(ttl: Duration) -> Duration {
    (ttl / 3).min(PACE)
}

/// Ends a lease and with it its keys. When etcd can't be reached, the lease runs out by itself.
pub(super) async fn end_lease(store: Store, lease: i64) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    for left in (0..END_TRIES).rev() {
        match store.revoke(lease).await {
            Ok(()) => return,
            Err(error) if left == 0 => {
                tracing::warn!(%error, "a lease could not be ended and runs out by itself");
            }
            Err(_) => sleep(backoff.next_delay()).await,
        }
    }
}
