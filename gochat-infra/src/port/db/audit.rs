//! Audit records: who did what, to whom, when, and with which outcome.

use async_trait::async_trait;
use gochat_core::ids::UnixMillis;

use super::DbResult;

/// Maximum number of audit records in one append and in one page.
pub const MAX_AUDIT_PAGE: u32 = 500;

/// One record. The caller keeps texts within the bounds and secrets out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Unique.
    pub id: i64,
    /// When it happened.
    pub at: UnixMillis,
    /// Who acted; at most 100 characters.
    pub actor: String,
    /// What was done; at most 50 characters.
    pub action: String,
    /// Whom or what it concerned; at most 100 characters.
    pub target: String,
    /// Network address; at most 64 characters.
    pub address: String,
    /// `ok`, or the code of the refusal; at most 50 characters.
    pub outcome: String,
    /// JSON or empty; at most 2,000 bytes.
    pub detail: String,
}

/// Which records to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditQuery {
    /// Actor or target; `None` matches everyone.
    pub subject: Option<String>,
    /// The whole action, or its part before the first dot; `None` matches every action.
    pub action: Option<String>,
    /// Earliest time.
    pub since: UnixMillis,
    /// Records with a smaller id only.
    pub before_id: i64,
    /// Maximum number of records, cut to [`MAX_AUDIT_PAGE`].
    pub limit: u32,
}

/// Audit records.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends records, completely or not at all; records whose id exists already are left as they
    /// are. Returns how many are new. Records beyond [`MAX_AUDIT_PAGE`] are not looked at.
    async fn append_audit(&self, records: Vec<AuditRow>) -> DbResult<u64>;

    /// Records that match, in descending order of ids.
    async fn audit(&self, query: AuditQuery) -> DbResult<Vec<AuditRow>>;

    /// Deletes records older than `before`, at most `limit`; returns how many.
    async fn purge_audit(&self, before: UnixMillis, limit: u32) -> DbResult<u64>;
}
