//! Audit records.

use super::*;
use crate::port::db::{AuditQuery, AuditRow};

fn record(id: i64, actor: &str, action: &str, target: &str) -> AuditRow {
    AuditRow {
        id,
        at: NOW + id.unsigned_abs() * 10,
        actor: actor.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        address: "192.0.2.1".to_owned(),
        outcome: "ok".to_owned(),
        detail: r#"{"device":"phone"}"#.to_owned(),
    }
}

async fn ids(db: &SharedDatabase, query: AuditQuery) -> Vec<i64> {
    let records = db.audit(query).await.expect("records");
    records.into_iter().map(|r| r.id).collect()
}

fn all() -> AuditQuery {
    AuditQuery {
        limit: 100,
        ..AuditQuery::default()
    }
}

async fn append(db: &SharedDatabase, records: Vec<AuditRow>) -> u64 {
    db.append_audit(records).await.expect("appended")
}

/// A repeat of an append whose answer was lost changes nothing.
pub async fn audit_records_are_kept_once(subject: Subject) {
    let db = subject.db();
    let first = record(1, "7", "session.sign_in", "7");
    assert_eq!(append(&db, vec![first.clone()]).await, 1);
    let changed = AuditRow {
        outcome: "forged".to_owned(),
        ..first.clone()
    };
    let second = record(2, "7", "session.sign_out", "7");
    assert_eq!(append(&db, vec![changed, second.clone()]).await, 1);
    assert_eq!(db.audit(all()).await.expect("records"), [second, first]);
}

/// By subject, by action and its family, by time, page by page.
pub async fn audit_records_are_found(subject: Subject) {
    let db = subject.db();
    let records = vec![
        record(1, "7", "session.sign_in", "7"),
        record(2, "7", "group.member_removed", "8"),
        record(3, "8", "session.sign_in", "8"),
        record(4, "operator:ann", "admin.user_disabled", "7"),
        record(5, "9", "session.sign_in_refused", "9"),
    ];
    assert_eq!(append(&db, records).await, 5);
    let of = |subject: &str| AuditQuery {
        subject: Some(subject.to_owned()),
        ..all()
    };
    assert_eq!(ids(&db, of("7")).await, [4, 2, 1]);
    assert_eq!(ids(&db, of("8")).await, [3, 2]);
    let doing = |action: &str| AuditQuery {
        action: Some(action.to_owned()),
        ..all()
    };
    assert_eq!(ids(&db, doing("session.sign_in")).await, [3, 1]);
    assert_eq!(ids(&db, doing("session")).await, [5, 3, 1]);
    assert_eq!(ids(&db, doing("%")).await, [0_i64; 0]);
    let both = AuditQuery {
        action: Some("session".to_owned()),
        ..of("7")
    };
    assert_eq!(ids(&db, both).await, [1]);
    let late = AuditQuery {
        since: NOW + 40,
        ..all()
    };
    assert_eq!(ids(&db, late).await, [5, 4]);
    let page = AuditQuery {
        before_id: 4,
        limit: 2,
        ..all()
    };
    assert_eq!(ids(&db, page).await, [3, 2]);
    let page_of = AuditQuery {
        before_id: 4,
        limit: 1,
        ..of("7")
    };
    assert_eq!(ids(&db, page_of).await, [2]);
}

/// In bounded steps, the oldest first.
pub async fn old_audit_records_are_deleted(subject: Subject) {
    let db = subject.db();
    let records = (1..=5).map(|n| record(n, "7", "session.sign_in", "7"));
    append(&db, records.collect()).await;
    assert_eq!(db.purge_audit(NOW + 40, 2).await.expect("deleted"), 2);
    assert_eq!(db.purge_audit(NOW + 40, 2).await.expect("deleted"), 1);
    assert_eq!(db.purge_audit(NOW + 40, 2).await.expect("deleted"), 0);
    assert_eq!(ids(&db, all()).await, [5, 4]);
}
