//! Refresh tokens and revocations. Only hashes are stored.

use async_trait::async_trait;
use gochat_core::ids::{UnixMillis, UserId};

use super::DbResult;

/// A refresh token that was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// SHA-256 of the token, hexadecimal.
    pub hash: String,
    /// Whose.
    pub user_id: UserId,
    /// Free text about the device.
    pub client_info: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Not valid from this instant on.
    pub expires_at: UnixMillis,
    /// SHA-256 of the access token handed out with it, hexadecimal; empty when there is none.
    pub access_hash: String,
    /// `jti` of that access token; may be empty.
    pub access_jti: String,
    /// When that access token expires; 0 when there is none.
    pub access_expires_at: UnixMillis,
}

/// Asks to use a refresh token up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeRefresh {
    /// SHA-256 of the token, hexadecimal.
    pub hash: String,
    /// Now.
    pub now: UnixMillis,
    /// Until when revocations must be remembered: the end of life of the youngest access token.
    pub revoke_until: UnixMillis,
}

/// What became of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumeOutcome {
    /// It was good and is used up now.
    Consumed(RefreshRecord),
    /// It was used up before: somebody stole it. All tokens of the user were revoked in the same
    /// transaction.
    Reused {
        /// Whose tokens are revoked now.
        user_id: UserId,
    },
    /// It was good once.
    Expired,
    /// Never handed out, revoked or forgotten.
    Unknown,
}

/// What a revocation hits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationKey {
    /// One access token, by the SHA-256 of it (hexadecimal).
    Token(String),
    /// All tokens of a user issued up to the revocation.
    User(UserId),
}

/// A revocation; forgotten when every token it hits has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// What it hits.
    pub key: RevocationKey,
    /// When it was spoken.
    pub revoked_at: UnixMillis,
    /// When it may be forgotten.
    pub expires_at: UnixMillis,
}

/// Token records.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// Remembers a refresh token. Repeating it changes nothing.
    async fn store_refresh(&self, record: RefreshRecord) -> DbResult<()>;

    /// Uses a refresh token up: of two racers exactly one gets [`ConsumeOutcome::Consumed`], the
    /// other [`ConsumeOutcome::Reused`]. Used tokens are remembered until they would have expired.
    async fn consume_refresh(&self, consume: ConsumeRefresh) -> DbResult<ConsumeOutcome>;

    /// Forgets one refresh token (logout); unknown ones are fine.
    async fn delete_refresh(&self, hash: &str) -> DbResult<()>;

    /// Forgets the refresh token handed out with this access token; unknown ones are fine.
    async fn delete_refresh_of_access(&self, access_hash: &str) -> DbResult<()>;

    /// Revokes everything a user holds: refresh tokens are forgotten and a user-wide revocation is
    /// written, in one transaction. Hits access tokens issued at or before `now`. Returns how many
    /// refresh tokens that were still good went.
    async fn revoke_user(&self, user: UserId, now: UnixMillis, until: UnixMillis) -> DbResult<u64>;

    /// Writes a revocation; a second one for the same key keeps the later times.
    async fn add_revocation(&self, revocation: Revocation) -> DbResult<()>;

    /// Whether an access token was revoked: by its hash, or with its user at or after `issued_at`.
    async fn is_revoked(
        &self,
        token_hash: &str,
        user: UserId,
        issued_at: UnixMillis,
        now: UnixMillis,
    ) -> DbResult<bool>;

    /// Revocations that count, in a stable order, behind `after`; at most
    /// [`MAX_MEMBER_PAGE`](super::MAX_MEMBER_PAGE).
    async fn revocations(
        &self,
        now: UnixMillis,
        after: Option<RevocationKey>,
        limit: u32,
    ) -> DbResult<Vec<Revocation>>;

    /// Forgets what expired before `now`; returns how many rows went, at most `limit`.
    async fn purge_tokens(&self, now: UnixMillis, limit: u32) -> DbResult<u64>;
}
