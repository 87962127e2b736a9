//! Proofs that are good once: what was used is remembered until the proof would have expired.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gochat_core::error::Result;
use gochat_infra::embedded::counter::MemoryOnce;
use gochat_infra::port::counter::{Claim, Once};

/// Proofs that one instance remembers; beyond them a proof is refused with `SERVICE_UNAVAILABLE`,
/// and none is forgotten early.
const REMEMBERED: usize = 20_000;

/// What one instance remembers, in front of what all of them share.
pub(crate) struct Proofs {
    own: MemoryOnce,
    /// Whether the last question found no answer: the log tells of changes only.
    away: AtomicBool,
}

impl Proofs {
    pub(crate) fn new() -> Self {
        Self {
            own: MemoryOnce::new(REMEMBERED),
            away: AtomicBool::new(false),
        }
    }

    /// Uses a proof up; whether this is its first use. The table of this instance is asked first,
    /// so that it bounds what reaches the shared one, which holds other claims as well. While the
    /// shared one is away, the own table decides: a proof is good once per instance then.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the table is full.
    pub(crate) async fn use_up(
        &self,
        shared: &dyn Once,
        key: &str,
        life: Duration,
    ) -> Result<bool> {
        let key = format!("proof:{key}");
        if self.own.claim(&key, Bytes::new(), life).await? != Claim::First {
            return Ok(false);
        }
        match shared.claim(&key, Bytes::new(), life).await {
            Ok(claim) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("used proofs are shared again");
                }
                Ok(claim == Claim::First)
            }
            Err(error) => {
                metrics::counter!("gochat_proofs_bridged_total").increment(1);
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "used proofs are remembered by this instance alone");
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use gochat_core::error::ErrorCode;

    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    /// A shared table that is away.
    struct Away;

    #[async_trait]
    impl Once for Away {
        async fn claim(&self, _: &str, _: Bytes, _: Duration) -> Result<Claim> {
            Err(ErrorCode::ServiceUnavailable.into())
        }
        async fn look(&self, _: &str) -> Result<Option<Claim>> {
            Err(ErrorCode::ServiceUnavailable.into())
        }
        async fn complete(&self, _: &str, _: Bytes, _: Duration) -> Result<bool> {
            Err(ErrorCode::ServiceUnavailable.into())
        }
        async fn release(&self, _: &str, _: &[u8]) -> Result<()> {
            Err(ErrorCode::ServiceUnavailable.into())
        }
        async fn clear(&self, _: &str) -> Result<()> {
            Err(ErrorCode::ServiceUnavailable.into())
        }
    }

    #[tokio::test]
    async fn a_proof_is_good_once_over_all_instances() {
        let shared = MemoryOnce::new(10);
        let (one, two) = (Proofs::new(), Proofs::new());
        assert_eq!(one.use_up(&shared, "a", LIFE).await, Ok(true));
        assert_eq!(one.use_up(&shared, "a", LIFE).await, Ok(false));
        assert_eq!(two.use_up(&shared, "a", LIFE).await, Ok(false));
        assert_eq!(two.use_up(&shared, "b", LIFE).await, Ok(true));
    }

    #[tokio::test]
    async fn an_instance_that_is_alone_still_takes_a_proof_once() {
        let alone = Proofs::new();
        assert_eq!(alone.use_up(&Away, "a", LIFE).await, Ok(true));
        assert_eq!(alone.use_up(&Away, "a", LIFE).await, Ok(false));
    }
}
