//! Conversations.

use gochat_core::error::ErrorCode;

use super::*;
use crate::port::db::{AddMembers, ConversationPatch};

/// Rows and counts appear together.
pub async fn a_new_group_has_an_owner_and_its_members(subject: Subject) {
    let db = subject.db();
    let made = open(&db, group(7), 1, &[2, 3, 2, 1]).await;
    assert!(!made.already_existed);
    assert_eq!(made.conversation.owner_id, Some(user(1)));
    assert_eq!(made.conversation.member_count, 3);
    let role = async |n| {
        db.member(group(7), user(n))
            .await
            .expect("read")
            .map(|m| m.role)
    };
    assert_eq!(
        (role(1).await, role(2).await, role(9).await),
        (Some(3), Some(1), None)
    );
    let again = open(&db, group(7), 1, &[4]).await;
    assert!(again.already_existed);
    assert_eq!(again.conversation, made.conversation);
    assert_eq!(
        db.conversation(group(7)).await.expect("read"),
        Some(made.conversation)
    );
}

/// Whoever of the pair asks.
pub async fn creating_a_single_chat_again_returns_the_first(subject: Subject) {
    let db = subject.db();
    let first = open(&db, single(1, 2), 1, &[]).await;
    assert_eq!(first.conversation.member_count, 2);
    assert_eq!(first.conversation.owner_id, None);
    let again = open(&db, single(1, 2), 2, &[]).await;
    assert!(again.already_existed);
    assert_eq!(again.conversation, first.conversation);
}

/// One creates, all get the same row.
pub async fn racing_creators_of_a_single_chat_get_one_chat(subject: Subject) {
    let db = subject.db();
    let racers = (0..8).map(|n| {
        let db = db.clone();
        tokio::spawn(async move { open(&db, single(1, 2), 1 + n % 2, &[]).await })
    });
    let mut made = 0;
    for racer in racers.collect::<Vec<_>>() {
        let created = racer.await.expect("no panic");
        made += u32::from(!created.already_existed);
        assert_eq!(created.conversation.member_count, 2);
    }
    assert_eq!(made, 1);
    assert_eq!(
        db.member_ids(single(1, 2), None, 10)
            .await
            .expect("read")
            .len(),
        2
    );
}

/// The first migration makes it.
pub async fn world_exists_from_the_start(subject: Subject) {
    let db = subject.db();
    let world = db
        .conversation(ConversationId::World)
        .await
        .expect("read")
        .expect("there");
    assert_eq!((world.last_seq_id, world.member_count), (0, 0));
    let both = db
        .conversations(&[ConversationId::World, group(1)])
        .await
        .expect("read");
    assert_eq!(both, [world]);
}

fn rename(name: &str, seen: Option<UnixMillis>) -> ConversationPatch {
    ConversationPatch {
        name: Some(name.to_owned()),
        expected_updated_at: seen,
        ..ConversationPatch::default()
    }
}

/// Optimistic locking.
pub async fn an_update_based_on_old_data_is_refused(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let seen = Some(NOW);
    let row = db
        .update_conversation(group(1), rename("a", seen), NOW + 5)
        .await
        .expect("fresh");
    assert_eq!(
        (row.name.as_str(), row.updated_at),
        ("a", NOW + 1_000),
        "a second of its own"
    );
    let late = db
        .update_conversation(group(1), rename("b", seen), NOW + 6)
        .await;
    assert_eq!(code(late), ErrorCode::VersionConflict);
    let row = db
        .update_conversation(group(1), rename("c", None), NOW + 7)
        .await
        .expect("blind");
    assert_eq!(row.name, "c");
    let settings = ConversationPatch {
        settings: Some("{}".to_owned()),
        ..ConversationPatch::default()
    };
    let row = db
        .update_conversation(group(1), settings, NOW + 8)
        .await
        .expect("there");
    assert_eq!((row.name.as_str(), row.settings.as_str()), ("c", "{}"));
    let absent = db
        .update_conversation(group(2), rename("x", None), NOW)
        .await;
    assert_eq!(code(absent), ErrorCode::ConversationNotFound);
}

/// A busy group can still be renamed.
pub async fn new_messages_do_not_make_an_update_conflict(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW + 50).await;
    let row = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.updated_at, NOW + 50);
    db.update_conversation(group(1), rename("a", Some(NOW)), NOW + 60)
        .await
        .expect("no conflict");
}

/// History and members stay.
pub async fn a_dissolved_group_keeps_its_rows_and_takes_no_changes(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    save(&db, run_of(group(1), 1..=2, 1), NOW + 1).await;
    let row = db.dissolve(group(1), NOW + 5).await.expect("there");
    assert!(row.dissolved);
    assert_eq!(
        db.dissolve(group(1), NOW + 9)
            .await
            .expect("again")
            .updated_at,
        row.updated_at
    );
    let renamed = db
        .update_conversation(group(1), rename("x", None), NOW + 10)
        .await;
    assert_eq!(code(renamed), ErrorCode::ConversationDissolved);
    let add = AddMembers {
        conversation: group(1),
        users: vec![user(3)],
        role: 1,
        max_members: 0,
        now: NOW + 10,
    };
    assert_eq!(
        code(db.add_members(add).await),
        ErrorCode::ConversationDissolved
    );
    assert!(
        db.message(message(group(1), 2, 1).id, None)
            .await
            .expect("read")
            .is_some()
    );
    assert_eq!(
        code(db.dissolve(group(9), NOW).await),
        ErrorCode::ConversationNotFound
    );
}
