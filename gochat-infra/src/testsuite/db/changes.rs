//! Changes of messages, and what readers who were away are told of them.

use gochat_core::history::CatchUp;
use gochat_core::message::ChangeKind;

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
        created_at: NOW + 100 + rev,
    }
}

fn edit(id: ConversationId, rev: u64, seq: SeqId) -> NewChange {
    change(id, rev, ChangeKind::Edit, seq)
}

fn recall(id: ConversationId, rev: u64, seq: SeqId) -> NewChange {
    change(id, rev, ChangeKind::Recall, seq)
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

/// The list shows the newest message: its change is news of the conversation, others are not.
pub async fn a_change_moves_the_list_only_with_the_newest_message(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    save(&db, run_of(single(1, 2), 1..=2, 1), NOW).await;
    db.hide(single(1, 2), user(2), NOW).await.expect("hidden");
    store(&db, Vec::new(), vec![edit(single(1, 2), 3, 1)], NOW + 50).await;
    let older = row(&db, single(1, 2)).await;
    assert_eq!((older.updated_at, older.last_rev), (NOW, 3));
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

/// Each message once, as it is now, in pages, to the end.
pub async fn what_is_new_or_changed_is_read_in_pages(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open(&db, group(1), 1, &[]).await;
    assert_eq!(since(&db, group(9), 0, 10).await, ChangesPage::default());
    let empty = since(&db, group(1), 0, 10).await;
    assert_eq!(
        (empty.messages.len(), empty.head_rev, empty.has_more),
        (0, 0, false)
    );
    save(&db, run_of(group(1), 1..=250, 1), NOW).await;
    let changes = (1..=40)
        .map(|n| edit(group(1), 250 + n, 1 + n % 10))
        .collect();
    store(&db, Vec::new(), changes, NOW).await;

    let page = since(&db, group(1), 240, 15).await;
    assert_eq!((page.head_rev, page.has_more), (290, true));
    let expected: Vec<_> = (241..=250)
        .map(|n| (n, n))
        .chain((281..=285).map(|n| (n, 1 + n % 10)))
        .collect();
    assert_eq!(places(&page), expected);
    assert_eq!(page.messages[10].message.content, "edit 281");
    assert_eq!(
        page.messages[0].sender.as_ref().map(|u| u.id),
        Some(user(1))
    );
    let rest = since(&db, group(1), 285, 5).await;
    assert_eq!(
        (places(&rest).len(), rest.has_more, rest.head_rev),
        (5, false, 290)
    );
    let none = since(&db, group(1), 290, 5).await;
    assert_eq!(
        (none.messages.len(), none.head_rev, none.has_more),
        (0, 290, false)
    );
    let bounded = since(&db, group(1), 0, 10_000).await;
    assert_eq!(
        (bounded.messages.len(), bounded.has_more),
        (200, true),
        "pages are bounded"
    );
}

/// Who pages while messages are changed ends with the newest state of each.
pub async fn a_reader_who_pages_while_messages_change_misses_nothing(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=60, 1), NOW).await;
    let mut held = std::collections::BTreeMap::new();
    let (mut after, mut rev) = (0, 60);
    for round in 0..200 {
        if round < 30 {
            rev += 1;
            store(
                &db,
                Vec::new(),
                vec![edit(group(1), rev, 1 + round * 7 % 60)],
                NOW,
            )
            .await;
        }
        let page = since(&db, group(1), after, 7).await;
        let catch_up = CatchUp {
            after,
            last: page.messages.last().map(|entry| entry.message.rev),
            has_more: page.has_more,
            head: page.head_rev,
        };
        after = catch_up.complete_to();
        held.extend(
            page.messages
                .into_iter()
                .map(|entry| (entry.message.seq_id, entry.message)),
        );
        if !page.has_more && round >= 30 {
            break;
        }
    }
    assert_eq!(after, 90);
    let stored = all(&db, group(1)).await;
    assert_eq!(held.into_values().collect::<Vec<_>>(), stored);
}

/// Rows of older programs carry no numbers; their seq stands for them.
pub async fn rows_from_before_changes_are_found_by_their_seq(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=5, 1), NOW).await;
    subject
        .run_sql("UPDATE messages SET rev = 0, changed_rev = 0")
        .await;
    subject
        .run_sql("UPDATE conversations SET last_rev = 0")
        .await;
    let page = since(&db, group(1), 2, 10).await;
    assert_eq!(
        (places(&page), page.head_rev),
        (vec![(3, 3), (4, 4), (5, 5)], 5)
    );
    let row = row(&db, group(1)).await;
    assert_eq!((row.last_rev, row.last_seq_id), (5, 5));
    let again = store(&db, run_of(group(1), 1..=5, 1), Vec::new(), NOW + 9).await;
    assert_eq!(again, [Duplicate; 5]);
    assert_eq!(self::row(&db, group(1)).await.updated_at, row.updated_at);
    store(&db, Vec::new(), vec![edit(group(1), 6, 2)], NOW).await;
    let page = since(&db, group(1), 2, 10).await;
    assert_eq!(
        (places(&page), page.head_rev),
        (vec![(3, 3), (4, 4), (5, 5), (6, 2)], 6)
    );
    let facts = facts_of(&db, asking(group(1), Vec::new(), Vec::new())).await;
    let window: Vec<_> = facts
        .recent
        .iter()
        .map(|m| (m.rev, m.seq_id, m.is_change))
        .collect();
    assert_eq!(
        window,
        [(3, 3, false), (4, 4, false), (5, 5, false), (6, 2, true)]
    );
}

/// A sequencer that gives no numbers may take over from one that does, and the other way round.
pub async fn a_message_without_a_number_gets_the_next_one(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let bare = |seqs: std::ops::RangeInclusive<u64>| {
        let mut run = run_of(group(1), seqs, 1);
        run.iter_mut().for_each(|message| message.rev = 0);
        run
    };
    assert_eq!(store(&db, bare(1..=2), Vec::new(), NOW).await, [Stored; 2]);
    store(
        &db,
        Vec::new(),
        vec![edit(group(1), 3, 1), edit(group(1), 4, 1)],
        NOW,
    )
    .await;
    assert_eq!(
        store(&db, bare(2..=4), Vec::new(), NOW).await,
        [Duplicate, Stored, Stored]
    );
    assert_eq!(row(&db, group(1)).await.last_rev, 6);
    // The number that the new sequencer counted on stays free for the message before its change.
    assert_eq!(
        store(&db, bare(5..=5), vec![edit(group(1), 8, 4)], NOW).await,
        [Stored; 2]
    );
    assert_eq!(
        store(&db, bare(6..=6), vec![edit(group(1), 9, 4)], NOW).await,
        [Stored; 2]
    );
    let page = since(&db, group(1), 0, 10).await;
    assert_eq!(
        places(&page),
        [(2, 2), (4, 1), (5, 3), (7, 5), (9, 4), (10, 6)]
    );
    assert_eq!(page.head_rev, 10);
    let again = store(&db, bare(1..=6), Vec::new(), NOW).await;
    assert_eq!(again, [Duplicate; 6]);
    assert_eq!(since(&db, group(1), 0, 10).await, page);
}

/// A history as a sequencer writes it: (messages, changes) of one record each, by their numbers.
fn sequenced(
    id: ConversationId,
    mut seed: u64,
    len: u64,
) -> Vec<(Vec<NewMessage>, Vec<NewChange>)> {
    let mut dice = move |sides: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let mut head = 0;
    let record = |rev: u64| match (head, dice(5)) {
        (0, _) | (_, 0..=2) => {
            head += 1;
            let mut new = message(id, head, 1);
            new.rev = rev;
            (vec![new], Vec::new())
        }
        (_, 3) => (Vec::new(), vec![edit(id, rev, 1 + dice(head))]),
        _ => (Vec::new(), vec![recall(id, rev, 1 + dice(head))]),
    };
    (1..=len).map(record).collect()
}

/// Rows without what differs between conversations.
async fn comparable(db: &SharedDatabase, id: ConversationId) -> Vec<MessageRow> {
    let same = |row: MessageRow| MessageRow {
        id: MessageId::default(),
        conversation_id: ConversationId::World,
        ..row
    };
    all(db, id).await.into_iter().map(same).collect()
}

/// Stores a history in pieces of random lengths, some of them again, as a writer does that starts
/// anew from what it had committed.
async fn store_in_pieces(db: SharedDatabase, id: ConversationId, len: u64, mut seed: u64) {
    let history = sequenced(id, 7, len);
    let mut next = 0;
    while next < history.len() {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let back = (seed >> 40) as usize % 12;
        let from = next.saturating_sub(back);
        let to = (next + 1 + (seed >> 50) as usize % 20).min(history.len());
        let (mut messages, mut changes) = (Vec::new(), Vec::new());
        for (message, change) in &history[from..to] {
            messages.extend(message.iter().cloned());
            changes.extend(change.iter().cloned());
        }
        let outcomes = store(&db, messages, changes, NOW).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Stored | Duplicate)),
            "{outcomes:?}"
        );
        next = to;
    }
}

/// However a history is cut and repeated, the rows are the same.
pub async fn histories_in_any_pieces_end_in_the_same_rows(subject: Subject) {
    let db = subject.db();
    const LEN: u64 = 150;
    for (messages, changes) in sequenced(group(1), 7, LEN) {
        assert_eq!(store(&db, messages, changes, NOW).await, [Stored]);
    }
    let expected = comparable(&db, group(1)).await;
    let head = row(&db, group(1)).await;
    assert_eq!(head.last_rev, LEN);
    for n in 2..=9 {
        store_in_pieces(db.clone(), group(n), LEN, n).await;
        assert_eq!(
            comparable(&db, group(n)).await,
            expected,
            "pieces of seed {n}"
        );
        let row = row(&db, group(n)).await;
        assert_eq!((row.last_rev, row.last_seq_id), (LEN, head.last_seq_id));
        assert_eq!(
            places(&since(&db, group(n), 0, 200).await),
            places(&since(&db, group(1), 0, 200).await)
        );
    }
}

/// A writer that lost its partition may finish a batch beside the one that took over.
pub async fn racing_writers_of_a_history_end_in_the_same_rows(subject: Subject) {
    let db = subject.db();
    store_in_pieces(db.clone(), group(1), 60, 1).await;
    let racing = (1..=4).map(|seed| tokio::spawn(store_in_pieces(db.clone(), group(2), 60, seed)));
    for writer in racing.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
    assert_eq!(
        comparable(&db, group(2)).await,
        comparable(&db, group(1)).await
    );
    assert_eq!(row(&db, group(2)).await.last_rev, 60);
}

fn asking(id: ConversationId, resends: Vec<Resend>, targets: Vec<MessageId>) -> FactsRequest {
    FactsRequest {
        conversations: vec![FactsOf {
            id,
            senders: Vec::new(),
            resends,
            targets,
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

/// The window is over messages and changes together; both are found when they are sent again.
pub async fn facts_recognise_changes(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let mut messages = run_of(group(1), 1..=5, 1);
    messages[4].rev = 7;
    let nameless = NewChange {
        client_msg_id: None,
        ..edit(group(1), 6, 2)
    };
    // The operator may use the id of a message of theirs for a change.
    let alike = NewChange {
        client_msg_id: Some("c3".to_owned()),
        sender_id: user(1),
        ..recall(group(1), 5, 1)
    };
    store(&db, messages, vec![nameless, alike], NOW).await;
    let ask = |request| facts_of(&db, request);
    let facts = ask(asking(group(1), Vec::new(), Vec::new())).await;
    assert_eq!(facts.conversation.as_ref().map(|row| row.last_rev), Some(7));
    let window: Vec<_> = facts
        .recent
        .iter()
        .map(|m| (m.rev, m.seq_id, m.is_change))
        .collect();
    assert_eq!(window, [(4, 4, false), (5, 1, true), (7, 5, false)]);
    let change = &facts.recent[1];
    assert_eq!(
        (change.client_msg_id.as_str(), change.created_at),
        ("c3", NOW + 105)
    );
    assert_eq!(
        (change.message_id, change.sender_id),
        (message(group(1), 1, 1).id, user(1))
    );
    let late = FactsRequest {
        recent_since: NOW + 50,
        ..asking(group(1), Vec::new(), Vec::new())
    };
    assert_eq!(ask(late).await.recent.len(), 1, "messages are older");

    let of_message = resend(1, "c3");
    let of_change = Resend {
        is_change: true,
        ..of_message.clone()
    };
    let other = Resend {
        sender: user(2),
        ..of_change.clone()
    };
    let found = ask(asking(group(1), vec![of_change.clone(), other], Vec::new()))
        .await
        .resends;
    let found: Vec<_> = found
        .iter()
        .map(|m| (m.rev, m.seq_id, m.is_change))
        .collect();
    assert_eq!(found, [(5, 1, true)]);
    let both = ask(asking(group(1), vec![of_change, of_message], Vec::new()))
        .await
        .resends;
    let both: Vec<_> = both
        .iter()
        .map(|m| (m.rev, m.seq_id, m.is_change))
        .collect();
    assert_eq!(both, [(3, 3, false), (5, 1, true)]);
}

/// What changes are judged by, found by the id within the conversation.
pub async fn facts_tell_targets(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW).await;
    save(&db, run_of(group(2), 1..=1, 1), NOW).await;
    store(
        &db,
        Vec::new(),
        vec![edit(group(1), 4, 2), recall(group(1), 5, 3)],
        NOW,
    )
    .await;
    let id = |of, seq| message(of, seq, 1).id;
    let asked = vec![
        id(group(1), 2),
        id(group(1), 3),
        id(group(2), 1),
        id(group(1), 9),
        id(group(1), 2),
    ];
    let request = FactsRequest {
        recent_max: 0,
        ..asking(group(1), Vec::new(), asked)
    };
    let mut targets = facts_of(&db, request).await.targets;
    targets.sort_by_key(|target| target.seq_id);
    let told: Vec<_> = targets
        .iter()
        .map(|t| {
            (
                t.message_id,
                t.seq_id,
                t.sender_id,
                t.created_at,
                t.deleted,
                t.edit_count,
            )
        })
        .collect();
    let expected = [
        (id(group(1), 2), 2, user(1), NOW + 2, false, 4),
        (id(group(1), 3), 3, user(1), NOW + 3, true, 0),
    ];
    assert_eq!(told, expected);

    // Of messages that share an id the one stored last is meant.
    let twin = NewMessage {
        id: id(group(1), 1),
        rev: 6,
        ..message(group(1), 4, 2)
    };
    save(&db, vec![twin], NOW).await;
    let targets = facts_of(&db, asking(group(1), Vec::new(), vec![id(group(1), 1)]))
        .await
        .targets;
    assert_eq!(targets.iter().map(|t| t.seq_id).collect::<Vec<_>>(), [4]);
    let changed = NewChange {
        message_id: id(group(1), 1),
        ..edit(group(1), 7, 4)
    };
    assert_eq!(store(&db, Vec::new(), vec![changed], NOW).await, [Stored]);
    assert_eq!(all(&db, group(1)).await[0].content, "text 1");
    let counted = FactsRequest {
        max_rows: 0,
        ..asking(group(1), Vec::new(), vec![id(group(1), 2)])
    };
    assert_eq!(
        facts_of(&db, counted).await.targets.len(),
        1,
        "one is always answered"
    );
}

/// Changes are remembered for a time; what they did stays.
pub async fn old_changes_are_forgotten(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let changes = (4..=8).map(|rev| edit(group(1), rev, 1)).collect();
    store(&db, run_of(group(1), 1..=3, 1), changes, NOW).await;
    let rows = all(&db, group(1)).await;
    assert_eq!(db.purge_changes(NOW + 107, 2).await.expect("deleted"), 2);
    assert_eq!(db.purge_changes(NOW + 107, 2).await.expect("deleted"), 1);
    assert_eq!(db.purge_changes(NOW + 107, 2).await.expect("deleted"), 0);
    assert_eq!(all(&db, group(1)).await, rows);
    let facts = facts_of(&db, asking(group(1), Vec::new(), Vec::new())).await;
    assert_eq!(
        facts.recent.iter().map(|m| m.rev).collect::<Vec<_>>(),
        [7, 8]
    );
    assert_eq!(row(&db, group(1)).await.last_rev, 8);
}
