//! AuditService: who did what, to whom, when, and with which outcome.

use gochat_core::error::Result;
use gochat_infra::port::db::{AuditQuery, AuditRow, MAX_AUDIT_PAGE};
use gochat_proto::im::repo::v1::{audit_service_server::AuditService, *};

use crate::args;
use crate::rpc::{failed, serve};
use crate::services::api;

/// Page length when the caller names none.
const PAGE: u32 = 50;
/// Maximum number of records deleted by one call.
const PURGE_MAX: u32 = 5_000;
/// Maximum size of a detail in bytes; a longer one is replaced by an object that says so.
const DETAIL_MAX: usize = 2_000;

api!(
    /// Audit records.
    AuditApi
);

serve!(impl AuditService => AuditApi {
    append_audit(AppendAuditRequest) -> AppendAuditResponse;
    list_audit(ListAuditRequest) -> ListAuditResponse;
    purge_audit(PurgeAuditRequest) -> PurgeAuditResponse;
});

impl AuditApi {
    async fn append_audit(&self, request: AppendAuditRequest) -> Result<AppendAuditResponse> {
        if request.records.len() > MAX_AUDIT_PAGE as usize {
            return Err(args::invalid("`records` has at most 500 entries."));
        }
        let rows = request
            .records
            .into_iter()
            .map(row)
            .collect::<Result<_>>()?;
        let appended = self.shared.db.append_audit(rows).await.map_err(failed)?;
        Ok(AppendAuditResponse {
            appended: i32::try_from(appended).unwrap_or(i32::MAX),
        })
    }

    async fn list_audit(&self, request: ListAuditRequest) -> Result<ListAuditResponse> {
        args::optional_text(&request.subject, "subject", 100)?;
        args::optional_text(&request.action, "action", 50)?;
        let limit = args::limit(request.limit, PAGE, MAX_AUDIT_PAGE);
        let named = |text: String| (!text.is_empty()).then_some(text);
        let query = AuditQuery {
            subject: named(request.subject),
            action: named(request.action),
            since: args::seq(request.since_ms, "since_ms")?,
            before_id: request.before_id,
            limit,
        };
        let rows = self.shared.db.audit(query).await.map_err(failed)?;
        let next_before_id = match rows.last() {
            Some(last) if rows.len() >= limit as usize => last.id,
            _ => 0,
        };
        Ok(ListAuditResponse {
            records: rows.into_iter().map(wire).collect(),
            next_before_id,
        })
    }

    async fn purge_audit(&self, request: PurgeAuditRequest) -> Result<PurgeAuditResponse> {
        let before = args::seq(request.before_ms, "before_ms")?;
        let limit = args::limit(request.limit, PURGE_MAX, PURGE_MAX);
        let deleted = self.shared.db.purge_audit(before, limit).await;
        Ok(PurgeAuditResponse {
            deleted: i32::try_from(deleted.map_err(failed)?).unwrap_or(i32::MAX),
        })
    }
}

/// Cuts texts at their maximum: a record is never lost because a name is long.
fn row(record: AuditRecord) -> Result<AuditRow> {
    if record.id <= 0 || record.action.is_empty() || record.outcome.is_empty() {
        return Err(args::invalid(
            "A record has an id, an action and an outcome.",
        ));
    }
    let cut = |text: String, max: usize| match text.char_indices().nth(max) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    };
    let detail = if record.detail.len() > DETAIL_MAX {
        format!(r#"{{"cut":{}}}"#, record.detail.len())
    } else {
        record.detail
    };
    Ok(AuditRow {
        id: record.id,
        at: args::seq(record.at_ms, "at_ms")?,
        actor: cut(record.actor, 100),
        action: cut(record.action, 50),
        target: cut(record.target, 100),
        address: cut(record.address, 64),
        outcome: cut(record.outcome, 50),
        detail,
    })
}

fn wire(row: AuditRow) -> AuditRecord {
    AuditRecord {
        id: row.id,
        at_ms: i64::try_from(row.at).unwrap_or(i64::MAX),
        actor: row.actor,
        action: row.action,
        target: row.target,
        address: row.address,
        outcome: row.outcome,
        detail: row.detail,
    }
}
