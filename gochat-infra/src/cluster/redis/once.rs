//! [`Once`] on Redis: one key per claim, its first byte tells whether the work is done.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode, Result};
use redis::{Cmd, Value};

use super::client::{Redis, millis, read};
use super::script::DELETE_IF;
use crate::port::counter::{Claim, Once};

const PENDING: u8 = b'P';
const DONE: u8 = b'D';

/// Claims in Redis. "Never forgets early" holds as long as Redis doesn't evict: `maxmemory-policy noeviction`
/// makes it refuse new claims instead.
pub struct RedisOnce {
    redis: Redis,
}

impl RedisOnce {
    /// Claims on this server.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    /// `SET key value mode… PX ttl`.
    fn set(&self, key: &str, value: Vec<u8>, modes: &[&str], ttl: Duration) -> Cmd {
        let mut command = redis::cmd("SET");
        command.arg(self.redis.key(&[key])).arg(value).arg(modes);
        command.arg("PX").arg(millis(ttl));
        command
    }
}

fn pack(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(1 + content.len());
    packed.push(tag);
    packed.extend_from_slice(content);
    packed
}

fn unpack(stored: Vec<u8>) -> Result<Claim> {
    let stored = Bytes::from(stored);
    match stored.first() {
        Some(&PENDING) => Ok(Claim::Pending(stored.slice(1..))),
        Some(&DONE) => Ok(Claim::Done(stored.slice(1..))),
        _ => Err(Error::new(
            ErrorCode::Internal,
            "Something that is no claim stands under the key of one.",
        )),
    }
}

#[async_trait]
impl Once for RedisOnce {
    async fn claim(&self, key: &str, note: Bytes, ttl: Duration) -> Result<Claim> {
        let command = self.set(key, pack(PENDING, &note), &["NX", "GET"], ttl);
        let standing: Option<Vec<u8>> = read(self.redis.one("once_claim", command).await?)?;
        standing.map_or(Ok(Claim::First), unpack)
    }

    async fn look(&self, key: &str) -> Result<Option<Claim>> {
        let mut command = redis::cmd("GET");
        command.arg(self.redis.key(&[key]));
        let standing: Option<Vec<u8>> = read(self.redis.one("once_look", command).await?)?;
        standing.map(unpack).transpose()
    }

    async fn complete(&self, key: &str, result: Bytes, ttl: Duration) -> Result<bool> {
        let command = self.set(key, pack(DONE, &result), &["XX"], ttl);
        let answer = self.redis.one("once_complete", command).await?;
        Ok(answer != Value::Nil)
    }

    async fn release(&self, key: &str, note: &[u8]) -> Result<()> {
        let mut command = DELETE_IF.call(&[self.redis.key(&[key])]);
        command.arg(pack(PENDING, note));
        self.redis.one("once_release", command).await.map(drop)
    }

    async fn clear(&self, key: &str) -> Result<()> {
        let mut command = redis::cmd("DEL");
        command.arg(self.redis.key(&[key]));
        self.redis.one("once_clear", command).await.map(drop)
    }
}
