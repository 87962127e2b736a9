//! Ids of rows and messages: a shared Snowflake generator, and the stored floor that keeps its ids
//! unique when clocks step back over a restart.

mod center;
mod floor;
mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UnixMillis;
use gochat_core::snowflake::{Lease, LeaseRules, Parts, Snowflake, SnowflakeError};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use center::CenterFloor;
pub use floor::{FloorStore, Stored};
pub use keeper::LeaseKeeper;

/// Makes ids that nobody else makes.
pub trait IdSource: Send + Sync + 'static {
    /// The next id; larger than all this source made before.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` while no time is leased for ids, or once the instance number was lost.
    fn next_id(&self) -> Result<u64>;
}

/// A wall clock: Unix time in milliseconds. Tests pass one that steps.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Snowflakes of one instance number. One generator per number and process: services that
/// share a number share the generator.
pub struct SnowflakeIds {
    ids: Mutex<Snowflake>,
    rules: LeaseRules,
    clock: Clock,
    lost: CancellationToken,
    /// Ids are made no more.
    ended: AtomicBool,
    /// `None`: the generator leases time to itself, and is unique within this process only.
    wake: Option<Arc<Notify>>,
}

/// How often leased time is waited for before the caller is told to come back.
const TRIES: u32 = 20;

impl SnowflakeIds {
    /// A generator for this instance number without a stored floor: its ids are unique within this
    /// process, for tests and examples. It stops when `lost` is cancelled: see
    /// [`Lease::lost_token`](crate::port::coord::Lease::lost_token).
    ///
    /// # Errors
    /// `INVALID_PARAMS` for numbers above 1023.
    pub fn new(instance: u16, lost: CancellationToken) -> Result<Self> {
        let (clock, rules) = (system_clock(), LeaseRules::default());
        let ids = Self::unleased(instance, lost, clock, rules, None)?;
        let now = now_ms();
        if let Some(lease) = ids.rules.first(None, now) {
            ids.ids.lock().grant(lease);
        }
        Ok(ids)
    }

    fn unleased(
        instance: u16,
        lost: CancellationToken,
        clock: Clock,
        rules: LeaseRules,
        wake: Option<Arc<Notify>>,
    ) -> Result<Self> {
        let ids = Snowflake::new(instance).ok_or(Error::new(
            ErrorCode::InvalidParams,
            "An instance number is below 1024.",
        ))?;
        Ok(Self {
            ids: Mutex::new(ids),
            rules,
            clock,
            lost,
            ended: AtomicBool::new(false),
            wake,
        })
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// One id; renews the lease, or asks for that, when half of it is used.
    fn make(&self) -> std::result::Result<u64, SnowflakeError> {
        let now = (self.clock)();
        let mut ids = self.ids.lock();
        if let Some(until) = ids.due(&self.rules, now) {
            match &self.wake {
                Some(wake) => wake.notify_one(),
                None => {
                    let from = ids.until();
                    ids.grant(Lease { from, until });
                }
            }
        }
        ids.next(now)
    }
}

impl IdSource for SnowflakeIds {
    fn next_id(&self) -> Result<u64> {
        for _ in 0..TRIES {
            if self.lost.is_cancelled() || self.has_ended() {
                break;
            }
            match self.make() {
                Ok(id) => return Ok(id),
                // Millions of ids in a second, or a floor that can't be stored.
                Err(SnowflakeError::NoLease) => std::thread::sleep(Duration::from_micros(200)),
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

/// The first connection id of a run of a gateway: greater than those of all earlier runs under the
/// same floor, even if the clock stepped back. Milliseconds leave room for a million connections
/// each. When no id can be made, the clock has to do.
pub fn first_conn_id(ids: &dyn IdSource) -> u64 {
    let at = match ids.next_id() {
        Ok(id) => Parts::of(id).at,
        Err(error) => {
            tracing::warn!(%error, "connection ids begin at the time of the clock");
            now_ms()
        }
    };
    at << 20
}

/// Unix time in milliseconds, from the system clock.
pub fn now_ms() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The system's wall clock.
pub fn system_clock() -> Clock {
    Arc::new(now_ms)
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
