//! Invitation links of groups.

use gochat_core::membership::LinkTerms;

use super::*;
use crate::port::db::{LinkRow, NewLink};

fn link(n: u32, to: u64, creator: u64, max_uses: u32) -> NewLink {
    NewLink {
        code: format!("{n:032x}"),
        conversation: group(to),
        creator: user(creator),
        terms: LinkTerms {
            max_uses,
            expires_at: NOW + 10_000,
        },
        cap: 3,
        now: NOW,
    }
}

async fn make(db: &SharedDatabase, new: NewLink) -> LinkRow {
    db.create_link(new).await.expect("made")
}

/// Owner 1, member 2; users 3 to 9 are strangers.
async fn stage(db: &SharedDatabase) {
    for n in 1..=9 {
        add_user(db, n).await;
    }
    open(db, group(1), 1, &[2]).await;
}

/// A link is found, counts its uses and admits no more than it says; members use nothing.
pub async fn a_link_makes_members_until_it_is_used_up(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let made = make(&db, link(1, 1, 2, 2)).await;
    assert_eq!((made.used, made.max_uses), (0, 2));
    assert_eq!(db.link(&made.code).await.expect("read"), Some(made.clone()));
    let (row, done) = db.use_link(&made.code, user(3), NOW).await.expect("used");
    let done = done.expect("a command");
    assert_eq!((row.used, done.decision.added()), (1, &[user(3)][..]));
    assert_eq!(done.conversation.member_count, 3);
    let (row, done) = db
        .use_link(&made.code, user(3), NOW)
        .await
        .expect("a repeat");
    assert_eq!((row.used, done), (1, None));
    db.use_link(&made.code, user(4), NOW).await.expect("used");
    let late = db.use_link(&made.code, user(5), NOW).await;
    assert_eq!(code(late), ErrorCode::InvitationNotFound);
    assert_eq!(db.member(group(1), user(5)).await.expect("read"), None);
    let unknown = db.use_link(&format!("{:032x}", 99), user(5), NOW).await;
    assert_eq!(code(unknown), ErrorCode::InvitationNotFound);
}

/// Of users who take the last uses at once, as many get one as there are.
pub async fn racing_users_of_a_link_never_exceed_its_uses(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let made = make(&db, link(1, 1, 1, 2)).await;
    let racers = (3..=9).map(|n| {
        let (db, code) = (db.clone(), made.code.clone());
        tokio::spawn(async move { db.use_link(&code, user(n), NOW).await.is_ok() })
    });
    let mut joined = 0;
    for racer in racers.collect::<Vec<_>>() {
        joined += usize::from(racer.await.expect("no panic"));
    }
    assert_eq!(joined, 2);
    let row = db.link(&made.code).await.expect("read").expect("there");
    assert_eq!(row.used, 2);
    let group = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(group.member_count, 4);
}

/// The capacity of the group, its end and the permission of the maker count at the moment of use.
pub async fn a_link_is_judged_by_the_group_it_meets(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let mut full = conversation(group(2), 1, &[2]);
    full.settings = r#"{"group_settings":{"max_members":2}}"#.to_owned();
    db.create_conversation(full).await.expect("made");
    let to_full = make(&db, link(1, 2, 1, 5)).await;
    let refused = db.use_link(&to_full.code, user(3), NOW).await;
    assert_eq!(code(refused), ErrorCode::ConversationFull);
    let row = db.link(&to_full.code).await.expect("read").expect("there");
    assert_eq!(row.used, 0);

    let of_member = make(&db, link(2, 1, 2, 0)).await;
    let ended = db.use_link(&of_member.code, user(3), NOW + 10_000).await;
    assert_eq!(code(ended), ErrorCode::InvitationNotFound);
    db.remove_member(group(1), user(2), NOW)
        .await
        .expect("gone");
    let refused = db.use_link(&of_member.code, user(3), NOW).await;
    assert_eq!(code(refused), ErrorCode::InvitationNotFound);

    let of_owner = make(&db, link(3, 1, 1, 0)).await;
    db.dissolve(group(1), NOW).await.expect("dissolved");
    assert!(db.use_link(&of_owner.code, user(3), NOW).await.is_err());
    assert_eq!(db.member(group(1), user(3)).await.expect("read"), None);
}

/// Open links of a group are bounded; dead ones make room. Strangers make none.
pub async fn links_of_a_group_are_bounded_and_listed(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let stranger = db.create_link(link(9, 1, 3, 0)).await;
    assert_eq!(code(stranger), ErrorCode::NotConversationMember);
    make(&db, link(1, 1, 1, 1)).await;
    make(&db, link(2, 1, 2, 0)).await;
    make(&db, link(3, 1, 2, 0)).await;
    let beyond = db.create_link(link(4, 1, 1, 0)).await;
    assert_eq!(code(beyond), ErrorCode::TooManyInvitations);
    let listed = async |creator, now| {
        let rows = db.links(group(1), creator, now).await.expect("read");
        rows.into_iter().map(|row| row.code).collect::<Vec<_>>()
    };
    let codes = |ns: &[u32]| ns.iter().map(|n| format!("{n:032x}")).collect::<Vec<_>>();
    assert_eq!(listed(None, NOW).await, codes(&[1, 2, 3]));
    assert_eq!(listed(Some(user(2)), NOW).await, codes(&[2, 3]));
    assert!(listed(None, NOW + 10_000).await.is_empty());
    db.use_link(&codes(&[1])[0], user(3), NOW)
        .await
        .expect("used up");
    assert_eq!(listed(None, NOW).await, codes(&[2, 3]));
    make(&db, link(4, 1, 1, 0)).await;
}

/// A revoked link is gone; members revoke their own, the owner all.
pub async fn a_revoked_link_admits_nobody(subject: Subject) {
    let db = subject.db();
    stage(&db).await;
    let of_owner = make(&db, link(1, 1, 1, 0)).await.code;
    let of_member = make(&db, link(2, 1, 2, 0)).await.code;
    let foreign = db.revoke_link(group(1), &of_owner, user(2)).await;
    assert_eq!(code(foreign), ErrorCode::InsufficientPermission);
    let stranger = db.revoke_link(group(1), &of_owner, user(3)).await;
    assert_eq!(code(stranger), ErrorCode::NotConversationMember);
    assert!(
        db.revoke_link(group(1), &of_member, user(1))
            .await
            .expect("revoked")
    );
    assert!(
        !db.revoke_link(group(1), &of_member, user(1))
            .await
            .expect("a repeat")
    );
    assert_eq!(db.link(&of_member).await.expect("read"), None);
    // A link of another group isn't revoked by somebody of this one.
    open(&db, group(2), 4, &[]).await;
    let other = make(&db, link(3, 2, 4, 0)).await.code;
    assert!(
        !db.revoke_link(group(1), &other, user(1))
            .await
            .expect("none here")
    );
    assert!(db.link(&other).await.expect("read").is_some());
}
