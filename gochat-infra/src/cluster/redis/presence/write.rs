//! What a change writes, and the script calls that write it.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::{REFUSAL_MS, REPLACEMENTS_WINDOW_MS, Session, Sessions};
use redis::{Cmd, Value};

use super::record::{HASH_LIFE_MS, Keys, OTHERS_LIFE_MS, Stored};
use super::update::Change;
use crate::cluster::redis::script::PRESENCE_WRITE;
use crate::port::presence::ARRIVALS_KEPT;

/// Work of one script: users and entries. It must not keep the others waiting.
const PER_SCRIPT: usize = 96;
/// How long replacements are remembered when no session is left.
const GUARD_LIFE_MS: u64 = REPLACEMENTS_WINDOW_MS + REFUSAL_MS;

/// The sessions of one user as they are to be.
pub(super) struct UserWrite {
    user: UserId,
    /// Version that was read.
    version: Box<[u8]>,
    /// Empty: nothing is kept.
    sessions: String,
    life_ms: u64,
    /// Unix seconds.
    last_online: Option<u64>,
    entries: Vec<Entry>,
}

/// What changes beside the sessions themselves.
enum Entry {
    There(Box<str>, ConnId, UnixMillis),
    Gone(Box<str>, ConnId),
    Arrival(Box<str>),
}

impl UserWrite {
    /// `seen`: the last sign of life of a user who went.
    pub(super) fn new(
        now: UnixMillis,
        change: &Change,
        before: &Stored,
        after: &Sessions,
        seen: Option<UnixMillis>,
        arrivals: Vec<Box<str>>,
    ) -> Result<Self> {
        let (sessions, life_ms) = match (after.is_online(), after.is_forgettable(now)) {
            (true, _) => (serialized(after)?, HASH_LIFE_MS),
            (false, false) => (serialized(after)?, GUARD_LIFE_MS),
            (false, true) => (String::new(), 0),
        };
        let went = before.sessions.is_online() && !after.is_online();
        let mut entries = entries(change, before, after);
        entries.extend(arrivals.into_iter().map(Entry::Arrival));
        Ok(Self {
            user: change.user,
            version: before.version.clone(),
            sessions,
            life_ms,
            last_online: seen.filter(|_| went).map(|seen| seen / 1_000),
            entries,
        })
    }

    fn weight(&self) -> usize {
        1 + self.entries.len()
    }

    fn put(&self, command: &mut Cmd) {
        command
            .arg(self.user.get())
            .arg(&*self.version)
            .arg(rand::random::<u64>())
            .arg(&self.sessions)
            .arg(self.life_ms)
            .arg(self.last_online.map_or(String::new(), |at| at.to_string()))
            .arg(self.entries.len());
        for entry in &self.entries {
            let (what, gateway, conn_id, moment) = match entry {
                Entry::There(gateway, conn_id, seen) => ("+", gateway, *conn_id, *seen),
                Entry::Gone(gateway, conn_id) => ("-", gateway, *conn_id, 0),
                Entry::Arrival(gateway) => ("*", gateway, 0, 0),
            };
            command.arg(what).arg(&**gateway).arg(conn_id).arg(moment);
        }
    }
}

/// Sessions that went, and those that are not what stands there or are to be put right: a user's twentieth session is
/// not twenty entries' work.
fn entries(change: &Change, before: &Stored, after: &Sessions) -> Vec<Entry> {
    let is = |session: &Session, gateway: &str, conn_id: ConnId| {
        session.conn_id == conn_id && &*session.gateway == gateway
    };
    let had = before.sessions.live().iter();
    let had = had.map(|session| (&session.gateway, session.conn_id));
    let listed = change.listed.iter();
    let listed = listed.map(|(gateway, conn_id)| (gateway, *conn_id));
    let stays = |gateway: &str, conn_id| after.live().iter().any(|s| is(s, gateway, conn_id));
    let gone = had
        .chain(listed.clone())
        .filter(|(gateway, conn_id)| !stays(gateway, *conn_id))
        .map(|(gateway, conn_id)| Entry::Gone(gateway.clone(), conn_id));
    let anew = after.live().iter().filter(|session| {
        let mut listed = listed.clone();
        !before.sessions.live().contains(session)
            || listed.any(|(gateway, conn_id)| is(session, gateway, conn_id))
    });
    let there = anew.map(|s| Entry::There(s.gateway.clone(), s.conn_id, s.last_seen));
    gone.chain(there).collect()
}

/// Calls that make all the writes, in order.
pub(super) fn commands(keys: &Keys, now: UnixMillis, writes: &[UserWrite]) -> Vec<Cmd> {
    let (mut commands, mut left) = (Vec::new(), writes);
    while !left.is_empty() {
        let mut weight = 0;
        let fits = left.iter().take_while(|write| {
            weight += write.weight();
            weight <= PER_SCRIPT
        });
        let (together, others) = left.split_at(fits.count().max(1));
        commands.push(command(keys, now, together));
        left = others;
    }
    commands
}

fn command(keys: &Keys, now: UnixMillis, writes: &[UserWrite]) -> Cmd {
    let mut names = vec![keys.gateways.clone(), keys.arrivals.clone()];
    for write in writes {
        names.extend([keys.user(write.user), keys.last_online(write.user)]);
    }
    let mut command = PRESENCE_WRITE.call(&names);
    command
        .arg(now)
        .arg(&keys.index_prefix)
        .arg(OTHERS_LIFE_MS)
        .arg(ARRIVALS_KEPT);
    writes.iter().for_each(|write| write.put(&mut command));
    command
}

/// The answers for each user.
pub(super) fn answers(answers: Vec<Value>) -> Result<impl Iterator<Item = Value>> {
    let mut all = Vec::new();
    for answer in answers {
        match answer {
            Value::Array(users) => all.extend(users),
            _ => return Err(ErrorCode::Internal.into()),
        }
    }
    Ok(all.into_iter())
}

fn serialized(sessions: &Sessions) -> Result<String> {
    serde_json::to_string(sessions).map_err(|_| ErrorCode::Internal.into())
}
