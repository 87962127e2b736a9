//! Retrying with exponential back-off and full jitter.

use std::future::Future;
use std::time::Duration;

use gochat_core::error::Error;
use rand::Rng as _;

/// Delays between attempts: doubling from `first` up to `max`, each with full jitter
/// (uniform in half to whole), see <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// Delays from `first` up to `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self {
            next: first,
            first,
            max,
        }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

impl Default for Backoff {
    /// 100 ms to 5 s, the contract's figures.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }
}

/// Runs an *idempotent* call up to `attempts` times while its error says a retry helps.
///
/// # Errors
/// The last error once the attempts are used up, or the first one a retry can't mend.
pub async fn with_retry<T, F, Fut>(attempts: u32, mut call: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::default();
    let mut left = attempts.max(1);
    loop {
        left -= 1;
        match call().await {
            Err(e) if e.is_retryable() && left > 0 => {
                tokio::time::sleep(backoff.next_delay()).await
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gochat_core::error::ErrorCode;

    #[tokio::test(start_paused = true)]
    async fn a_retryable_error_is_tried_again_and_a_refusal_is_not() {
        let mut calls = 0;
        let ok = with_retry(3, || {
            calls += 1;
            let n = calls;
            async move {
                if n < 3 {
                    Err(ErrorCode::ServiceUnavailable.into())
                } else {
                    Ok(n)
                }
            }
        });
        assert_eq!(ok.await, Ok(3));

        let mut calls = 0;
        let refused: Result<(), _> = with_retry(3, || {
            calls += 1;
            async { Err(ErrorCode::Forbidden.into()) }
        })
        .await;
        assert!(refused.is_err());
        assert_eq!(calls, 1);
    }

    #[test]
    fn delays_stay_within_their_bounds() {
        let mut backoff = Backoff::default();
        for _ in 0..50 {
            let d = backoff.next_delay();
            assert!(d >= Duration::from_millis(50) && d <= Duration::from_secs(5));
        }
    }
}
