//! Audit records.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::UnixMillis;

use super::SqliteDatabase;
use super::query::{binds, execute, rows, statements};
use crate::port::db::{AuditQuery, AuditRow, AuditStore, DbResult, MAX_AUDIT_PAGE};
use crate::sql::audit::{before, pattern};

statements! {
    Append = "INSERT INTO audit_records (id, at, actor, action, target, address, outcome, detail) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
    ListAll = "SELECT id, at, actor, action, target, address, outcome, detail FROM audit_records \
               WHERE id < ?1 AND at >= ?2 AND (?3 = '' OR action = ?3 OR action LIKE ?4) \
               ORDER BY id DESC LIMIT 0 + ?5";
    ListOf = "SELECT id, at, actor, action, target, address, outcome, detail FROM audit_records \
              WHERE id IN (SELECT id FROM (SELECT id FROM audit_records \
              WHERE actor = ?6 AND id < ?1 AND at >= ?2 \
              AND (?3 = '' OR action = ?3 OR action LIKE ?4) ORDER BY id DESC LIMIT 0 + ?5) \
              UNION SELECT id FROM (SELECT id FROM audit_records \
              WHERE target = ?6 AND id < ?1 AND at >= ?2 \
              AND (?3 = '' OR action = ?3 OR action LIKE ?4) ORDER BY id DESC LIMIT 0 + ?5)) \
              ORDER BY id DESC LIMIT 0 + ?5";
    Purge = "DELETE FROM audit_records WHERE id IN \
             (SELECT id FROM audit_records WHERE at < ?1 LIMIT 0 + ?2)";
}

fn append(conn: &mut SqliteConnection, records: &[AuditRow]) -> DbResult<u64> {
    let mut new = 0;
    for r in records.iter().take(MAX_AUDIT_PAGE as usize) {
        let binds = binds![
            r.id, r.at, &r.actor, &r.action, &r.target, &r.address, &r.outcome, &r.detail,
        ];
        new += execute::<Append>(conn, &binds)? as u64;
    }
    Ok(new)
}

fn list(conn: &mut SqliteConnection, query: &AuditQuery) -> DbResult<Vec<AuditRow>> {
    let action = query.action.as_deref().unwrap_or_default();
    let limit = query.limit.min(MAX_AUDIT_PAGE);
    let (before, pattern) = (before(query), pattern(action));
    match &query.subject {
        None => rows::<ListAll, _>(conn, &binds![before, query.since, action, &pattern, limit]),
        Some(subject) => rows::<ListOf, _>(
            conn,
            &binds![before, query.since, action, &pattern, limit, subject],
        ),
    }
}

#[async_trait]
impl AuditStore for SqliteDatabase {
    async fn append_audit(&self, records: Vec<AuditRow>) -> DbResult<u64> {
        self.write(records.len(), move |conn| append(conn, &records))
            .await
    }

    async fn audit(&self, query: AuditQuery) -> DbResult<Vec<AuditRow>> {
        self.read(move |conn| list(conn, &query)).await
    }

    async fn purge_audit(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(limit as usize, move |conn| {
            execute::<Purge>(conn, &binds![before, limit]).map(|n| n as u64)
        })
        .await
    }
}
