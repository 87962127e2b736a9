//! Ids of rows and messages: a shared Snowflake generator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UnixMillis;
use gochat_core::snowflake::{Snowflake, SnowflakeError};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Makes ids that nobody else makes.
pub trait IdSource: Send + Sync + 'static {
    /// The next id; larger than all this source made before.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` while the clock is behind, or once the instance number was lost.
    fn next_id(&self) -> Result<u64>;
}

/// Snowflakes of one instance number. One generator per number and process: services that
/// share a number share the generator.
pub struct SnowflakeIds {
    ids: Mutex<Snowflake>,
    lost: CancellationToken,
}

/// How often a used-up millisecond is waited for before the caller is told to come back.
const TRIES: u32 = 20;

impl SnowflakeIds {
    /// A generator for this instance number, which stops when `lost` is cancelled: see
    /// [`Lease::lost_token`](crate::port::coord::Lease::lost_token).
    ///
    /// # Errors
    /// `INVALID_PARAMS` for numbers above 1023.
    pub fn new(instance: u16, lost: CancellationToken) -> Result<Self> {
        let ids = Snowflake::new(instance).ok_or(Error::new(
            ErrorCode::InvalidParams,
            "An instance number is below 1024.",
        ))?;
        Ok(Self {
            ids: Mutex::new(ids),
            lost,
        })
    }
}

impl IdSource for SnowflakeIds {
    fn next_id(&self) -> Result<u64> {
        for _ in 0..TRIES {
            if self.lost.is_cancelled() {
                break;
            }
            let made = self.ids.lock().next(now_ms());
            match made {
                Ok(id) => return Ok(id),
                // Twenty million ids a second: a pause that nobody sees in practice.
                Err(SnowflakeError::Exhausted) => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => {
                    tracing::error!(%error, "no ids can be made");
                    break;
                }
            }
        }
        Err(Error::new(
            ErrorCode::ServiceUnavailable,
            "No ids can be made right now; try again.",
        ))
    }
}

/// Unix time in milliseconds, from the system clock.
pub fn now_ms() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_until_the_instance_number_is_lost() {
        let lost = CancellationToken::new();
        let ids = SnowflakeIds::new(1, lost.clone()).unwrap();
        let made: Vec<_> = (0..100).map(|_| ids.next_id().unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        lost.cancel();
        assert!(ids.next_id().unwrap_err().is_retryable());
        assert!(SnowflakeIds::new(1024, CancellationToken::new()).is_err());
    }
}
