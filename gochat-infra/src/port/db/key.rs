//! Keys that sign tokens. Private halves are opaque: whoever asks has encrypted them.

use async_trait::async_trait;
use gochat_core::ids::UnixMillis;

use super::DbResult;

/// A signing key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRow {
    /// 1 for the first key, then one more for each.
    pub generation: i64,
    /// Name of the key in the header of its tokens; at most 64 characters.
    pub kid: String,
    /// Name of the algorithm.
    pub algorithm: String,
    /// Public half, in a text form of the caller's choice; at most 512 characters.
    pub public_key: String,
    /// Private half, encrypted by the caller; at most 2,048 characters.
    pub sealed_key: String,
    /// When the key was published.
    pub created_at: UnixMillis,
    /// First instant at which the key signs.
    pub signs_from: UnixMillis,
    /// First instant at which the key verifies no more; `None` while no newer key exists.
    pub retires_at: Option<UnixMillis>,
}

/// Signing keys.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Keys that have not retired at `now`, in the order of their generations.
    async fn signing_keys(&self, now: UnixMillis) -> DbResult<Vec<SigningKeyRow>>;

    /// Adds a key, sets when the key of the generation before retires, and deletes keys that have
    /// retired at the new key's `created_at`, in one transaction. Of two callers that add the same
    /// generation one gets `true`; the other gets `false` and changes nothing. Also `false` for a
    /// generation whose predecessor is missing, unless it is the first.
    ///
    /// Repeating an addition that took effect returns `true`.
    async fn add_signing_key(
        &self,
        key: SigningKeyRow,
        previous_retires_at: UnixMillis,
    ) -> DbResult<bool>;

    /// Lets a key retire at `at`, unless it does earlier. `false` when there is no such key.
    /// Repeating it changes nothing.
    async fn retire_signing_key(&self, kid: &str, at: UnixMillis) -> DbResult<bool>;
}
