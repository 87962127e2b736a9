//! Audit records.

use async_trait::async_trait;
use gochat_core::ids::UnixMillis;

use super::MysqlDatabase;
use super::query::{At, Conn, binds, execute, rows, statements};
use super::run::work;
use crate::port::db::{AuditQuery, AuditRow, AuditStore, DbResult, MAX_AUDIT_PAGE};
use crate::sql::audit::{before, pattern};

statements! {
    Append = "INSERT IGNORE INTO audit_records \
              (id, at, actor, action, target, address, outcome, detail) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    ListAll = "SELECT id, at, actor, action, target, address, outcome, detail FROM audit_records \
               WHERE id < ?1 AND at >= ?2 AND (?3 = '' OR action = ?3 OR action LIKE ?4) \
               ORDER BY id DESC LIMIT ?5";
    ListOf = "SELECT r.id, r.at, r.actor, r.action, r.target, r.address, r.outcome, r.detail \
              FROM audit_records r JOIN ((SELECT id FROM audit_records \
              WHERE actor = ?6 AND id < ?1 AND at >= ?2 \
              AND (?3 = '' OR action = ?3 OR action LIKE ?4) ORDER BY id DESC LIMIT ?5) \
              UNION (SELECT id FROM audit_records \
              WHERE target = ?6 AND id < ?1 AND at >= ?2 \
              AND (?3 = '' OR action = ?3 OR action LIKE ?4) ORDER BY id DESC LIMIT ?5)) \
              AS found ON found.id = r.id ORDER BY r.id DESC LIMIT ?5";
    Purge = "DELETE FROM audit_records WHERE at < ?1 ORDER BY at LIMIT ?2";
}

async fn append(conn: &mut Conn, records: &[AuditRow]) -> DbResult<u64> {
    let mut new = 0;
    for r in records.iter().take(MAX_AUDIT_PAGE as usize) {
        let binds = binds![
            r.id,
            At(r.at),
            &r.actor,
            &r.action,
            &r.target,
            &r.address,
            &r.outcome,
            &r.detail,
        ];
        new += execute::<Append>(conn, &binds).await? as u64;
    }
    Ok(new)
}

async fn list(conn: &mut Conn, query: &AuditQuery) -> DbResult<Vec<AuditRow>> {
    let action = query.action.as_deref().unwrap_or_default();
    let limit = query.limit.min(MAX_AUDIT_PAGE);
    let (before, pattern) = (before(query), pattern(action));
    let since = At(query.since);
    match &query.subject {
        None => {
            let binds = binds![before, since, action, &pattern, limit];
            rows::<ListAll, _>(conn, &binds).await
        }
        Some(subject) => {
            let binds = binds![before, since, action, &pattern, limit, subject];
            rows::<ListOf, _>(conn, &binds).await
        }
    }
}

async fn purge(conn: &mut Conn, &(before, limit): &(UnixMillis, u32)) -> DbResult<u64> {
    let done = execute::<Purge>(conn, &binds![At(before), limit]).await;
    done.map(|n| n as u64)
}

#[async_trait]
impl AuditStore for MysqlDatabase {
    /// Not run again when a commit got lost: the second run would count nothing as new.
    async fn append_audit(&self, records: Vec<AuditRow>) -> DbResult<u64> {
        self.write(false, &[], records, work!(append)).await
    }

    async fn audit(&self, query: AuditQuery) -> DbResult<Vec<AuditRow>> {
        self.read(query, work!(list)).await
    }

    async fn purge_audit(&self, before: UnixMillis, limit: u32) -> DbResult<u64> {
        self.write(false, &[], (before, limit), work!(purge)).await
    }
}
