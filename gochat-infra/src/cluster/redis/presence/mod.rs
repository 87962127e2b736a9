//! [`PresenceStore`] on Redis.
//!
//! # What is stored
//!
//! | key | what |
//! |---|---|
//! | `user:online:{user}` | hash: `v` a version, `sessions` what core knows of the user (JSON), `t:{conn}:{gateway}` the last sign of life of each session |
//! | `last_online:{user}` | Unix seconds, when the user was last seen, for a day |
//! | `gateway:users:{gateway}` | sorted set of `{user}:{conn}` by last sign of life: finds what ran out, and what a dead gateway left |
//! | `gateway:online` | set of the gateways that hold a session |
//! | `presence:arrivals` | stream, the log of arrivals |
//!
//! # Who decides
//!
//! [`Sessions`](gochat_core::presence::Sessions) of core does, in this process: read, decide, write if the version
//! is still the same, and again if it isn't. A registration guesses that the user has no session, which mostly
//! is so and costs one round trip; a wrong guess brings the sessions along with the refusal. Only the sign
//! of life is a script's doing ("the greater moment wins"), because there are thousands a second.
//!
//! A session ends [`TTL_MS`](gochat_core::presence::TTL_MS) after its last sign of life, whatever the
//! life of the keys, which is longer so that the clean-up can tell who went, and when.

mod arrivals;
mod record;
mod sweep;
mod update;
mod write;

use async_trait::async_trait;
use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::{Registered, Sessions, TTL_MS};
use hashbrown::HashMap;

use super::client::{Redis, read};
use super::script::PRESENCE_BEAT;
use crate::port::presence::{Arrivals, Gone, Online, PresenceStore, Removed, SessionRef, Status};
use record::{HASH_LIFE_MS, Keys, OTHERS_LIFE_MS};
use update::{Change, Decision, Start};

/// Signs of life per script: one script must not keep the others waiting.
const BEATS_PER_SCRIPT: usize = 128;
/// Users per round trip.
const USERS_PER_TRIP: usize = 1_000;

/// Sessions of all users in Redis.
pub struct RedisPresence {
    redis: Redis,
    keys: Keys,
}

impl RedisPresence {
    /// Presence on this server.
    pub fn new(redis: Redis) -> Self {
        Self {
            keys: Keys::new(&redis),
            redis,
        }
    }

    fn beat_command(&self, now: UnixMillis, batch: &[SessionRef]) -> redis::Cmd {
        let mut keys = vec![self.keys.gateways.clone()];
        keys.extend(batch.iter().map(|target| self.keys.user(target.user)));
        let mut command = PRESENCE_BEAT.call(&keys);
        command
            .arg(now)
            .arg(rand::random::<u64>())
            .arg(HASH_LIFE_MS)
            .arg(&self.keys.index_prefix)
            .arg(OTHERS_LIFE_MS);
        for target in batch {
            command.arg(target.user.get()).arg(&*target.gateway);
            match target.conn_id {
                Some(conn_id) => command.arg(conn_id),
                None => command.arg(""),
            };
        }
        command
    }

    async fn some_statuses(&self, now: UnixMillis, users: &[UserId]) -> Result<Vec<Status>> {
        let mut commands: Vec<_> = users.iter().map(|user| self.keys.read(*user)).collect();
        let mut last_online = redis::cmd("MGET");
        last_online.arg(self.keys.last_onlines(users));
        commands.push(last_online);
        let mut answers = self.redis.run("presence_status", commands).await?;
        let last_online: Vec<Option<u64>> = answers.pop().map_or(Ok(Vec::new()), read)?;
        let known = answers.into_iter().zip(last_online);
        known
            .map(|(answer, last_online)| {
                let sessions = record::parse(answer)?.sessions;
                Ok(status(now, &sessions, last_online))
            })
            .collect()
    }
}

/// What is told about a user; `last_online` in seconds, from when nobody of theirs was left.
fn status(now: UnixMillis, sessions: &Sessions, last_online: Option<u64>) -> Status {
    let mut status = Status {
        last_seen: sessions.last_seen(),
        ..Status::default()
    };
    for session in sessions.live().iter().rev() {
        let alive = session.last_seen.saturating_add(TTL_MS) >= now;
        if alive && !status.gateways.contains(&session.gateway) {
            if status.gateways.is_empty() {
                status.client_info = session.client_info.clone();
            }
            status.gateways.push(session.gateway.clone());
        }
    }
    let last_online = last_online.map(|seconds| seconds.saturating_mul(1_000));
    status.last_seen = status.last_seen.or(last_online);
    status
}

/// Positions of a batch by user: entries of one user are one change, made in order.
fn by_user(users: impl Iterator<Item = UserId>) -> Vec<(UserId, Vec<usize>)> {
    let mut places = HashMap::new();
    let mut grouped: Vec<(UserId, Vec<usize>)> = Vec::new();
    for (position, user) in users.enumerate() {
        let place = *places.entry(user).or_insert_with(|| {
            grouped.push((user, Vec::new()));
            grouped.len() - 1
        });
        grouped[place].1.push(position);
    }
    grouped
}

fn changes(grouped: &[(UserId, Vec<usize>)]) -> Vec<Change> {
    grouped.iter().map(|(user, _)| Change::of(*user)).collect()
}

fn register(sessions: &mut Sessions, now: UnixMillis, online: &Online) -> Result<Registered> {
    let session = online.session.clone();
    if online.again {
        Ok(sessions.restore(now, session, online.limit))
    } else {
        sessions.register(now, session, online.limit)
    }
}

fn unregister(sessions: &mut Sessions, target: &SessionRef) -> Removed {
    let conns: Vec<ConnId> = match target.conn_id {
        Some(conn_id) => vec![conn_id],
        None => {
            let live = sessions.live().iter();
            live.filter(|session| session.gateway == target.gateway)
                .map(|session| session.conn_id)
                .collect()
        }
    };
    let mut removed = false;
    for conn_id in conns {
        removed |= sessions.unregister(&target.gateway, conn_id).0;
    }
    Removed {
        removed,
        still_online: sessions.is_online(),
    }
}

/// Puts the outcomes of each user's entries at the entries' positions.
fn scatter<T>(grouped: Vec<(UserId, Vec<usize>)>, outcomes: Vec<Vec<T>>) -> Vec<T> {
    let positions = grouped.into_iter().flat_map(|(_, positions)| positions);
    let mut placed: Vec<(usize, T)> = positions.zip(outcomes.into_iter().flatten()).collect();
    placed.sort_unstable_by_key(|(position, _)| *position);
    placed.into_iter().map(|(_, outcome)| outcome).collect()
}

#[async_trait]
impl PresenceStore for RedisPresence {
    async fn set_online(
        &self,
        now: UnixMillis,
        batch: Vec<Online>,
    ) -> Result<Vec<Result<Registered>>> {
        let grouped = by_user(batch.iter().map(|online| online.user));
        let decide = |place: usize, sessions: &mut Sessions| {
            let mut arrivals = Vec::new();
            let entries = grouped[place].1.iter().map(|position| &batch[*position]);
            let outcomes = entries.map(|online| {
                let registered = register(sessions, now, online);
                if registered.is_ok() {
                    arrivals.push(online.session.gateway.clone());
                }
                registered
            });
            let outcomes: Vec<_> = outcomes.collect();
            Decision {
                outcome: outcomes,
                arrivals,
                seen: None,
            }
        };
        let changes = changes(&grouped);
        let made = self.update(now, &changes, Start::Guess, decide).await?;
        let outcomes = made.into_iter().zip(&grouped).map(|(made, (_, entries))| {
            made.map_or_else(
                || vec![Err(ErrorCode::ServiceUnavailable.into()); entries.len()],
                |made| made.outcome,
            )
        });
        let outcomes = outcomes.collect();
        Ok(scatter(grouped, outcomes))
    }

    async fn set_offline(&self, now: UnixMillis, batch: Vec<SessionRef>) -> Result<Vec<Removed>> {
        let grouped = by_user(batch.iter().map(|target| target.user));
        let decide = |place: usize, sessions: &mut Sessions| {
            let targets = grouped[place].1.iter().map(|position| &batch[*position]);
            let mut seen = None;
            let outcomes: Vec<_> = targets
                .map(|target| {
                    seen = sessions.last_seen().or(seen);
                    unregister(sessions, target)
                })
                .collect();
            Decision {
                seen,
                ..Decision::of(outcomes)
            }
        };
        let changes = changes(&grouped);
        let made = self.update(now, &changes, Start::Read, decide).await?;
        let made: Option<Vec<_>> = made.into_iter().collect();
        let made = made.ok_or(ErrorCode::ServiceUnavailable)?;
        let outcomes = made.into_iter().map(|made| made.outcome).collect();
        Ok(scatter(grouped, outcomes))
    }

    async fn heartbeat(&self, now: UnixMillis, batch: Vec<SessionRef>) -> Result<Vec<bool>> {
        let mut known = Vec::with_capacity(batch.len());
        for trip in batch.chunks(USERS_PER_TRIP) {
            let chunks = trip.chunks(BEATS_PER_SCRIPT);
            let commands = chunks.map(|chunk| self.beat_command(now, chunk)).collect();
            for answer in self.redis.run("presence_beat", commands).await? {
                known.extend(read::<Vec<bool>>(answer)?);
            }
        }
        Ok(known)
    }

    async fn statuses(&self, now: UnixMillis, users: &[UserId]) -> Result<Vec<Status>> {
        let mut statuses = Vec::with_capacity(users.len());
        for trip in users.chunks(USERS_PER_TRIP) {
            statuses.extend(self.some_statuses(now, trip).await?);
        }
        Ok(statuses)
    }

    async fn expire(&self, before: UnixMillis, limit: usize) -> Result<Gone> {
        self.sweep_expired(before, limit).await
    }

    async fn gateways(&self) -> Result<Vec<Box<str>>> {
        self.read_gateways().await
    }

    async fn drop_gateway(&self, gateway: &str, before: Option<ConnId>) -> Result<Gone> {
        self.sweep_gateway(gateway, before).await
    }

    async fn arrivals(&self, after: &str, limit: usize) -> Result<Arrivals> {
        arrivals::read_after(&self.redis, &self.keys.arrivals, after, limit).await
    }
}
