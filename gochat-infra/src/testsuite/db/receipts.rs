//! Read pointers of other users, in the list and member by member.

use gochat_core::ids::ConversationKind;

use super::*;
use crate::port::db::{AddMembers, ConversationEntry, ConversationPatch, ListQuery};

async fn read_to(db: &SharedDatabase, who: u64, id: ConversationId, seq: SeqId, at: UnixMillis) {
    db.advance_pointer(user(who), id, seq, at)
        .await
        .expect("a pointer");
}

async fn list(
    db: &SharedDatabase,
    who: u64,
    updated_after: Option<UnixMillis>,
) -> Vec<ConversationEntry> {
    let query = ListQuery {
        updated_after,
        kind: Some(ConversationKind::Single),
        ..ListQuery::first(user(who), 50)
    };
    db.list_for_user(query).await.expect("a page").entries
}

fn pointers(entries: &[ConversationEntry]) -> Vec<(ConversationId, SeqId)> {
    let of = |e: &ConversationEntry| (e.conversation.id, e.peer_read_seq_id);
    entries.iter().map(of).collect()
}

/// A user that was away finds a moved pointer in the sync; the order by activity stays.
pub async fn a_pointer_of_the_peer_is_in_the_list_and_its_sync(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    for (n, at) in [(2, 10), (3, 20)] {
        open(&db, single(1, n), 1, &[]).await;
        save(&db, run_of(single(1, n), 1..=4, 1), NOW + at).await;
    }
    let since = NOW + 100;
    assert!(list(&db, 1, Some(since)).await.is_empty());
    read_to(&db, 2, single(1, 2), 3, NOW + 200).await;
    let synced = list(&db, 1, Some(since)).await;
    assert_eq!(pointers(&synced), [(single(1, 2), 3)]);
    let whole = list(&db, 1, None).await;
    assert_eq!(
        pointers(&whole),
        [(single(1, 3), 0), (single(1, 2), 3)],
        "reading is no activity"
    );
    assert_eq!(
        pointers(&list(&db, 2, None).await),
        [(single(1, 2), 4)],
        "who wrote has read"
    );
    read_to(&db, 2, single(1, 2), 2, NOW + 300).await;
    let again = list(&db, 1, Some(NOW + 250)).await;
    assert!(again.is_empty(), "a pointer that stays is no news");
}

/// A chat whose settings hide reads doesn't show by a sync that there was one.
pub async fn a_pointer_that_the_settings_hide_is_no_news(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        add_user(&db, n).await;
    }
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=4, 1), NOW).await;
    let settings = |shown: bool| ConversationPatch {
        settings: Some(format!(
            r#"{{"single_settings": {{"show_read_status": {shown}}}}}"#
        )),
        ..Default::default()
    };
    // An edit moves the row's time to a later second.
    let (id, since) = (single(1, 2), Some(NOW + 5_000));
    db.update_conversation(id, settings(false), NOW + 10)
        .await
        .expect("settings");
    read_to(&db, 2, id, 2, NOW + 9_000).await;
    assert!(list(&db, 1, since).await.is_empty());
    db.update_conversation(id, settings(true), NOW + 20)
        .await
        .expect("settings");
    assert_eq!(pointers(&list(&db, 1, since).await), [(id, 2)]);
}

/// In a blocked pair nobody hears of the other.
pub async fn a_pointer_in_a_blocked_pair_is_no_news(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        add_user(&db, n).await;
    }
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=4, 1), NOW).await;
    db.set_blocked(user(1), user(2), true, request_id(5), NOW)
        .await
        .expect("blocked");
    read_to(&db, 2, single(1, 2), 3, NOW + 200).await;
    assert!(list(&db, 1, Some(NOW + 100)).await.is_empty());
    for who in [1, 2] {
        let entry = list(&db, who, None).await;
        assert!(entry[0].blocked, "both sides know that nothing is shown");
    }
    db.set_blocked(user(1), user(2), false, request_id(6), NOW)
        .await
        .expect("lifted");
    let entries = list(&db, 1, Some(NOW + 100)).await;
    assert_eq!(pointers(&entries), [(single(1, 2), 3)]);
    assert!(!entries[0].blocked);
}

/// Members in order, those without a pointer left out; joining is told from reading.
pub async fn pointers_of_members_are_listed(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    save(&db, run_of(group(1), 1..=5, 1), NOW + 5).await;
    read_to(&db, 3, group(1), 4, NOW + 40).await;
    let add = AddMembers {
        conversation: group(1),
        users: vec![user(4)],
        role: 1,
        max_members: 0,
        now: NOW + 50,
    };
    db.add_members(add).await.expect("added");
    let all = db.member_pointers(group(1), 200).await.expect("pointers");
    let rows: Vec<_> = all
        .iter()
        .map(|p| (p.user, p.pointer.seq(), p.moved_at > p.joined_at))
        .collect();
    assert_eq!(
        rows,
        [(user(1), 5, true), (user(3), 4, true), (user(4), 5, false)]
    );
    assert_eq!((all[1].joined_at, all[1].moved_at), (NOW, NOW + 40));
    let first = db.member_pointers(group(1), 1).await.expect("pointers");
    assert_eq!(first, all[..1]);
    db.remove_member(group(1), user(3), NOW + 60)
        .await
        .expect("removed");
    let left = db.member_pointers(group(1), 200).await.expect("pointers");
    assert!(left.iter().all(|p| p.user != user(3)));
}
