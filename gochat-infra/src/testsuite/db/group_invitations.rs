//! Invitations.

use gochat_core::error::ErrorCode;

use super::*;
use crate::port::db::NewInvitation;

fn invitation(id: u64, to: u64, whom: u64, cap: u32) -> NewInvitation {
    NewInvitation {
        id: request_id(id),
        conversation: group(to),
        user: user(whom),
        inviter: user(1),
        cap,
        now: NOW,
        expires_at: NOW + 1_000,
    }
}

/// One row per user and group, up to a cap, until its end.
pub async fn invitations_are_bounded_and_end(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    add_user(&db, 2).await;
    let first = db.invite(invitation(1, 1, 2, 2)).await.expect("made");
    let again = db.invite(invitation(2, 1, 2, 2)).await.expect("kept");
    assert_eq!(first.id, again.id);
    db.invite(invitation(3, 2, 2, 2)).await.expect("made");
    let beyond = db.invite(invitation(4, 3, 2, 2)).await;
    assert_eq!(
        beyond.expect_err("a refusal").code(),
        ErrorCode::RateLimited
    );
    let open = |now, after| db.invitations(user(2), now, after, 10);
    let ids = |rows: Vec<crate::port::db::InvitationRow>| -> Vec<_> {
        rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(
        ids(open(NOW, None).await.expect("read")),
        [request_id(1), request_id(3)]
    );
    assert_eq!(
        ids(open(NOW, Some(request_id(1))).await.expect("read")),
        [request_id(3)]
    );
    assert!(open(NOW + 1_000, None).await.expect("read").is_empty());
    let late = NewInvitation {
        now: NOW + 2_000,
        expires_at: NOW + 3_000,
        ..invitation(5, 4, 2, 2)
    };
    db.invite(late).await.expect("ended ones make room");
}

/// Only by the one who was invited, and judged by the group it meets.
pub async fn accepting_an_invitation_makes_a_member(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, group(1), 1, &[]).await;
    db.invite(invitation(1, 1, 2, 9)).await.expect("made");
    db.invite(invitation(2, 1, 3, 9)).await.expect("made");
    let foreign = db
        .answer_invitation(request_id(1), user(3), true, NOW)
        .await;
    assert_eq!(
        foreign.expect_err("a refusal").code(),
        ErrorCode::InvitationNotFound
    );
    let (_, joined) = db
        .answer_invitation(request_id(1), user(2), true, NOW)
        .await
        .expect("accepted");
    let joined = joined.expect("a command");
    assert_eq!(joined.decision.added(), [user(2)]);
    assert_eq!(joined.conversation.member_count, 2);
    let twice = db
        .answer_invitation(request_id(1), user(2), true, NOW)
        .await;
    assert_eq!(
        twice.expect_err("a refusal").code(),
        ErrorCode::InvitationNotFound
    );
    let (_, joined) = db
        .answer_invitation(request_id(2), user(3), false, NOW)
        .await
        .expect("rejected");
    assert!(joined.is_none());
    assert_eq!(db.member(group(1), user(3)).await.expect("read"), None);
    db.invite(invitation(3, 1, 3, 9)).await.expect("made");
    db.dissolve(group(1), NOW + 1).await.expect("dissolved");
    let ended = db
        .answer_invitation(request_id(3), user(3), true, NOW)
        .await;
    assert_eq!(code(ended), ErrorCode::ConversationDissolved);
}

/// Counted up to the cap.
pub async fn conversations_of_users_are_counted(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    open(&db, group(2), 1, &[]).await;
    open(&db, group(3), 1, &[]).await;
    let mut counts = db
        .conversation_counts(&[user(1), user(2), user(9)], 2)
        .await
        .expect("read");
    counts.sort_unstable();
    assert_eq!(counts, [(user(1), 2), (user(2), 1)]);
}
