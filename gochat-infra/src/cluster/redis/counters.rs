//! [`Counters`] on Redis.

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};

use super::client::{Redis, read};
use super::script::TAKE_NUMBERS;
use crate::port::counter::Counters;

/// Scripts compute in doubles, which are exact up to here. No counter gets there by counting.
const FLOOR_MAX: u64 = 1 << 52;

/// Counters that live as long as Redis keeps its data.
pub struct RedisCounters {
    redis: Redis,
}

impl RedisCounters {
    /// Counters on this server.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Counters for RedisCounters {
    async fn take(&self, name: &str, floor: u64, count: u32) -> Result<u64> {
        if floor > FLOOR_MAX {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "The floor of a counter is too high.",
            ));
        }
        let count = count.max(1);
        let mut command = TAKE_NUMBERS.call(&[self.redis.key(&[name])]);
        command.arg(floor).arg(count);
        let last: u64 = read(self.redis.one("counter_take", command).await?)?;
        Ok(last + 1 - u64::from(count))
    }

    async fn current(&self, name: &str, floor: u64) -> Result<u64> {
        let mut command = redis::cmd("GET");
        command.arg(self.redis.key(&[name]));
        let value: Option<u64> = read(self.redis.one("counter_get", command).await?)?;
        Ok(value.unwrap_or(0).max(floor))
    }
}
