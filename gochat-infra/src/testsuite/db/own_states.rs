//! Own states of users, on every adapter.

use gochat_core::error::ErrorCode;
use gochat_core::own_state::{OwnChange, OwnState, PINNED_MAX};

use super::*;
use crate::port::db::{ListQuery, OwnOutcome};

fn pin(is_pinned: bool) -> OwnChange {
    OwnChange {
        is_pinned: Some(is_pinned),
        ..OwnChange::default()
    }
}

fn mark() -> OwnChange {
    OwnChange {
        is_marked_unread: Some(true),
        ..OwnChange::default()
    }
}

async fn change(
    db: &SharedDatabase,
    who: u64,
    id: ConversationId,
    change: OwnChange,
    at: UnixMillis,
) -> DbResult<OwnOutcome> {
    db.change_own_state(user(who), id, change, at).await
}

async fn state(db: &SharedDatabase, who: u64, id: ConversationId) -> OwnState {
    db.own_state(user(who), id).await.expect("a state")
}

async fn synced(db: &SharedDatabase, who: u64, since: UnixMillis) -> Vec<ConversationId> {
    let query = ListQuery {
        updated_after: Some(since),
        ..ListQuery::first(user(who), 50)
    };
    let page = db.list_for_user(query).await.expect("a page");
    page.entries.iter().map(|e| e.conversation.id).collect()
}

/// Fields that are not named stay; the list tells the state to its user, and to no other one.
pub async fn an_own_state_is_merged_and_listed(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        add_user(&db, n).await;
    }
    let (chat, world) = (single(1, 2), ConversationId::World);
    open(&db, chat, 1, &[]).await;
    assert_eq!(state(&db, 1, chat).await, OwnState::default());
    let everything = OwnChange {
        mute_until: Some(Some(0)),
        is_archived: Some(true),
        draft: Some("begun é".to_owned()),
        ..mark()
    };
    let first = change(&db, 1, chat, everything.clone(), NOW + 50).await;
    let first = first.expect("changed");
    let expected = OwnState {
        mute_until: Some(0),
        is_pinned: false,
        is_archived: true,
        is_marked_unread: true,
        draft: "begun é".to_owned(),
        version: 1,
        ..OwnState::default()
    };
    assert_eq!((&first.state, first.changed), (&expected, true));
    let again = change(&db, 1, chat, everything, NOW + 60).await;
    let again = again.expect("a repeat");
    assert_eq!((&again.state, again.changed), (&expected, false));
    let pinned = change(&db, 1, chat, pin(true), NOW + 70).await;
    let pinned = pinned.expect("changed").state;
    let expected = OwnState {
        is_pinned: true,
        version: 2,
        ..expected
    };
    assert_eq!(pinned, expected);
    assert_eq!(state(&db, 1, chat).await, expected);
    assert_eq!(state(&db, 2, chat).await, OwnState::default());
    change(&db, 1, world, pin(true), NOW + 80)
        .await
        .expect("everybody is in the world chat");
    for (who, own) in [(1, Some(expected)), (2, None)] {
        let page = db.list_for_user(ListQuery::first(user(who), 50)).await;
        let page = page.expect("a page");
        let entry = page.entries.iter().find(|e| e.conversation.id == chat);
        assert_eq!(entry.expect("in the list").own, own);
    }
}

/// A user that was away finds the change in the sync; other users don't, and the order stays.
pub async fn an_own_state_that_changed_is_in_the_sync(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        add_user(&db, n).await;
    }
    open(&db, group(1), 1, &[2]).await;
    open(&db, group(2), 1, &[2]).await;
    save(&db, run_of(group(2), [1], 1), NOW + 5).await;
    change(&db, 1, group(1), pin(true), NOW + 50)
        .await
        .expect("pinned");
    assert_eq!(synced(&db, 1, NOW + 20).await, [group(1)]);
    assert!(synced(&db, 2, NOW + 20).await.is_empty());
    assert!(synced(&db, 1, NOW + 60).await.is_empty());
    let page = db.list_for_user(ListQuery::first(user(1), 1)).await;
    let page = page.expect("a page");
    assert_eq!(page.entries[0].conversation.id, group(2), "by activity");
}

/// A report of reading ends the mark, also when the pointer stays.
pub async fn reading_ends_a_mark_as_unread(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        add_user(&db, n).await;
    }
    let chat = single(1, 2);
    open(&db, chat, 1, &[]).await;
    save(&db, run_of(chat, 1..=3, 1), NOW).await;
    let read = async |at| {
        let outcome = db.advance_pointer(user(2), chat, 3, at).await;
        let outcome = outcome.expect("read");
        (outcome.changed, outcome.unmarked)
    };
    assert_eq!(read(NOW + 10).await, (true, false));
    change(&db, 2, chat, mark(), NOW + 20)
        .await
        .expect("marked");
    change(&db, 1, chat, mark(), NOW + 20)
        .await
        .expect("marked");
    save(&db, run_of(chat, [4], 1), NOW + 30).await;
    assert!(state(&db, 2, chat).await.is_marked_unread);
    assert_eq!(read(NOW + 40).await, (false, true));
    assert_eq!(read(NOW + 50).await, (false, false));
    let after = state(&db, 2, chat).await;
    assert_eq!((after.is_marked_unread, after.version), (false, 2));
    assert_eq!(synced(&db, 2, NOW + 35).await, [chat]);
    assert!(
        state(&db, 1, chat).await.is_marked_unread,
        "of the other one"
    );
}

/// Strangers have no state, and it ends with the membership.
pub async fn an_own_state_ends_with_the_membership(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, group(1), 1, &[2]).await;
    let stranger = change(&db, 3, group(1), pin(true), NOW).await;
    assert_eq!(code(stranger), ErrorCode::NotConversationMember);
    change(&db, 2, group(1), pin(true), NOW)
        .await
        .expect("pinned");
    db.remove_member(group(1), user(2), NOW)
        .await
        .expect("removed");
    assert_eq!(state(&db, 2, group(1)).await, OwnState::default());
}

/// Racing pins take turns: there is never one more than the limit.
pub async fn racing_pins_never_pass_the_limit(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    let max = u64::from(PINNED_MAX);
    for n in 1..=max + 3 {
        open(&db, group(n), 1, &[]).await;
    }
    for n in 1..max {
        change(&db, 1, group(n), pin(true), NOW)
            .await
            .expect("room for it");
    }
    let racers = (max..=max + 3).map(|n| {
        let db = db.clone();
        tokio::spawn(async move { change(&db, 1, group(n), pin(true), NOW).await })
    });
    let mut refusals = 0;
    for racer in racers.collect::<Vec<_>>() {
        if let Err(error) = racer.await.expect("no panic") {
            assert_eq!(error.code(), ErrorCode::TooManyPins);
            refusals += 1;
        }
    }
    assert_eq!(refusals, 3);
    change(&db, 1, group(1), pin(false), NOW)
        .await
        .expect("taken off");
    change(&db, 1, ConversationId::World, pin(true), NOW)
        .await
        .expect("room again");
}
