//! Removing what ran out, and what a dead gateway left. Both go by the gateways' indexes, in portions.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::Sessions;
use hashbrown::HashMap;
use redis::Value;

use super::RedisPresence;
use super::update::{Change, Decision, Start};
use crate::cluster::redis::client::read;
use crate::port::presence::Gone;

/// Entries of an index that are looked at together.
const PORTION: usize = 500;
/// Portions of one gateway's index that are looked at in one call: 10 million sessions.
const PORTIONS_MAX: usize = 20_000;

/// An entry of a gateway's index.
type Listed = (UserId, ConnId);

struct Swept {
    removed: usize,
    was_online: bool,
    online: bool,
}

impl RedisPresence {
    pub(super) async fn read_gateways(&self) -> Result<Vec<Box<str>>> {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(&self.keys.gateways);
        let names: Vec<String> = read(self.redis.one("presence_gateways", command).await?)?;
        Ok(names.into_iter().map(Into::into).collect())
    }

    pub(super) async fn sweep_expired(&self, before: UnixMillis, limit: usize) -> Result<Gone> {
        let mut gone = Gone::default();
        for gateway in self.read_gateways().await? {
            for _ in 0..PORTIONS_MAX {
                let portion = PORTION.min(limit.saturating_sub(gone.sessions));
                if portion == 0 {
                    return Ok(gone);
                }
                let mut command = redis::cmd("ZRANGEBYSCORE");
                command
                    .arg(self.keys.index(&gateway))
                    .arg("-inf")
                    .arg(format!("({before}"))
                    .arg(&["LIMIT", "0"])
                    .arg(portion);
                let found = listed(self.redis.one("presence_sweep", command).await?)?;
                if found.is_empty() {
                    break;
                }
                let expire = |sessions: &mut Sessions| {
                    sessions.expire_before(before);
                };
                self.sweep(&gateway, found, expire, &mut gone).await?;
            }
        }
        Ok(gone)
    }

    pub(super) async fn sweep_gateway(
        &self,
        gateway: &str,
        before: Option<ConnId>,
    ) -> Result<Gone> {
        let mut gone = Gone::default();
        let doomed = |conn_id: ConnId| before.is_none_or(|before| conn_id < before);
        let drop = |sessions: &mut Sessions| {
            let on_gateway = sessions.live().iter().filter(|s| &*s.gateway == gateway);
            let conns = on_gateway.map(|s| s.conn_id).filter(|conn| doomed(*conn));
            for conn_id in conns.collect::<Vec<_>>() {
                sessions.unregister(gateway, conn_id);
            }
        };
        // What is spared stays in the index, so it is skipped by its number. Signs of life move the
        // spared behind the doomed, never the other way round.
        let mut spared = 0;
        for _ in 0..PORTIONS_MAX {
            let mut command = redis::cmd("ZRANGE");
            let key = self.keys.index(gateway);
            command.arg(key).arg(spared).arg(spared + PORTION - 1);
            let found = listed(self.redis.one("presence_sweep", command).await?)?;
            if found.is_empty() {
                break;
            }
            let portion = found.len();
            let found: Vec<Listed> = found
                .into_iter()
                .filter(|(_, conn)| doomed(*conn))
                .collect();
            spared += portion - found.len();
            self.sweep(gateway, found, drop, &mut gone).await?;
        }
        Ok(gone)
    }

    /// Lets `act` drop sessions of users that an index lists, and puts these entries right.
    async fn sweep(
        &self,
        gateway: &str,
        found: Vec<Listed>,
        act: impl Fn(&mut Sessions),
        gone: &mut Gone,
    ) -> Result<()> {
        let changes = changes(gateway, found);
        let decide = |_, sessions: &mut Sessions| {
            let (before, was_online) = (sessions.live().len(), sessions.is_online());
            act(sessions);
            Decision::of(Swept {
                removed: before - sessions.live().len(),
                was_online,
                online: sessions.is_online(),
            })
        };
        // At the end of time nobody without a session needs to be remembered.
        let end = UnixMillis::MAX;
        let made = self.update(end, &changes, Start::Read, decide).await?;
        for (change, made) in changes.iter().zip(made) {
            let made = made.ok_or(ErrorCode::ServiceUnavailable)?;
            let Swept {
                removed,
                was_online,
                online,
            } = made.outcome;
            // Sessions whose hash was lost are known by their entry in the index only.
            let lost = !was_online && made.unlisted > 0;
            gone.sessions += if lost { made.unlisted } else { removed };
            if !online && (removed > 0 || lost) {
                gone.users.push(change.user);
            }
        }
        Ok(())
    }
}

fn changes(gateway: &str, found: Vec<Listed>) -> Vec<Change> {
    let mut by_user: HashMap<UserId, Change> = HashMap::new();
    for (user, conn_id) in found {
        let change = by_user.entry(user).or_insert_with(|| Change::of(user));
        change.listed.push((gateway.into(), conn_id));
    }
    by_user.into_values().collect()
}

/// The `{user}:{conn}` entries of an index.
fn listed(answer: Value) -> Result<Vec<Listed>> {
    let members: Vec<String> = read(answer)?;
    let parse = |member: String| {
        let (user, conn_id) = member.split_once(':')?;
        Some((user.parse().ok()?, conn_id.parse().ok()?))
    };
    let parsed: Option<Vec<Listed>> = members.into_iter().map(parse).collect();
    parsed.ok_or(ErrorCode::Internal.into())
}
