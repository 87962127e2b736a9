//! Renewal of a session's tokens: one decision on one row.

use super::{EndReason, Session};
use crate::ids::UnixMillis;

/// How long tokens and repeats are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Time in milliseconds during which the newest used refresh token may be presented again.
    pub repeat_ms: u64,
    /// Life of a refresh token in milliseconds.
    pub refresh_ttl_ms: u64,
}

impl Policy {
    /// Time in milliseconds during which a repeat is answered with the same successor.
    pub const REPEAT_MS: u64 = 60_000;
}

/// The pair of tokens that is good after a refresh. The pair follows from these values alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    /// Generation of the pair's refresh token.
    pub generation: u64,
    /// Time at which the generation was made.
    pub rotated_at: UnixMillis,
}

/// What a refresh token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The token was current: the row moves on to the successor.
    Rotated(Successor),
    /// The token was used a moment ago: the caller gets the successor that exists. The row stays.
    Repeat(Successor),
    /// The token was used long ago, or is older: another client holds a copy. The session ends.
    Reuse,
    /// The session has ended.
    Ended(EndReason),
    /// The session was not used for longer than a refresh token lives.
    Expired,
}

/// Judges a verified refresh token of `presented` generation at `now`.
///
/// A generation ahead of the row belongs to a database that was restored from a backup: the token
/// was signed by this system after the backup, so the row follows it. A clock that stepped back
/// makes a repeat look younger than it is, never older.
pub fn refresh(
    session: &Session,
    presented: u64,
    now: UnixMillis,
    policy: &Policy,
) -> RefreshOutcome {
    if let Some(end) = session.ended {
        return RefreshOutcome::Ended(end.reason);
    }
    if session.expires_at <= now && presented <= session.generation {
        return RefreshOutcome::Expired;
    }
    if presented >= session.generation {
        return RefreshOutcome::Rotated(Successor {
            generation: presented.saturating_add(1),
            rotated_at: now,
        });
    }
    let is_newest_used = presented.checked_add(1) == Some(session.generation);
    let age = now.saturating_sub(session.rotated_at);
    if is_newest_used && age <= policy.repeat_ms {
        return RefreshOutcome::Repeat(Successor {
            generation: session.generation,
            rotated_at: session.rotated_at,
        });
    }
    RefreshOutcome::Reuse
}
