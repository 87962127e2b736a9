//! Changes of messages, and what readers who were away are told of them.

mod facts;
mod former;
mod histories;
mod model;
mod pins;
mod reactions;
mod reactors;
mod reads;
mod references;

use gochat_core::message::{ChangeKind, Emoji, Tally};

pub use self::facts::*;
pub use self::former::*;
pub use self::histories::*;
pub use self::pins::*;
pub use self::reactions::*;
pub use self::reactors::*;
pub use self::reads::*;
pub use self::references::*;
use super::facts::resend;
use super::*;
use crate::port::db::{
    ChangesPage, ChangesQuery, ConversationFacts, ConversationRow, Direction, FactsOf,
    FactsRequest, MessageRow, NewChange, RangeQuery, Resend, SaveOutcome,
};
use SaveOutcome::{Conflict, Duplicate, Missing, Stored};

/// A change of message `seq` of a conversation.
fn change(id: ConversationId, rev: u64, kind: ChangeKind, seq: SeqId) -> NewChange {
    let edit = kind == ChangeKind::Edit;
    NewChange {
        conversation_id: id,
        rev,
        kind,
        message_id: message(id, seq, 1).id,
        seq_id: seq,
        sender_id: user(1),
        client_msg_id: Some(format!("x{rev}")),
        content: if edit {
            format!("edit {rev}")
        } else {
            String::new()
        },
        extra: edit.then(|| format!("{{\"rev\":{rev}}}")),
        edit_count: u32::try_from(rev).expect("small"),
        keeps_former: false,
        tells: false,
        pinned: false,
        reactions: Tally::default(),
        created_at: NOW + 100 + rev,
    }
}

pub(super) fn edit(id: ConversationId, rev: u64, seq: SeqId) -> NewChange {
    change(id, rev, ChangeKind::Edit, seq)
}

fn recall(id: ConversationId, rev: u64, seq: SeqId) -> NewChange {
    change(id, rev, ChangeKind::Recall, seq)
}

fn emoji(text: &str) -> Emoji {
    text.parse().expect("an emoji")
}

fn tally(counts: &[(&str, u32)]) -> Tally {
    counts.iter().copied().collect()
}

/// A reaction, or the end of one, after which the message has these.
fn reaction(
    id: ConversationId,
    rev: u64,
    (kind, seq): (ChangeKind, SeqId),
    (who, text): (u64, &str),
    after: &[(&str, u32)],
) -> NewChange {
    NewChange {
        sender_id: user(who),
        content: emoji(text).to_string(),
        reactions: tally(after),
        ..change(id, rev, kind, seq)
    }
}

fn pin(id: ConversationId, rev: u64, seq: SeqId) -> NewChange {
    NewChange {
        pinned: true,
        ..change(id, rev, ChangeKind::Pin, seq)
    }
}

fn unpin(id: ConversationId, rev: u64, seq: SeqId) -> NewChange {
    change(id, rev, ChangeKind::Unpin, seq)
}

async fn store(
    db: &SharedDatabase,
    messages: Vec<NewMessage>,
    changes: Vec<NewChange>,
    now: UnixMillis,
) -> Vec<SaveOutcome> {
    let saved = db.save_batch(messages, changes, now).await;
    saved.expect("a batch is stored")
}

async fn since(db: &SharedDatabase, id: ConversationId, after_rev: u64, limit: u32) -> ChangesPage {
    let query = ChangesQuery {
        conversation: id,
        after_rev,
        limit,
        fresh: false,
    };
    db.changes(query).await.expect("a page")
}

/// (rev, seq) of the messages of a page.
fn places(page: &ChangesPage) -> Vec<(u64, SeqId)> {
    let messages = page.messages.iter().map(|entry| &entry.message);
    messages.map(|m| (m.rev, m.seq_id)).collect()
}

/// Everything stored, by position.
async fn all(db: &SharedDatabase, id: ConversationId) -> Vec<MessageRow> {
    let (mut rows, mut from) = (Vec::new(), Some(1));
    while from.is_some() {
        let query = RangeQuery {
            conversation: id,
            from,
            to: None,
            direction: Direction::Ascending,
            limit: 100,
            types: Vec::new(),
            fresh: true,
        };
        let page = db.messages(query).await.expect("a page");
        rows.extend(page.messages.into_iter().map(|entry| entry.message));
        from = page.next_seq_id;
    }
    rows
}

async fn row(db: &SharedDatabase, id: ConversationId) -> ConversationRow {
    let row = db.conversation(id).await.expect("read");
    row.expect("it is there")
}

fn asking(id: ConversationId, resends: Vec<Resend>, targets: Vec<MessageId>) -> FactsRequest {
    FactsRequest {
        conversations: vec![FactsOf {
            id,
            without_members: false,
            senders: Vec::new(),
            resends,
            targets,
            quotes: Vec::new(),
            reactors: Vec::new(),
        }],
        max_members: 3,
        recent_max: 4,
        recent_since: NOW,
        max_rows: usize::MAX,
    }
}

async fn facts_of(db: &SharedDatabase, request: FactsRequest) -> ConversationFacts {
    db.facts(request).await.expect("facts").remove(0)
}

/// The same batch again changes nothing.
pub async fn changes_are_stored_once(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW).await;
    assert_eq!(row(&db, group(1)).await.last_rev, 3);
    // In any order: their numbers decide.
    let changes = vec![
        recall(group(1), 6, 3),
        edit(group(1), 4, 2),
        edit(group(1), 5, 3),
    ];
    let outcomes = store(&db, Vec::new(), changes.clone(), NOW + 5).await;
    assert_eq!(outcomes, [Stored; 3]);
    let rows = all(&db, group(1)).await;
    let edited = &rows[1];
    assert_eq!(
        (edited.content.as_str(), edited.extra.as_deref()),
        ("edit 4", Some("{\"rev\":4}"))
    );
    assert_eq!((edited.rev, edited.edit_count), (4, 4));
    assert_eq!(
        (edited.edited_at, edited.updated_at),
        (Some(NOW + 104), NOW + 104)
    );
    assert_eq!(
        (edited.created_at, edited.client_msg_id.as_deref()),
        (NOW + 2, Some("c2"))
    );
    let recalled = &rows[2];
    assert!(recalled.deleted && recalled.content.is_empty() && recalled.extra.is_none());
    assert_eq!((recalled.rev, recalled.edit_count), (6, 5));
    assert_eq!(
        (rows[0].rev, rows[0].edited_at, rows[0].edit_count),
        (1, None, 0)
    );
    let before = row(&db, group(1)).await;
    assert_eq!((before.last_rev, before.last_seq_id), (6, 3));

    let again = store(&db, run_of(group(1), 1..=3, 1), changes, NOW + 99).await;
    assert_eq!(again, [Duplicate; 6]);
    assert_eq!(all(&db, group(1)).await, rows);
    assert_eq!(row(&db, group(1)).await, before);
}

/// A message and its changes may come at once, from the same batch or several.
pub async fn a_message_and_its_changes_share_a_batch(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    let mut later = message(group(1), 2, 1);
    later.rev = 3;
    let messages = vec![
        later.clone(),
        message(group(1), 1, 1),
        message(group(2), 1, 1),
    ];
    let changes = vec![
        edit(group(1), 2, 1),
        edit(group(1), 4, 1),
        edit(group(2), 2, 1),
    ];
    assert_eq!(store(&db, messages, changes, NOW).await, [Stored; 6]);
    let rows = all(&db, group(1)).await;
    assert_eq!((rows[0].rev, rows[0].content.as_str()), (4, "edit 4"));
    assert_eq!((rows[1].rev, rows[1].content.as_str()), (3, "text 2"));
    assert_eq!(
        (
            row(&db, group(1)).await.last_rev,
            row(&db, group(2)).await.last_rev
        ),
        (4, 2)
    );
    assert_eq!(places(&since(&db, group(1), 1, 10).await), [(3, 2), (4, 1)]);
    // The number that was given with the message stays known.
    let resends = vec![resend(1, "c1"), resend(1, "c2")];
    let found = facts_of(&db, asking(group(1), resends, Vec::new()))
        .await
        .resends;
    let revs: Vec<_> = found.iter().map(|m| (m.seq_id, m.rev)).collect();
    assert_eq!(revs, [(1, 1), (2, 3)]);
}

/// The backstop of the sequencer: what is refused spoils nothing else and leaves nothing behind.
pub async fn a_change_of_a_message_that_is_not_stored_is_refused_alone(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=2, 1), NOW).await;
    let stranger = NewChange {
        message_id: MessageId::new(77).expect("small"),
        ..edit(group(1), 3, 1)
    };
    let thief = NewMessage {
        id: MessageId::new(78).expect("small"),
        ..message(group(1), 2, 1)
    };
    let of_thief = NewChange {
        message_id: thief.id,
        ..edit(group(1), 5, 2)
    };
    let changes = vec![
        stranger,
        edit(group(1), 4, 9),
        of_thief,
        edit(group(1), 6, 1),
        edit(group(7), 1, 1),
    ];
    let outcomes = store(&db, vec![thief], changes, NOW).await;
    assert_eq!(
        outcomes,
        [Conflict, Missing, Missing, Missing, Stored, Missing]
    );
    assert_eq!(row(&db, group(1)).await.last_rev, 6);
    assert_eq!(db.conversation(group(7)).await.expect("read"), None);
    let changes = [3, 4, 5, 6].map(|rev| Resend {
        is_change: true,
        ..resend(1, &format!("x{rev}"))
    });
    let found = facts_of(&db, asking(group(1), changes.to_vec(), Vec::new()))
        .await
        .resends;
    assert_eq!(found.iter().map(|found| found.rev).collect::<Vec<_>>(), [6]);
}

/// A recall erases for good; what comes after it only counts.
pub async fn an_edit_after_a_recall_keeps_the_content_empty(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW).await;
    store(&db, Vec::new(), vec![recall(group(1), 4, 1)], NOW).await;
    let changes = vec![
        edit(group(1), 5, 1),
        recall(group(1), 6, 2),
        edit(group(1), 7, 2),
    ];
    assert_eq!(store(&db, Vec::new(), changes, NOW).await, [Stored; 3]);
    // One that a sequencer without changes recalled.
    db.recall(group(1), message(group(1), 3, 1).id, NOW)
        .await
        .expect("recalled");
    assert_eq!(
        store(&db, Vec::new(), vec![edit(group(1), 8, 3)], NOW).await,
        [Stored]
    );
    // The rows themselves are empty, not only what is shown of them.
    let rows = all(&db, group(1)).await;
    assert!(
        rows.iter()
            .all(|row| row.deleted && row.edit_count == 0 && row.edited_at.is_none())
    );
    subject.run_sql("UPDATE messages SET deleted = 0").await;
    let rows = all(&db, group(1)).await;
    let revs: Vec<_> = rows.iter().map(|row| row.rev).collect();
    assert_eq!(revs, [5, 7, 8]);
    assert!(
        rows.iter()
            .all(|row| row.content.is_empty() && row.extra.is_none())
    );
}

/// Every change is news of a sync; only one of the newest message, which the list shows, moves the
/// conversation in the list.
pub async fn a_change_moves_the_list_only_with_the_newest_message(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=2, 1), NOW).await;
    db.hide(single(1, 2), user(2), NOW).await.expect("hidden");
    store(&db, Vec::new(), vec![edit(single(1, 2), 3, 1)], NOW + 50).await;
    let older = row(&db, single(1, 2)).await;
    assert_eq!((older.updated_at, older.last_rev), (NOW, 3));
    let news = |after| crate::port::db::ListQuery {
        updated_after: Some(after),
        ..super::list::query(1)
    };
    let told = async |after| super::list::list(&db, news(after)).await.entries.len();
    assert_eq!((told(NOW + 49).await, told(NOW + 50).await), (1, 0));
    store(&db, Vec::new(), vec![recall(single(1, 2), 4, 2)], NOW + 60).await;
    let newest = row(&db, single(1, 2)).await;
    assert_eq!(
        (newest.updated_at, newest.last_rev, newest.last_seq_id),
        (NOW + 60, 4, 2)
    );
    assert_eq!(newest.last_message_id, older.last_message_id);
    assert_eq!(
        unread(&db, 2, single(1, 2)).await,
        Some(2),
        "who changes has not read"
    );
    assert_eq!(db.pointer(user(2), single(1, 2)).await.expect("read"), None);
    let list = db.member(single(1, 2), user(2)).await.expect("read");
    assert!(list.expect("a member").hidden, "a change is no message");
    let heads = db.heads(None, &[single(1, 2)]).await.expect("heads");
    assert_eq!((heads[0].seq, heads[0].rev), (2, 4));
}
