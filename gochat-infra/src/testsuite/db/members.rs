//! Members.

use gochat_core::error::ErrorCode;

use super::*;
use crate::port::db::{AddMembers, AddOutcome, MemberPage, MembersQuery, Mute, PageStart};

fn adding(id: ConversationId, users: impl IntoIterator<Item = u64>, max: u32) -> AddMembers {
    AddMembers {
        conversation: id,
        users: users.into_iter().map(user).collect(),
        role: 1,
        max_members: max,
        now: NOW + 10,
    }
}

/// As many as fit, in the order asked.
pub async fn adding_members_respects_the_capacity(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    let outcome = db
        .add_members(adding(group(1), [4, 2, 3, 4, 5], 4))
        .await
        .expect("added");
    let expected = AddOutcome {
        added: vec![user(4), user(3)],
        already: vec![user(2)],
        no_room: vec![user(5)],
        member_count: 4,
    };
    assert_eq!(outcome, expected);
    let row = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!((row.member_count, row.updated_at), (4, NOW + 10));
    let absent = db.add_members(adding(group(9), [1], 0)).await;
    assert_eq!(code(absent), ErrorCode::ConversationNotFound);
}

/// The capacity is judged in the transaction that adds.
pub async fn racing_adders_never_overfill_a_group(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let racers = (0..10_u64).map(|n| {
        let db = db.clone();
        let add = adding(group(1), (10 + n * 3)..(13 + n * 3), 8);
        tokio::spawn(async move { db.add_members(add).await.expect("some are added") })
    });
    let mut added = 0;
    for racer in racers.collect::<Vec<_>>() {
        added += racer.await.expect("no panic").added.len();
    }
    assert_eq!(added, 7);
    assert_eq!(
        db.member_ids(group(1), None, 100)
            .await
            .expect("read")
            .len(),
        8
    );
}

/// The count follows the rows.
pub async fn removing_a_member_twice_counts_once(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    let first = db
        .remove_member(group(1), user(2), NOW + 5)
        .await
        .expect("removed");
    assert_eq!((first.removed, first.member_count), (true, 2));
    let second = db
        .remove_member(group(1), user(2), NOW + 6)
        .await
        .expect("nothing");
    assert_eq!((second.removed, second.member_count), (false, 2));
    assert_eq!(db.member(group(1), user(2)).await.expect("read"), None);
    assert_eq!(db.pointer(user(2), group(1)).await.expect("read"), None);
}

/// And told for strangers.
pub async fn roles_and_mutes_are_kept(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    let row = db
        .set_role(group(1), user(2), 2, NOW + 5)
        .await
        .expect("member");
    assert_eq!((row.role, row.updated_at), (2, NOW + 5));
    let mute = Mute {
        muted: true,
        until: Some(NOW + 99),
    };
    let row = db
        .set_mute(group(1), user(2), mute, NOW + 6)
        .await
        .expect("member");
    assert_eq!(
        (row.role, row.muted, row.muted_until),
        (2, true, Some(NOW + 99))
    );
    let lift = Mute {
        muted: false,
        until: None,
    };
    let row = db
        .set_mute(group(1), user(2), lift, NOW + 7)
        .await
        .expect("member");
    assert_eq!((row.muted, row.muted_until), (false, None));
    let stranger = db.set_role(group(1), user(9), 2, NOW).await;
    assert_eq!(code(stranger), ErrorCode::NotConversationMember);
    let stranger = db.set_mute(group(1), user(9), mute, NOW).await;
    assert_eq!(code(stranger), ErrorCode::NotConversationMember);
}

/// All or nothing.
pub async fn ownership_moves_only_from_the_owner(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    let thief = db
        .transfer_ownership(group(1), user(2), user(3), NOW + 1)
        .await;
    assert_eq!(code(thief), ErrorCode::InsufficientPermission);
    let outside = db
        .transfer_ownership(group(1), user(1), user(9), NOW + 1)
        .await;
    assert_eq!(code(outside), ErrorCode::UserNotFound);
    let role = async |n| {
        db.member(group(1), user(n))
            .await
            .expect("read")
            .map(|m| m.role)
    };
    assert_eq!(role(1).await, Some(3), "the refused transfer left no trace");
    let row = db
        .transfer_ownership(group(1), user(1), user(2), NOW + 2)
        .await
        .expect("moved");
    assert_eq!(row.owner_id, Some(user(2)));
    assert_eq!((role(1).await, role(2).await), (Some(2), Some(3)));
}

fn page_of(page: &MemberPage) -> Vec<u64> {
    page.members
        .iter()
        .map(|m| m.member.user_id.get())
        .collect()
}

/// By offset and by keyset; totals and names come along.
pub async fn member_pages_neither_skip_nor_repeat(subject: Subject) {
    let db = subject.db();
    add_user(&db, 12).await;
    let others: Vec<u64> = (11..30).rev().collect();
    open(&db, group(1), 10, &others).await;
    let at = async |start, role| {
        let query = MembersQuery {
            conversation: group(1),
            start,
            limit: 8,
            role,
            updated_after: None,
        };
        db.members(query).await.expect("a page")
    };
    let first = at(PageStart::Offset(0), None).await;
    assert_eq!((page_of(&first), first.total), ((10..18).collect(), 20));
    assert!(first.has_more);
    assert_eq!(
        first.members[2].user.as_ref().map(|u| u.username.as_str()),
        Some("user12")
    );
    assert_eq!(
        first.members[3].user, None,
        "a missing account hides nobody"
    );
    let second = at(PageStart::Offset(8), None).await;
    assert_eq!(page_of(&second), (18..26).collect::<Vec<_>>());
    let last = at(PageStart::After(user(25)), None).await;
    assert_eq!((page_of(&last), last.has_more), ((26..30).collect(), false));
    let owners = at(PageStart::Offset(0), Some(3)).await;
    assert_eq!((page_of(&owners), owners.total), (vec![10], 1));
}

/// Members that stay are met exactly once, whoever comes and goes.
pub async fn a_keyset_walk_survives_changes(subject: Subject) {
    let db = subject.db();
    let others: Vec<u64> = (101..150).collect();
    open(&db, group(1), 100, &others).await;
    let mut met = Vec::new();
    let mut after = None;
    loop {
        let page = db.member_ids(group(1), after, 7).await.expect("a page");
        let Some(last) = page.last() else { break };
        let last = *last;
        after = Some(last);
        // On every page the member named by the cursor leaves, and a member before the cursor
        // joins.
        db.remove_member(group(1), last, NOW + 1)
            .await
            .expect("removed");
        let low = 1 + met.len() as u64;
        db.add_members(adding(group(1), [low], 0))
            .await
            .expect("added");
        met.extend(page);
    }
    assert_eq!(met, (100..150).map(user).collect::<Vec<_>>());
}

/// One statement, a bounded answer.
pub async fn members_of_many_are_cut_per_conversation(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3, 4, 5]).await;
    open(&db, single(8, 9), 8, &[]).await;
    let ids = [group(1), group(5), single(8, 9)];
    let before = subject.statements();
    let rows = db.members_of_many(&ids, 3).await.expect("read");
    if let (Some(before), Some(after)) = (before, subject.statements()) {
        assert_eq!(after - before, 1);
    }
    let pairs: Vec<_> = rows
        .iter()
        .map(|m| (m.conversation_id, m.user_id.get()))
        .collect();
    let expected = [
        (group(1), 1),
        (group(1), 2),
        (group(1), 3),
        (single(8, 9), 8),
        (single(8, 9), 9),
    ];
    assert_eq!(pairs, expected);
}

/// Who changed and who went, page by page, in one order.
pub async fn member_deltas_tell_changes_and_leavers(subject: Subject) {
    let db = subject.db();
    for n in 1..=12 {
        add_user(&db, n).await;
    }
    let others: Vec<u64> = (2..=12).collect();
    open(&db, group(1), 1, &others).await;
    db.set_role(group(1), user(3), 2, NOW + 100)
        .await
        .expect("a member");
    for n in [2, 5, 8, 11] {
        db.remove_member(group(1), user(n), NOW + 100 + n)
            .await
            .expect("removed");
    }
    let patch = crate::port::db::UserPatch {
        avatar_url: Some("https://example.org/new.png".to_owned()),
        ..Default::default()
    };
    db.update_user(user(9), patch, NOW + 100, NOW + 100_000)
        .await
        .expect("there");
    db.add_members(AddMembers {
        now: NOW + 200,
        ..adding(group(1), [5], 0)
    })
    .await
    .expect("added");
    for limit in [1, 2, 100] {
        let (mut changed, mut removed, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let query = MembersQuery {
                conversation: group(1),
                start: after.map_or(PageStart::Offset(0), PageStart::After),
                limit,
                role: None,
                updated_after: Some(NOW + 50),
            };
            let page = db.members(query).await.expect("a page");
            changed.extend(page.members.iter().map(|m| m.member.user_id.get()));
            removed.extend(page.removed.iter().map(|user| user.get()));
            after = page.next;
            assert_eq!(page.has_more, after.is_some());
            if after.is_none() {
                break;
            }
        }
        assert_eq!((changed, removed), (vec![3, 5, 9], vec![2, 8, 11]));
    }
}
