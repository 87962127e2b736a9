//! Migrations.

use super::*;

/// What `down` undoes `up` makes again.
pub async fn migrations_go_up_down_and_up_again(subject: Subject) {
    let db = subject.db();
    let status = db.migration_status().await.expect("a status");
    assert!(!status.is_empty());
    assert!(
        status
            .iter()
            .all(|m| m.applied_at.is_some() && m.checksum_matches)
    );
    let numbers: Vec<_> = status.iter().map(|m| m.number).collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "each number once, in order: {numbers:?}"
    );
    assert!(db.migrate_up(NOW).await.expect("nothing to do").is_empty());

    open(&db, group(1), 1, &[2]).await;
    let undone = db.migrate_down(u32::MAX).await.expect("down");
    assert_eq!(undone.len(), status.len());
    let waiting = db.migration_status().await.expect("a status");
    assert!(waiting.iter().all(|m| m.applied_at.is_none()));

    let applied = db.migrate_up(NOW + 5).await.expect("up");
    assert_eq!(applied.len(), status.len());
    assert!(applied.iter().all(|m| m.applied_at == Some(NOW + 5)));
    assert_eq!(db.conversation(group(1)).await.expect("read"), None);
    assert!(
        db.conversation(ConversationId::World)
            .await
            .expect("read")
            .is_some()
    );
    db.ping().await.expect("it answers");
}
