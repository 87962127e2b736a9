//! Keys, and the stored form of a user's sessions.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConnId, UserId};
use gochat_core::presence::{Sessions, TTL_MS};
use redis::{Cmd, Value};

use crate::cluster::redis::client::Redis;

/// Life of a user's hash after the last change: longer than that of a session, so that the clean-up
/// finds what it has to report.
pub(super) const HASH_LIFE_MS: u64 = 2 * TTL_MS;
/// Life of everything else after the last change.
pub(super) const OTHERS_LIFE_MS: u64 = 24 * 60 * 60 * 1_000;

/// The keys of presence.
pub(super) struct Keys {
    users: String,
    last_online: String,
    pub(super) index_prefix: String,
    pub(super) gateways: String,
    pub(super) arrivals: String,
}

impl Keys {
    pub(super) fn new(redis: &Redis) -> Self {
        Self {
            users: redis.key(&["user:online:"]),
            last_online: redis.key(&["last_online:"]),
            index_prefix: redis.key(&["gateway:users:"]),
            gateways: redis.key(&["gateway:online"]),
            arrivals: redis.key(&["presence:arrivals"]),
        }
    }

    pub(super) fn user(&self, user: UserId) -> String {
        format!("{}{user}", self.users)
    }

    pub(super) fn last_online(&self, user: UserId) -> String {
        format!("{}{user}", self.last_online)
    }

    pub(super) fn last_onlines(&self, users: &[UserId]) -> Vec<String> {
        users.iter().map(|user| self.last_online(*user)).collect()
    }

    pub(super) fn index(&self, gateway: &str) -> String {
        format!("{}{gateway}", self.index_prefix)
    }

    /// Reads a user's hash.
    pub(super) fn read(&self, user: UserId) -> Cmd {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.user(user));
        command
    }
}

/// What stands in a user's hash.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// Of the last change; empty when there is no hash.
    pub(super) version: Box<[u8]>,
    pub(super) sessions: Sessions,
}

/// The content of a hash, from the answer of `HGETALL`.
pub(super) fn parse(answer: Value) -> Result<Stored> {
    let Value::Array(fields) = answer else {
        return Err(ErrorCode::Internal.into());
    };
    let mut stored = Stored::default();
    let mut beats = Vec::new();
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (fields.next(), fields.next())
    {
        match &*name {
            b"v" => stored.version = value.into(),
            b"sessions" => {
                // Presence may be lost: what another version wrote is written anew.
                stored.sessions = serde_json::from_slice(&value).unwrap_or_else(|error| {
                    tracing::error!(%error, "the sessions of a user can't be read; they are forgotten");
                    Sessions::default()
                });
            }
            _ => beats.push((name, value)),
        }
    }
    for (name, value) in beats {
        if let Some((conn_id, gateway, seen)) = beat(&name, &value) {
            stored.sessions.heartbeat(seen, gateway, conn_id);
        }
    }
    Ok(stored)
}

/// A field `t:{conn}:{gateway}` and its moment.
fn beat<'a>(name: &'a [u8], value: &[u8]) -> Option<(ConnId, &'a str, u64)> {
    let name = std::str::from_utf8(name).ok()?.strip_prefix("t:")?;
    let (conn_id, gateway) = name.split_once(':')?;
    let seen = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some((conn_id.parse().ok()?, gateway, seen))
}
