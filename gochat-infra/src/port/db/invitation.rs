//! Uses of invitation codes. Only hashes are stored.

use async_trait::async_trait;

use super::DbResult;

/// Counts of invitation codes.
#[async_trait]
pub trait InvitationStore: Send + Sync {
    /// Takes one use of a code of which there are `most`; false when all are taken. Of racers no
    /// more than `most` get one.
    async fn use_code(&self, code: &str, most: u32) -> DbResult<bool>;

    /// Gives a use back: no account was made. An unknown code is fine.
    async fn return_code(&self, code: &str) -> DbResult<()>;
}
