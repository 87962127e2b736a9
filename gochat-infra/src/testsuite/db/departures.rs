//! What the end of an account does to groups and friends.

use gochat_core::error::ErrorCode;
use gochat_core::membership::{GroupAct, GroupCommand};

use super::friends::{ask, befriend, friends, of};
use super::*;
use crate::port::db::{
    AddMembers, DeleteUser, FriendQuery, FriendStatus, RequestQuery, RequestSide, UserStatus,
};

fn deleting(n: u64) -> DeleteUser {
    DeleteUser {
        user: user(n),
        now: NOW + 5_000,
        tokens_expire_at: NOW + 9_000,
    }
}

fn adding(id: ConversationId, who: u64) -> AddMembers {
    AddMembers {
        conversation: id,
        users: vec![user(who)],
        role: 1,
        max_members: 0,
        now: NOW + 10,
    }
}

async fn is_deleted(db: &SharedDatabase, n: u64) -> bool {
    let row = db.user(user(n)).await.expect("read").expect("there");
    row.status == UserStatus::Deleted
}

async fn is_member(db: &SharedDatabase, id: ConversationId, n: u64) -> bool {
    let row = db.member(id, user(n)).await.expect("read");
    row.is_some()
}

/// Members of living groups are not deleted, and whoever is deleted becomes no member.
pub async fn a_deleted_account_is_in_no_living_group(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, group(1), 1, &[2]).await;
    open(&db, group(2), 1, &[2]).await;
    open(&db, single(2, 3), 2, &[3]).await;
    let refused = db.delete_user(deleting(2)).await;
    assert_eq!(code(refused), ErrorCode::VersionConflict);
    assert!(!is_deleted(&db, 2).await);
    db.remove_member(group(1), user(2), NOW + 20)
        .await
        .expect("removed");
    let refused = db.delete_user(deleting(2)).await;
    assert_eq!(code(refused), ErrorCode::VersionConflict);
    let dissolve = GroupCommand::of(user(1), GroupAct::Dissolve);
    db.command(group(2), dissolve, NOW + 30)
        .await
        .expect("dissolved");
    // A dissolved group and a chat of two don't count.
    for _ in 0..2 {
        db.delete_user(deleting(2)).await.expect("deleted");
    }
    let added = db.add_members(adding(group(1), 2)).await.expect("judged");
    assert!(added.added.is_empty());
    open(&db, group(3), 1, &[2, 3]).await;
    assert!(is_member(&db, group(3), 3).await);
    for id in [group(1), group(3)] {
        assert!(!is_member(&db, id, 2).await);
    }
    let by_nobody = db.create_conversation(conversation(group(4), 2, &[1]));
    assert_eq!(code(by_nobody.await), ErrorCode::UserNotFound);
}

/// An addition and a deletion at once end as one of their orders would.
pub async fn an_addition_that_races_with_a_deletion_leaves_no_deleted_member(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    for n in 2..=25 {
        add_user(&db, n).await;
        let id = group(n);
        open(&db, id, 1, &[]).await;
        let (adder, deleter) = (db.clone(), db.clone());
        let add = tokio::spawn(async move { adder.add_members(adding(id, n)).await });
        let delete = tokio::spawn(async move { deleter.delete_user(deleting(n)).await });
        let added = add.await.expect("no panic").expect("judged");
        let deleted = delete.await.expect("no panic");
        match deleted {
            Ok(_) => assert!(added.added.is_empty(), "the deletion came first"),
            refused => assert_eq!(code(refused), ErrorCode::VersionConflict),
        }
        let (deleted, member) = (is_deleted(&db, n).await, is_member(&db, id, n).await);
        assert!(
            deleted != member,
            "user {n}: deleted {deleted}, member {member}"
        );
    }
}

/// Friends lose the friend, and open requests are no longer open, for both sides and in deltas.
pub async fn a_deleted_account_ends_friendships_and_requests(subject: Subject) {
    let db = subject.db();
    for n in 1..=6 {
        add_user(&db, n).await;
    }
    befriend(&db, 1, 1, 2).await;
    befriend(&db, 2, 3, 1).await;
    befriend(&db, 3, 2, 3).await;
    ask(&db, 4, 1, 4).await.expect("asked");
    ask(&db, 5, 5, 1).await.expect("asked");
    db.set_blocked(user(6), user(1), true, request_id(900), NOW + 200)
        .await
        .expect("blocked");
    for _ in 0..2 {
        db.delete_user(deleting(1)).await.expect("deleted");
    }
    for (who, left) in [(2, vec![user(3)]), (3, vec![user(2)])] {
        let page = friends(&db, of(who)).await;
        let ids: Vec<_> = page.friends.iter().map(|f| f.friend_id).collect();
        assert_eq!(ids, left);
        let query = FriendQuery {
            updated_after: Some(NOW + 4_999),
            ..of(who)
        };
        assert_eq!(friends(&db, query).await.removed, [user(1)]);
    }
    assert!(!db.are_friends(user(1), user(2)).await.expect("read"));
    for (who, side) in [(4, RequestSide::Received), (5, RequestSide::Sent)] {
        let query = RequestQuery {
            user: user(who),
            side,
            status: None,
            updated_since: Some(NOW + 5_000),
            after: None,
            limit: 10,
        };
        let page = db.requests(query).await.expect("read");
        let states: Vec<_> = page.requests.iter().map(|r| r.request.status).collect();
        assert_eq!(states, [FriendStatus::Rejected], "user {who}");
    }
    // A block of the account's stays: the one who set it may lift it.
    assert!(db.are_blocked(user(6), user(1)).await.expect("read"));
    assert_eq!(code(ask(&db, 9, 2, 1).await), ErrorCode::UserNotFound);
}
