//! Sessions. Tokens never reach the store, only their hashes.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};
use gochat_core::token::{EndReason, Policy, RefreshOutcome, Session, SessionId};

use super::DbResult;

/// Most ended sessions that one answer names. A longer answer means: all sessions of the user.
pub const MAX_ENDED: u32 = 200;

/// Asks for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The row.
    pub session: Session,
    /// Version of the password that let the user in; `None` for guests.
    pub password_version: Option<u64>,
    /// Live sessions that the user may have; beyond them the least recently used ones end.
    pub cap: u32,
    /// When the last access token of a session that ends now expires.
    pub tokens_expire_at: UnixMillis,
}

/// Asks for new tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshSession {
    /// Session that the token names.
    pub id: SessionId,
    /// User that the token names.
    pub user: UserId,
    /// Generation of the token.
    pub generation: u64,
    /// Time of the request; also the time of the successor if there is a new one.
    pub now: UnixMillis,
    /// How long tokens and repeats are good.
    pub policy: Policy,
    /// SHA-256 of the refresh token that a new successor has.
    pub refresh_hash: String,
    /// Address of the client; empty leaves the stored one.
    pub address: String,
    /// When the last access token of the session expires if the session ends now.
    pub tokens_expire_at: UnixMillis,
}

/// Which sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(SessionId),
    /// Every one but this one.
    AllBut(SessionId),
    /// Every one.
    All,
}

/// Asks to end sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndSessions {
    /// Owner of the sessions.
    pub user: UserId,
    /// Which sessions end.
    pub which: Which,
    /// Why they end.
    pub reason: EndReason,
    /// When they end.
    pub now: UnixMillis,
    /// When their last access token expires.
    pub tokens_expire_at: UnixMillis,
}

/// A session that ended and whose access tokens may not have expired yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedSession {
    /// The session.
    pub id: SessionId,
    /// Its owner.
    pub user: UserId,
    /// When it ended.
    pub ended_at: UnixMillis,
    /// When its last access token has expired.
    pub expires_at: UnixMillis,
}

/// Where a page of ended sessions begins: behind this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedAfter {
    /// When the last session of the page before ended.
    pub ended_at: UnixMillis,
    /// The last session of the page before.
    pub id: SessionId,
}

/// Sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a session and ends what is beyond the cap, if the account is in use and its password
    /// is still the one that was judged. Returns every session of the user that was ended by the
    /// cap and whose tokens may still live, so that a repeat answers the same.
    ///
    /// Refused with `USER_DISABLED`, `AUTH_INVALID_CREDENTIALS` (deleted, or the password changed)
    /// and `USER_NOT_FOUND`.
    async fn create_session(&self, new: NewSession) -> DbResult<Vec<SessionId>>;

    /// Judges a refresh token by [`gochat_core::token::refresh`] and writes what follows, in one
    /// step; `None` when the user has no such session. A repeat of the call answers
    /// [`RefreshOutcome::Repeat`] where the first answered [`RefreshOutcome::Rotated`].
    async fn refresh_session(&self, asked: RefreshSession) -> DbResult<Option<RefreshOutcome>>;

    /// One session, whether it has ended or not; `None` when it was never there or is forgotten.
    async fn session(&self, id: SessionId) -> DbResult<Option<Session>>;

    /// Live sessions of a user, the most recently used first, at most
    /// [`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE).
    async fn sessions_of(&self, user: UserId, now: UnixMillis) -> DbResult<Vec<Session>>;

    /// Ends sessions. Returns every one of them that has ended, now or before, and whose tokens may
    /// still live, so that a repeat answers the same: the newest first, at most one more than
    /// [`MAX_ENDED`].
    async fn end_sessions(&self, asked: EndSessions) -> DbResult<Vec<SessionId>>;

    /// Ended sessions whose tokens may still live, in the order of their ends, behind `after`; at
    /// most [`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE).
    async fn ended_sessions(
        &self,
        now: UnixMillis,
        after: Option<EndedAfter>,
        limit: u32,
    ) -> DbResult<Vec<EndedSession>>;

    /// Forgets sessions whose tokens have expired before `now`; returns how many rows went, at most
    /// `limit`.
    async fn purge_sessions(&self, now: UnixMillis, limit: u32) -> DbResult<u64>;
}
