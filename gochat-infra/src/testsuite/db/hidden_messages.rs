//! Messages that users deleted for themselves, on every adapter.

use gochat_core::error::ErrorCode;
use gochat_core::own_state::{OwnChange, OwnState, Sight};

use super::*;
use crate::port::db::{ClearOutcome, HiddenRow, ListQuery, OwnOutcome};

async fn hide(
    db: &SharedDatabase,
    who: u64,
    id: ConversationId,
    seq: SeqId,
    at: UnixMillis,
) -> DbResult<OwnOutcome> {
    let place = (seq, message(id, seq, 1).id);
    db.hide_message(user(who), id, place, at).await
}

async fn clear(
    db: &SharedDatabase,
    who: u64,
    id: ConversationId,
    up_to: SeqId,
) -> DbResult<ClearOutcome> {
    db.clear_history(user(who), id, up_to, NOW + 90).await
}

async fn listed(db: &SharedDatabase, who: u64, id: ConversationId, after: u64) -> Vec<HiddenRow> {
    let rows = db.hidden_messages(user(who), id, after, 200).await;
    rows.expect("a list")
}

/// What a user sees of the first ten messages, from the stored rows.
async fn sights(db: &SharedDatabase, who: u64, id: ConversationId) -> Vec<Sight> {
    let state = db.own_state(user(who), id).await.expect("a state");
    let seqs: Vec<SeqId> = (1..=10).collect();
    let hidden = db.hidden_among(user(who), id, &seqs).await.expect("rows");
    assert!(hidden.is_sorted());
    seqs.iter().map(|seq| state.sight(*seq, &hidden)).collect()
}

async fn chat(db: &SharedDatabase) -> ConversationId {
    for n in 1..=2 {
        add_user(db, n).await;
    }
    let chat = single(1, 2);
    open(db, chat, 1, &[]).await;
    save(db, run_of(chat, 1..=10, 1), NOW).await;
    chat
}

/// The other side keeps seeing the message; a repeat changes nothing; the sync and the list tell
/// the user's other devices.
pub async fn a_message_is_hidden_from_its_user_alone(subject: Subject) {
    let db = subject.db();
    let chat = chat(&db).await;
    for (seq, version) in [(4, 1), (10, 2)] {
        let hidden = hide(&db, 2, chat, seq, NOW + 50).await.expect("hidden");
        assert!(hidden.changed);
        let counted = (hidden.state.hidden_count, hidden.state.version);
        assert_eq!(counted, (version as u32, version));
    }
    let again = hide(&db, 2, chat, 4, NOW + 60).await.expect("a repeat");
    assert_eq!((again.changed, again.state.version), (false, 2));
    let mut expected = vec![Sight::Whole; 10];
    assert_eq!(sights(&db, 1, chat).await, expected);
    (expected[3], expected[9]) = (Sight::Hidden, Sight::Hidden);
    assert_eq!(sights(&db, 2, chat).await, expected);
    let since = ListQuery {
        updated_after: Some(NOW + 20),
        ..ListQuery::first(user(2), 50)
    };
    let page = db.list_for_user(since).await.expect("a page");
    let entry = &page.entries[0];
    assert!(entry.last_hidden && entry.own.as_ref().is_some_and(|own| own.hidden_count == 2));
    let page = db.list_for_user(ListQuery::first(user(1), 50)).await;
    let page = page.expect("a page");
    let entry = page.entries.iter().find(|e| e.conversation.id == chat);
    assert!(!entry.expect("in the list").last_hidden);
}

/// A device that was away asks for what went since.
pub async fn hidden_messages_are_listed_by_version(subject: Subject) {
    let db = subject.db();
    let chat = chat(&db).await;
    for seq in [7, 2, 9] {
        hide(&db, 1, chat, seq, NOW).await.expect("hidden");
    }
    let rows = listed(&db, 1, chat, 0).await;
    let seqs: Vec<_> = rows.iter().map(|row| (row.seq_id, row.version)).collect();
    assert_eq!(seqs, [(7, 1), (2, 2), (9, 3)]);
    assert_eq!(rows[1].message_id, message(chat, 2, 1).id);
    let later = listed(&db, 1, chat, 2).await;
    assert_eq!(later, rows[2..]);
    let page = db.hidden_messages(user(1), chat, 0, 2).await;
    assert_eq!(page.expect("a page"), rows[..2]);
    assert!(listed(&db, 2, chat, 0).await.is_empty());
}

/// A cleared conversation is read as far, the rows of what was hidden before are deleted, and no
/// cleared message comes back.
pub async fn a_cleared_conversation_begins_anew(subject: Subject) {
    let db = subject.db();
    let chat = chat(&db).await;
    for seq in [3, 8] {
        hide(&db, 2, chat, seq, NOW).await.expect("hidden");
    }
    let cleared = clear(&db, 2, chat, 6).await.expect("cleared");
    let state = cleared.own.state;
    let known = (state.cleared_up_to, state.hidden_count, state.version);
    assert_eq!((known, cleared.own.changed), ((6, 1, 3), true));
    assert_eq!((cleared.read.pointer, cleared.read.changed), (6, true));
    assert_eq!(unread(&db, 2, chat).await, Some(4));
    let mut expected = vec![Sight::Cleared; 6];
    expected.extend([Sight::Whole, Sight::Hidden, Sight::Whole, Sight::Whole]);
    assert_eq!(sights(&db, 2, chat).await, expected);
    assert_eq!(listed(&db, 2, chat, 0).await.len(), 1);
    for up_to in [6, 2] {
        let again = clear(&db, 2, chat, up_to).await.expect("a repeat");
        assert!(!again.own.changed && again.own.state == state);
    }
    let unseen = hide(&db, 2, chat, 5, NOW).await.expect("it was gone");
    assert!(!unseen.changed);
    // A mark as unread ends with it, and that is a change.
    let mark = OwnChange {
        is_marked_unread: Some(true),
        ..OwnChange::default()
    };
    db.change_own_state(user(2), chat, mark, NOW)
        .await
        .expect("marked");
    let unmarked = clear(&db, 2, chat, 6).await.expect("cleared").own;
    assert!(unmarked.changed && !unmarked.state.is_marked_unread);
    for up_to in [0, 99] {
        save(&db, run_of(chat, [11], 1), NOW).await;
        let all = clear(&db, 2, chat, up_to).await.expect("cleared");
        let state = all.own.state;
        assert_eq!((state.cleared_up_to, state.hidden_count), (11, 0));
    }
    assert_eq!(unread(&db, 2, chat).await, Some(0));
    assert_eq!(sights(&db, 1, chat).await, [Sight::Whole; 10]);
    clear(&db, 2, ConversationId::World, 0)
        .await
        .expect("everybody is in the world chat");
}

/// Devices that hide and clear at once: the count is that of the rows, and each version names one
/// state.
pub async fn racing_devices_count_what_went(subject: Subject) {
    let db = subject.db();
    let chat = chat(&db).await;
    let racer = |n: u64| {
        let db = db.clone();
        tokio::spawn(async move {
            match n % 4 {
                3 => clear(&db, 2, chat, n / 4 + 1).await.expect("cleared").own,
                _ => hide(&db, 2, chat, n % 10 + 1, NOW).await.expect("hidden"),
            }
        })
    };
    let mut versions = Vec::new();
    for racer in (0..24).map(racer).collect::<Vec<_>>() {
        let outcome = racer.await.expect("no panic");
        versions.extend(outcome.changed.then_some(outcome.state.version));
    }
    versions.sort_unstable();
    let all: Vec<u64> = (1..=versions.len() as u64).collect();
    assert_eq!(versions, all, "one version per change");
    assert!(all.len() > 4, "they raced for nothing: {all:?}");
    let state = db.own_state(user(2), chat).await.expect("a state");
    let rows = listed(&db, 2, chat, 0).await;
    assert_eq!(state.hidden_count as usize, rows.len());
    assert!(rows.iter().all(|row| row.seq_id > state.cleared_up_to));
}

/// Strangers have nothing to hide; who comes again sees again what members may read.
pub async fn what_went_ends_with_the_membership(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        add_user(&db, n).await;
    }
    open(&db, group(1), 1, &[2]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW).await;
    let strangers = ErrorCode::NotConversationMember;
    assert_eq!(code(hide(&db, 3, group(1), 1, NOW).await), strangers);
    assert_eq!(code(clear(&db, 3, group(1), 1).await), strangers);
    clear(&db, 2, group(1), 1).await.expect("cleared");
    hide(&db, 2, group(1), 2, NOW).await.expect("hidden");
    db.remove_member(group(1), user(2), NOW)
        .await
        .expect("removed");
    let state = db.own_state(user(2), group(1)).await.expect("a state");
    assert_eq!(state, OwnState::default());
    assert!(listed(&db, 2, group(1), 0).await.is_empty());
}
