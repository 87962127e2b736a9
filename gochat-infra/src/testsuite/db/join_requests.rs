//! Requests to join groups.

use gochat_core::membership::{JoinStatus, LinkTerms};

use super::*;
use crate::port::db::{JoinRequestRow, NewJoinRequest, NewLink};

const OPEN: &str = r#"{"group_settings":{"allow_join_requests":true}}"#;

fn wish(id: u64, to: u64, whom: u64) -> NewJoinRequest {
    NewJoinRequest {
        id: request_id(id),
        conversation: group(to),
        user: user(whom),
        text: format!("please {id}"),
        link: None,
        cap_user: 2,
        cap_group: 3,
        cooldown: 5_000,
        now: NOW,
        expires_at: NOW + 10_000,
    }
}

async fn ask(db: &SharedDatabase, new: NewJoinRequest) -> JoinRequestRow {
    db.ask_to_join(new).await.expect("asked").0
}

/// Groups 1 to 4 of owner 1 with member 2, all but group 4 open to requests; users 3 to 9 are
/// strangers.
async fn stage(db: &SharedDatabase) {
    for n in 1..=9 {
        add_user(db, n).await;
    }
    for n in 1..=4 {
        let mut new = conversation(group(n), 1, &[2]);
        if n < 4 {
            new.settings = OPEN.to_owned();
        }
        db.create_conversation(new).await.expect("made");
    }
}

/// One open request per user and group; groups that take none and members are told so.
pub async fn a_request_to_join_is_kept_once(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let (first, made) = db.ask_to_join(wish(1, 1, 3)).await.expect("asked");
    assert!(made && first.status == JoinStatus::Open && first.text == "please 1");
    let (again, made) = db.ask_to_join(wish(2, 1, 3)).await.expect("a repeat");
    assert!(!made && again == first);
    let read = db.join_request(group(1), user(3), NOW).await.expect("read");
    assert_eq!(read, Some(first));
    let closed = db.ask_to_join(wish(3, 4, 3)).await;
    assert_eq!(code(closed), ErrorCode::InsufficientPermission);
    let member = db.ask_to_join(wish(4, 1, 2)).await;
    assert_eq!(code(member), ErrorCode::UserAlreadyInConversation);
    let late = db.join_request(group(1), user(3), NOW + 10_000).await;
    assert_eq!(late.expect("read"), None);
}

/// Open requests of a user and of a group are bounded; ended ones make room.
pub async fn requests_to_join_are_bounded_and_listed(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    ask(&db, wish(1, 1, 3)).await;
    ask(&db, wish(2, 2, 3)).await;
    let beyond = db.ask_to_join(wish(3, 3, 3)).await;
    let beyond = beyond.expect_err("a refusal").code();
    assert_eq!(beyond, ErrorCode::RateLimited);
    ask(&db, wish(4, 1, 4)).await;
    ask(&db, wish(5, 1, 5)).await;
    let beyond = db.ask_to_join(wish(6, 1, 6)).await;
    let beyond = beyond.expect_err("a refusal").code();
    assert_eq!(beyond, ErrorCode::RateLimited);
    let listed = async |after: Option<u64>, limit| {
        let after = after.map(request_id);
        let rows = db.join_requests(group(1), NOW, after, limit).await;
        rows.expect("read")
            .into_iter()
            .map(|row| row.user_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 2).await, [user(3), user(4)]);
    assert_eq!(listed(Some(4), 2).await, [user(5)]);
    // Somebody else added the asker meanwhile.
    let add = crate::port::db::AddMembers {
        conversation: group(1),
        users: vec![user(4)],
        role: 1,
        max_members: 0,
        now: NOW,
    };
    db.add_members(add).await.expect("added");
    assert_eq!(listed(None, 9).await, [user(3), user(5)]);
    let late = NewJoinRequest {
        now: NOW + 20_000,
        expires_at: NOW + 30_000,
        ..wish(7, 1, 6)
    };
    ask(&db, late).await;
}

/// Accepting makes a member once; plain members don't answer; another answer is refused.
pub async fn an_accepted_request_makes_a_member(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    ask(&db, wish(1, 1, 3)).await;
    let answer = |by, accept| db.answer_join_request(group(1), user(3), user(by), accept, NOW);
    assert_eq!(
        code(answer(2, true).await),
        ErrorCode::InsufficientPermission
    );
    assert_eq!(
        code(answer(3, true).await),
        ErrorCode::NotConversationMember
    );
    let done = answer(1, true).await.expect("accepted");
    assert!(done.changed && done.request.status == JoinStatus::Accepted);
    let outcome = done.outcome.expect("a command");
    assert_eq!(outcome.decision.added(), [user(3)]);
    assert_eq!(outcome.conversation.member_count, 3);
    let again = answer(1, true).await.expect("a repeat");
    assert!(!again.changed && again.outcome.is_none());
    assert_eq!(code(answer(1, false).await), ErrorCode::JoinRequestHandled);
    let unknown = db
        .answer_join_request(group(1), user(9), user(1), true, NOW)
        .await;
    assert_eq!(code(unknown), ErrorCode::JoinRequestNotFound);
}

/// A refused user has to wait; in a full group the request stays open.
pub async fn a_refused_request_changes_nothing_else(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    ask(&db, wish(1, 1, 3)).await;
    let refuse = || db.answer_join_request(group(1), user(3), user(1), false, NOW);
    assert!(refuse().await.expect("refused").changed);
    assert!(!refuse().await.expect("a repeat").changed);
    assert_eq!(db.member(group(1), user(3)).await.expect("read"), None);
    let soon = db.ask_to_join(wish(2, 1, 3)).await;
    assert_eq!(soon.expect_err("a refusal").code(), ErrorCode::RateLimited);
    let later = NewJoinRequest {
        now: NOW + 5_000,
        ..wish(3, 1, 3)
    };
    assert_eq!(ask(&db, later).await.status, JoinStatus::Open);

    let patch = crate::port::db::ConversationPatch {
        settings: Some(r#"{"group_settings":{"max_members":2}}"#.to_owned()),
        ..Default::default()
    };
    db.update_conversation(group(1), patch, NOW)
        .await
        .expect("set");
    let full = db.answer_join_request(group(1), user(3), user(1), true, NOW + 5_000);
    let full = full.await.expect("judged");
    assert!(!full.changed && full.request.status == JoinStatus::Open);
    let failed = &full.outcome.expect("a command").decision.failed[0];
    assert_eq!(failed.error.code, ErrorCode::ConversationFull);
}

/// Where joining needs approval, the link of a plain member makes a request, which is a use.
pub async fn a_link_of_a_plain_member_asks_where_approval_is_needed(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let patch = crate::port::db::ConversationPatch {
        settings: Some(r#"{"group_settings":{"join_approval_required":true}}"#.to_owned()),
        ..Default::default()
    };
    db.update_conversation(group(4), patch, NOW)
        .await
        .expect("set");
    let link = |n: u32, creator| NewLink {
        code: format!("{n:032x}"),
        conversation: group(4),
        creator: user(creator),
        terms: LinkTerms {
            max_uses: 1,
            expires_at: NOW + 10_000,
        },
        cap: 9,
        now: NOW,
    };
    let of_member = db.create_link(link(1, 2)).await.expect("made").code;
    let direct = db.use_link(&of_member, user(3), NOW).await;
    assert_eq!(code(direct), ErrorCode::InsufficientPermission);
    let by_link = |id, whom| NewJoinRequest {
        link: Some(of_member.clone()),
        ..wish(id, 4, whom)
    };
    let elsewhere = NewJoinRequest {
        conversation: group(1),
        ..by_link(9, 3)
    };
    let elsewhere = db.ask_to_join(elsewhere).await;
    assert_eq!(code(elsewhere), ErrorCode::InvitationNotFound);
    assert!(db.ask_to_join(by_link(1, 3)).await.expect("asked").1);
    let row = db.link(&of_member).await.expect("read").expect("there");
    assert_eq!(row.used, 1);
    let used_up = db.ask_to_join(by_link(2, 4)).await;
    assert_eq!(code(used_up), ErrorCode::InvitationNotFound);
    let of_owner = db.create_link(link(2, 1)).await.expect("made").code;
    db.use_link(&of_owner, user(5), NOW).await.expect("joined");
}
