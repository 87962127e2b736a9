//! [`Cache`] on Redis.
//!
//! # Fill tokens
//!
//! A reader that misses is given a token: a random number that is also stored beside the key, under
//! `fill:{key}`, for half a minute. Readers that miss together share it. A deletion removes value
//! and token in one command; a fill compares and stores in one script. A token therefore can't
//! outlive a deletion, and one from before a loss of all data is never given out again: a
//! counter would have started anew and met it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gochat_core::error::Result;
use redis::Cmd;

use super::client::{Redis, millis, read};
use super::script::{CACHE_FILL, CACHE_GET};
use crate::port::cache::{Cache, Entry, FillToken, Lookup};

/// Life of a token: longest time a loader may take for its answer to be kept.
const TOKEN_LIFE: Duration = Duration::from_secs(30);
/// Keys per command: one command must not keep the others waiting.
const KEYS_PER_COMMAND: usize = 128;

/// Copies of rows in Redis.
pub struct RedisCache {
    redis: Redis,
}

impl RedisCache {
    /// A cache on this server.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn value_key(&self, key: &str) -> String {
        self.redis.key(&[key])
    }

    fn token_key(&self, key: &str) -> String {
        self.redis.key(&["fill:", key])
    }

    fn both_keys(&self, keys: &[String]) -> Vec<String> {
        let values = keys.iter().map(|key| self.value_key(key));
        let tokens = keys.iter().map(|key| self.token_key(key));
        values.chain(tokens).collect()
    }

    fn get_command(&self, keys: &[String]) -> Cmd {
        let mut command = CACHE_GET.call(&self.both_keys(keys));
        command.arg(millis(TOKEN_LIFE));
        for _ in keys {
            command.arg(rand::random::<u64>());
        }
        command
    }

    fn fill_command(&self, entry: &Entry, token: FillToken) -> Cmd {
        let keys = [self.value_key(&entry.key), self.token_key(&entry.key)];
        let mut command = CACHE_FILL.call(&keys);
        command
            .arg(token.0)
            .arg(&*entry.value)
            .arg(millis(entry.ttl));
        command
    }
}

type Answer = (Vec<Option<Vec<u8>>>, Vec<Option<u64>>);

#[async_trait]
impl Cache for RedisCache {
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Lookup>> {
        let chunks = keys.chunks(KEYS_PER_COMMAND);
        let commands = chunks.map(|chunk| self.get_command(chunk)).collect();
        let mut found = Vec::with_capacity(keys.len());
        for answer in self.redis.run("cache_get", commands).await? {
            let (values, tokens) = read::<Answer>(answer)?;
            found.extend(values.into_iter().zip(tokens).map(|both| match both {
                (Some(value), _) => Lookup::Hit(Bytes::from(value)),
                (None, token) => Lookup::Miss(FillToken(token.unwrap_or_default())),
            }));
        }
        Ok(found)
    }

    async fn set(&self, Entry { key, value, ttl }: Entry) -> Result<()> {
        let mut command = redis::cmd("SET");
        command
            .arg(self.value_key(&key))
            .arg(&*value)
            .arg("PX")
            .arg(millis(ttl));
        self.redis.one("cache_set", command).await.map(drop)
    }

    async fn fill_many(&self, entries: Vec<(Entry, FillToken)>) -> Result<()> {
        let commands = entries
            .iter()
            .map(|(entry, token)| self.fill_command(entry, *token))
            .collect();
        let answers = self.redis.run("cache_fill", commands).await?;
        let mut late = 0;
        for answer in answers {
            late += u64::from(read::<u32>(answer)? == 0);
        }
        metrics::counter!("gochat_cache_late_fills_total").increment(late);
        Ok(())
    }

    async fn delete_many(&self, keys: &[String]) -> Result<()> {
        let delete = |keys: &[String]| {
            let mut command = redis::cmd("UNLINK");
            command.arg(self.both_keys(keys));
            command
        };
        let commands = keys.chunks(KEYS_PER_COMMAND).map(delete).collect();
        self.redis.run("cache_delete", commands).await.map(drop)
    }
}
