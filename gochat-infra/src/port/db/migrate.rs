//! Schema migrations.

use async_trait::async_trait;
use gochat_core::ids::UnixMillis;

use super::DbResult;

/// One known migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Number; migrations run in this order.
    pub number: u32,
    /// Short name.
    pub name: String,
    /// When it was applied; `None` while it waits.
    pub applied_at: Option<UnixMillis>,
    /// The text that was applied is the text this program carries. `true` while it waits.
    pub checksum_matches: bool,
}

/// Schema migrations: numbered, checksummed, each in a transaction of its own.
///
/// The database of a newer program (an unknown number is applied) is refused by `up` and `down`, unless what is unknown
/// is only [additive](is_additive).
#[async_trait]
pub trait Migrator: Send + Sync {
    /// All known migrations in order.
    async fn migration_status(&self) -> DbResult<Vec<MigrationStatus>>;

    /// Applies what waits and returns it. Refused when the text of an applied one changed.
    async fn migrate_up(&self, now: UnixMillis) -> DbResult<Vec<MigrationStatus>>;

    /// Takes the newest `steps` applied migrations back and returns them. **Loses their data.**
    async fn migrate_down(&self, steps: u32) -> DbResult<Vec<MigrationStatus>>;
}

/// Whether the migration of this name only adds what older programs don't look at, so that they run on beside newer
/// ones and start again after it was applied: names of such migrations begin with `+`.
///
/// ```
/// assert!(gochat_infra::port::db::is_additive("+client_ids"));
/// ```
pub fn is_additive(name: &str) -> bool {
    name.starts_with('+')
}
