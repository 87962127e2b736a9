//! The buckets that all gateways share: im-repo keeps them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_proto::im::repo::v1::AllowRequest;

use super::Refused;
use crate::backend::Backend;
use crate::metrics;

/// The way to the shared buckets.
#[derive(Default)]
pub(super) struct Shared {
    /// Whether the last question found no answer: the log tells of changes only.
    away: AtomicBool,
}

impl Shared {
    /// Takes a token from a shared bucket. Without an answer within `wait` the request passes: the
    /// bucket of this process, which let it through before, is the verdict. Strangers then have one
    /// budget per gateway, and nobody is locked out.
    pub(super) async fn judge(
        &self,
        backend: &Backend,
        trace: &str,
        question: AllowRequest,
        wait: Duration,
    ) -> Result<(), Refused> {
        // Dropped and not sent with a deadline: a call that is cut off so early says nothing about the instance.
        let asked = tokio::time::timeout(wait, backend.allow(trace, question));
        let answer = asked.await.unwrap_or(Err(ErrorCode::Timeout.into()));
        match answer {
            Ok(answer) => {
                if self.away.swap(false, Ordering::Relaxed) {
                    tracing::info!("limits at the doors are shared again");
                }
                if answer.allowed {
                    return Ok(());
                }
                Err(Refused {
                    retry_after_ms: u64::try_from(answer.retry_after_ms).unwrap_or(0),
                })
            }
            Err(error) => {
                self.bridge(&error);
                Ok(())
            }
        }
    }

    fn bridge(&self, error: &Error) {
        metrics::add(metrics::RATES_BRIDGED, 1);
        if !self.away.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "limits at the doors are judged by this gateway alone until im-repo answers");
        }
    }
}

#[cfg(test)]
mod tests;
