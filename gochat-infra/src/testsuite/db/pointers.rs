//! Read pointers and unread counts.

use gochat_core::error::ErrorCode;

use super::*;
use crate::port::db::{AddMembers, ReadOutcome};

async fn read_to(db: &SharedDatabase, who: u64, id: ConversationId, seq: SeqId) -> ReadOutcome {
    db.advance_pointer(user(who), id, seq, NOW + seq)
        .await
        .expect("a pointer")
}

/// Greatest wins, in whatever order they arrive.
pub async fn a_pointer_never_moves_back_under_concurrency(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=50, 1), NOW).await;
    let racers = (1..=50_u64).rev().map(|seq| {
        let db = db.clone();
        tokio::spawn(async move { read_to(&db, 2, single(1, 2), (seq * 7) % 51).await })
    });
    for racer in racers.collect::<Vec<_>>() {
        let outcome = racer.await.expect("no panic");
        assert!(outcome.pointer >= outcome.previous);
        assert_eq!(outcome.changed, outcome.pointer > outcome.previous);
        assert_eq!(outcome.unread, outcome.head - outcome.pointer);
    }
    let (seq, _) = db
        .pointer(user(2), single(1, 2))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(seq, 50);
    let back = read_to(&db, 2, single(1, 2), 3).await;
    assert_eq!((back.pointer, back.changed), (50, false));
}

/// Zero means the head; more than the head means the head.
pub async fn a_pointer_never_passes_the_head(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=5, 1), NOW).await;
    let outcome = read_to(&db, 2, single(1, 2), 9).await;
    let expected = ReadOutcome {
        previous: 0,
        pointer: 5,
        head: 5,
        unread: 0,
        changed: true,
        unmarked: false,
    };
    assert_eq!(outcome, expected);
    save(&db, run_of(single(1, 2), 6..=7, 1), NOW).await;
    assert_eq!(unread(&db, 2, single(1, 2)).await, Some(2));
    assert_eq!(read_to(&db, 2, single(1, 2), 0).await.pointer, 7);
    let absent = db.advance_pointer(user(2), group(9), 1, NOW).await;
    assert_eq!(code(absent), ErrorCode::ConversationNotFound);
}

/// Sending moves the author's pointer to the newest own message, and only the author's.
pub async fn who_writes_has_read(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    let batch = vec![
        message(group(1), 1, 1),
        message(group(1), 2, 2),
        message(group(1), 3, 1),
        message(group(1), 4, 2),
        message(group(1), 5, 1),
    ];
    save(&db, batch, NOW).await;
    let counts = [
        unread(&db, 1, group(1)).await,
        unread(&db, 2, group(1)).await,
        unread(&db, 3, group(1)).await,
    ];
    assert_eq!(counts, [Some(0), Some(1), Some(5)]);
}

/// What was said before is history, not unread.
pub async fn a_newcomer_starts_at_the_head(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=40, 1), NOW).await;
    let add = AddMembers {
        conversation: group(1),
        users: vec![user(2)],
        role: 1,
        max_members: 0,
        now: NOW,
    };
    db.add_members(add.clone()).await.expect("added");
    assert_eq!(unread(&db, 2, group(1)).await, Some(0));
    save(&db, run_of(group(1), 41..=42, 1), NOW).await;
    assert_eq!(unread(&db, 2, group(1)).await, Some(2));
    db.remove_member(group(1), user(2), NOW)
        .await
        .expect("removed");
    save(&db, run_of(group(1), 43..=50, 1), NOW).await;
    db.add_members(add).await.expect("added");
    assert_eq!(
        unread(&db, 2, group(1)).await,
        Some(0),
        "coming back is coming new"
    );
}

/// They still stand in the list.
pub async fn recalled_messages_keep_counting_until_read(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=3, 1), NOW).await;
    db.recall(single(1, 2), message(single(1, 2), 2, 1).id, NOW)
        .await
        .expect("recalled");
    assert_eq!(unread(&db, 2, single(1, 2)).await, Some(3));
    read_to(&db, 2, single(1, 2), 2).await;
    assert_eq!(unread(&db, 2, single(1, 2)).await, Some(1));
}

/// Nothing leaks through the count.
pub async fn strangers_have_no_unread_count(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=3, 1), NOW).await;
    assert_eq!(unread(&db, 3, single(1, 2)).await, None);
    let all = db.unread_counts(user(3), &[]).await.expect("counts");
    assert_eq!(all, [(ConversationId::World, 0)]);
    let mut all = db.unread_counts(user(2), &[]).await.expect("counts");
    all.sort_unstable();
    assert_eq!(all, [(single(1, 2), 3), (ConversationId::World, 0)]);
}

/// Nobody gets a million unread messages as a welcome.
pub async fn world_counts_only_after_it_was_opened(subject: Subject) {
    let db = subject.db();
    let world = ConversationId::World;
    save(&db, run_of(world, 1..=10, 1), NOW).await;
    assert_eq!(unread(&db, 2, world).await, Some(0));
    read_to(&db, 2, world, 4).await;
    assert_eq!(unread(&db, 2, world).await, Some(6));
    assert_eq!(unread(&db, 1, world).await, Some(0));
}
