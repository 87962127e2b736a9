//! Read, decide in core, write if nobody was faster.

use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ids::{ConnId, UnixMillis, UserId};
use gochat_core::presence::Sessions;
use rand::Rng as _;
use redis::Value;

use super::RedisPresence;
use super::record::{self, Stored};
use super::write::{self, UserWrite};

/// Users per round trip.
const PER_TRIP: usize = 500;
/// Attempts until the entries of a user are refused. Of racing writers one gets through in each
/// round, and registrations that race like this are refused by the guard after a few.
const ATTEMPTS_MAX: u32 = 16;
/// From this attempt on there is a pause before the next, so that racing writers spread out.
const PAUSE_FROM: u32 = 3;
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// A change of one user's sessions.
pub(super) struct Change {
    pub(super) user: UserId,
    /// Entries of indexes that are to be put right, whatever is decided.
    pub(super) listed: Vec<(Box<str>, ConnId)>,
}

impl Change {
    pub(super) fn of(user: UserId) -> Self {
        Self {
            user,
            listed: Vec::new(),
        }
    }
}

/// Where a change begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With the guess that the user has no session.
    Guess,
    /// By reading.
    Read,
}

/// What was decided about one user.
pub(super) struct Decision<T> {
    pub(super) outcome: T,
    /// Gateways of new entries in the log of arrivals.
    pub(super) arrivals: Vec<Box<str>>,
    /// Last sign of life before the entry that left the user without a session; `None`: as it stood before the change.
    pub(super) seen: Option<UnixMillis>,
}

impl<T> Decision<T> {
    pub(super) fn of(outcome: T) -> Self {
        Self {
            outcome,
            arrivals: Vec::new(),
            seen: None,
        }
    }
}

/// A change that was made.
pub(super) struct Made<T> {
    pub(super) outcome: T,
    /// Entries that left an index with it.
    pub(super) unlisted: usize,
}

/// One user on the way.
struct Attempt<T> {
    place: usize,
    before: Stored,
    read: bool,
    outcome: Option<T>,
}

impl RedisPresence {
    /// Lets `decide` change the sessions of users, each atomically; it may be called several times
    /// for a user, and the last call counts. `None` for users whose sessions changed all the time.
    ///
    /// Of a user without sessions nothing is kept once `now` is past the guard against replacements.
    pub(super) async fn update<T>(
        &self,
        now: UnixMillis,
        changes: &[Change],
        start: Start,
        decide: impl Fn(usize, &mut Sessions) -> Decision<T>,
    ) -> Result<Vec<Option<Made<T>>>> {
        let mut made: Vec<Option<Made<T>>> = changes.iter().map(|_| None).collect();
        for first in (0..changes.len()).step_by(PER_TRIP) {
            let places = first..changes.len().min(first + PER_TRIP);
            let mut open = self.begin(changes, places, start).await?;
            for attempt in 1..=ATTEMPTS_MAX {
                open = self.attempt(now, changes, open, &decide, &mut made).await?;
                if open.is_empty() {
                    break;
                }
                metrics::counter!("gochat_presence_retries_total").increment(open.len() as u64);
                if attempt >= PAUSE_FROM {
                    let pause = PAUSE_MAX.mul_f64(rand::rng().random_range(0.0..1.0));
                    tokio::time::sleep(pause).await;
                }
            }
        }
        Ok(made)
    }

    async fn begin<T>(
        &self,
        changes: &[Change],
        places: std::ops::Range<usize>,
        start: Start,
    ) -> Result<Vec<Attempt<T>>> {
        let attempt = |place, before, read| Attempt {
            place,
            before,
            read,
            outcome: None,
        };
        if start == Start::Guess {
            return Ok(places
                .map(|place| attempt(place, Stored::default(), false))
                .collect());
        }
        let users = places.clone().map(|place| changes[place].user);
        let commands = users.map(|user| self.keys.read(user)).collect();
        let answers = self.redis.run("presence_read", commands).await?;
        places
            .zip(answers)
            .map(|(place, answer)| Ok(attempt(place, record::parse(answer)?, true)))
            .collect()
    }

    /// One attempt for each user in one round trip; returns those somebody else was faster with.
    async fn attempt<T>(
        &self,
        now: UnixMillis,
        changes: &[Change],
        open: Vec<Attempt<T>>,
        decide: &impl Fn(usize, &mut Sessions) -> Decision<T>,
        made: &mut [Option<Made<T>>],
    ) -> Result<Vec<Attempt<T>>> {
        let mut written = Vec::with_capacity(open.len());
        let mut writes = Vec::with_capacity(open.len());
        for mut attempt in open {
            let change = &changes[attempt.place];
            let mut after = attempt.before.sessions.clone();
            let Decision {
                outcome,
                arrivals,
                seen,
            } = decide(attempt.place, &mut after);
            let idle = after == attempt.before.sessions && attempt.read;
            if idle && arrivals.is_empty() && change.listed.is_empty() {
                made[attempt.place] = Some(Made {
                    outcome,
                    unlisted: 0,
                });
                continue;
            }
            let seen = seen.or(attempt.before.sessions.last_seen());
            writes.push(UserWrite::new(
                now,
                change,
                &attempt.before,
                &after,
                seen,
                arrivals,
            )?);
            attempt.outcome = Some(outcome);
            written.push(attempt);
        }
        let commands = write::commands(&self.keys, now, &writes);
        let answers = self.redis.run("presence_write", commands).await?;
        let answers = write::answers(answers)?;
        let mut beaten = Vec::new();
        for (mut attempt, answer) in written.into_iter().zip(answers) {
            match (answer, attempt.outcome.take()) {
                (Value::Int(unlisted), Some(outcome)) => {
                    let unlisted = usize::try_from(unlisted).unwrap_or_default();
                    made[attempt.place] = Some(Made { outcome, unlisted });
                }
                (hash, _) => {
                    attempt.before = record::parse(hash)?;
                    attempt.read = true;
                    beaten.push(attempt);
                }
            }
        }
        Ok(beaten)
    }
}
