//! Sessions: what a sign-in is, how its tokens are renewed, and how it ends; and which [`keys`]
//! sign and verify tokens.
//!
//! A sign-in makes one row. Both tokens of the sign-in carry the row's id, and a refresh token
//! carries a generation number. The row decides; a token only names the row.

mod id;
pub mod keys;
mod refresh;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::ids::{UnixMillis, UserId};

pub use id::SessionId;
pub use refresh::{Policy, RefreshOutcome, Successor, refresh};

/// Generation of the refresh token that a sign-in hands out.
pub const FIRST_GENERATION: u64 = 1;

/// Why a session ended; the numbers are those of the table and the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum EndReason {
    /// The user signed out of this session.
    Logout = 1,
    /// An old refresh token of this session was presented.
    Reuse = 2,
    /// The user ended the session from another one.
    SignedOut = 3,
    /// The password was changed from another session.
    PasswordChanged = 4,
    /// An operator disabled the account.
    Disabled = 5,
    /// The account was deleted.
    Deleted = 6,
    /// The user signed in more often than there may be sessions; this one was used least recently.
    Evicted = 7,
    /// An operator ended the sessions of the account.
    Operator = 8,
}

impl EndReason {
    /// The reason with this number.
    pub const fn from_i32(n: i32) -> Option<Self> {
        Some(match n {
            1 => Self::Logout,
            2 => Self::Reuse,
            3 => Self::SignedOut,
            4 => Self::PasswordChanged,
            5 => Self::Disabled,
            6 => Self::Deleted,
            7 => Self::Evicted,
            8 => Self::Operator,
            _ => return None,
        })
    }

    /// The name of the reason in events and audit records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "refresh_reuse",
            Self::SignedOut => "signed_out",
            Self::PasswordChanged => "password_changed",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::Evicted => "evicted",
            Self::Operator => "operator",
        }
    }
}

/// One sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Id of the session; both of its tokens carry it.
    pub id: SessionId,
    /// Account that signed in.
    pub user: UserId,
    /// Name of the device, as the client gave it; may be empty.
    pub device: String,
    /// Software of the client, as the client gave it; may be empty.
    pub client: String,
    /// Network address of the sign-in or of the last refresh; may be empty.
    pub address: String,
    /// Time of the sign-in.
    pub created_at: UnixMillis,
    /// Time of the last refresh; that of the sign-in before the first one.
    pub last_used_at: UnixMillis,
    /// Time at which the current refresh token expires. After the end of the session: the time at
    /// which its last access token has expired, so that the row may be forgotten.
    pub expires_at: UnixMillis,
    /// Generation of the current refresh token.
    pub generation: u64,
    /// Time at which the current generation was made; its tokens carry this as `iat`.
    pub rotated_at: UnixMillis,
    /// SHA-256 of the current refresh token in hexadecimal. For an operator who holds a token and
    /// looks for its session; the generation decides, not the hash.
    pub refresh_hash: String,
    /// When and why the session ended.
    pub ended: Option<End>,
}

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// When it ended.
    pub at: UnixMillis,
    /// Why it ended.
    pub reason: EndReason,
}

impl Session {
    /// Whether tokens of the session are good at this time.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.ended.is_none() && now < self.expires_at
    }

    /// Ends the session. `tokens_expire_at` is the time at which the last access token of the
    /// session expires. False when the session had ended before: the first end stays.
    pub fn end(&mut self, reason: EndReason, at: UnixMillis, tokens_expire_at: UnixMillis) -> bool {
        if self.ended.is_some() {
            return false;
        }
        self.ended = Some(End { at, reason });
        self.expires_at = tokens_expire_at;
        true
    }

    /// Applies the outcome of a refresh to the row. `refresh_hash` is that of the successor.
    pub fn rotate(&mut self, to: Successor, refresh_hash: &str, policy: &Policy) {
        self.generation = to.generation;
        self.rotated_at = to.rotated_at;
        self.last_used_at = self.last_used_at.max(to.rotated_at);
        self.expires_at = to.rotated_at.saturating_add(policy.refresh_ttl_ms);
        refresh_hash.clone_into(&mut self.refresh_hash);
    }
}

/// The sessions that must end so that a user has at most `cap`: the least recently used ones.
/// `live` holds the id and the time of the last use of every live session; `newcomer` stays.
pub fn beyond_cap(
    live: &[(SessionId, UnixMillis)],
    newcomer: SessionId,
    cap: usize,
) -> Vec<SessionId> {
    let mut others: Vec<_> = live.iter().filter(|(id, _)| *id != newcomer).collect();
    let room = cap.max(1) - 1;
    if others.len() <= room {
        return Vec::new();
    }
    others.sort_unstable_by_key(|(id, used)| (*used, *id));
    let surplus = others.len() - room;
    others[..surplus].iter().map(|(id, _)| *id).collect()
}
