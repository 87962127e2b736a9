//! Messages.

use gochat_core::error::ErrorCode;

use super::*;
use crate::port::db::{Direction, MessagePage, RangeQuery, SaveOutcome};

/// The same batch again changes nothing.
pub async fn messages_are_stored_once(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    let batch = run_of(single(1, 2), 1..=3, 1);
    let first = db
        .save_batch(batch.clone(), Vec::new(), NOW + 5)
        .await
        .expect("saved");
    assert_eq!(first, [SaveOutcome::Stored; 3]);
    let row = db.conversation(single(1, 2)).await.expect("read");
    let second = db
        .save_batch(batch, Vec::new(), NOW + 99)
        .await
        .expect("saved");
    assert_eq!(second, [SaveOutcome::Duplicate; 3]);
    assert_eq!(db.conversation(single(1, 2)).await.expect("read"), row);
    assert!(
        db.save_batch(Vec::new(), Vec::new(), NOW)
            .await
            .expect("nothing")
            .is_empty()
    );
}

/// In the order given.
pub async fn duplicates_within_a_batch_are_told(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let batch = run_of(group(1), [1, 2, 1, 3, 2], 1);
    let outcomes = db.save_batch(batch, Vec::new(), NOW).await.expect("saved");
    use SaveOutcome::{Duplicate, Stored};
    assert_eq!(outcomes, [Stored, Stored, Duplicate, Stored, Duplicate]);
}

/// The backstop of the sequencer: the first stays, the rest of the batch is saved.
pub async fn another_message_at_a_taken_place_is_refused_alone(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=2, 1), NOW).await;
    let thief = NewMessage {
        id: MessageId::new(77).expect("small"),
        content: "thief".to_owned(),
        ..message(group(1), 2, 2)
    };
    let batch = vec![thief, message(group(1), 3, 1)];
    let outcomes = db
        .save_batch(batch, Vec::new(), NOW + 1)
        .await
        .expect("saved");
    use SaveOutcome::{Conflict, Stored};
    assert_eq!(outcomes, [Conflict, Stored]);
    let page = history(&db, group(1), Direction::Ascending, None, 10).await;
    assert_eq!(page.messages.len(), 3);
    assert_eq!(page.messages[1].message.content, "text 2");
    assert_eq!(db.pointer(user(2), group(1)).await.expect("read"), None);
}

/// An id that was made twice costs no message: each stands at its own place, under the id its
/// author was told.
pub async fn messages_with_one_id_are_all_stored(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        open(&db, group(n), 1, &[]).await;
    }
    let id = MessageId::new(5_000).expect("small");
    let twin = |place, seq, text: &str| NewMessage {
        id,
        content: text.to_owned(),
        ..message(place, seq, 1)
    };
    let first = vec![twin(group(1), 1, "a"), message(group(1), 2, 1)];
    save(&db, first.clone(), NOW).await;
    // In another conversation, in the same one, and twice within one batch.
    let batch = vec![
        twin(group(2), 1, "b"),
        message(group(1), 3, 1),
        twin(group(1), 4, "c"),
    ];
    let outcomes = db
        .save_batch(batch.clone(), Vec::new(), NOW + 1)
        .await
        .expect("saved");
    assert_eq!(outcomes, [SaveOutcome::Stored; 3]);
    let again = db
        .save_batch(batch, Vec::new(), NOW + 2)
        .await
        .expect("saved");
    assert_eq!(again, [SaveOutcome::Duplicate; 3]);
    let again = db
        .save_batch(first, Vec::new(), NOW + 2)
        .await
        .expect("saved");
    assert_eq!(again, [SaveOutcome::Duplicate; 2]);
    for (place, expected) in [(group(1), vec![1, 2, 3, 4]), (group(2), vec![1])] {
        let page = history(&db, place, Direction::Ascending, None, 10).await;
        let seqs: Vec<_> = page.messages.iter().map(|m| m.message.seq_id).collect();
        assert_eq!(seqs, expected);
        let row = db.conversation(place).await.expect("read").expect("there");
        assert_eq!(row.last_seq_id, *expected.last().expect("some"));
    }
    // What is looked at and what is recalled is one and the same message.
    for place in [group(1), group(2)] {
        let found = db.message(id, Some(place)).await.expect("read");
        let found = found.expect("there").message;
        let recalled = db.recall(place, id, NOW + 3).await.expect("recalled");
        assert!(recalled.newly);
        assert_eq!(recalled.message.seq_id, found.seq_id);
        assert!(!db.recall(place, id, NOW + 4).await.expect("again").newly);
    }
    let page = history(&db, group(1), Direction::Ascending, None, 10).await;
    let deleted: Vec<_> = page.messages.iter().map(|m| m.message.deleted).collect();
    assert_eq!(deleted, [false, false, false, true]);
}

/// A late batch fills history without touching the head.
pub async fn the_head_moves_only_forward(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 4..=5, 1), NOW + 5).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW + 9).await;
    let row = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!((row.last_seq_id, row.updated_at), (5, NOW + 5));
    assert_eq!(row.last_message_id, Some(message(group(1), 5, 1).id));
    save(&db, run_of(group(1), [6], 1), NOW + 1).await;
    let row = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (row.last_seq_id, row.updated_at),
        (6, NOW + 5),
        "time moves only forward, too"
    );
}

/// Whatever the order of commits.
pub async fn racing_batches_leave_the_newest_head(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let racers = (0..10_u64).rev().map(|n| {
        let db = db.clone();
        let batch = run_of(group(1), (n * 10 + 1)..=(n * 10 + 10), 1 + n % 3);
        tokio::spawn(async move {
            db.save_batch(batch, Vec::new(), NOW + n)
                .await
                .expect("saved")
        })
    });
    for racer in racers.collect::<Vec<_>>() {
        assert_eq!(racer.await.expect("no panic"), [SaveOutcome::Stored; 10]);
    }
    let row = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.last_seq_id, 100);
    let page = history(&db, group(1), Direction::Ascending, None, 100).await;
    let seqs: Vec<_> = page.messages.iter().map(|m| m.message.seq_id).collect();
    assert_eq!(seqs, (1..=100).collect::<Vec<_>>());
}

/// The head must not get lost with it; the pair joins later.
pub async fn a_message_without_a_conversation_row_is_not_lost(subject: Subject) {
    let db = subject.db();
    save(&db, run_of(single(1, 2), 1..=2, 1), NOW + 5).await;
    let row = db
        .conversation(single(1, 2))
        .await
        .expect("read")
        .expect("made");
    assert_eq!((row.last_seq_id, row.member_count), (2, 0));
    let opened = open(&db, single(1, 2), 1, &[]).await;
    assert_eq!(
        (
            opened.conversation.last_seq_id,
            opened.conversation.member_count
        ),
        (2, 2)
    );
}

async fn history(
    db: &SharedDatabase,
    id: ConversationId,
    direction: Direction,
    start: Option<SeqId>,
    limit: u32,
) -> MessagePage {
    let (from, to) = match direction {
        Direction::Ascending => (start, None),
        Direction::Descending => (None, start),
    };
    let query = RangeQuery {
        conversation: id,
        from,
        to,
        direction,
        limit,
        types: Vec::new(),
        fresh: false,
    };
    db.messages(query).await.expect("a page")
}

fn seqs(page: &MessagePage) -> Vec<SeqId> {
    page.messages.iter().map(|m| m.message.seq_id).collect()
}

/// Bounds are inclusive; the limit cuts at the far end.
pub async fn ranges_are_read_both_ways_within_their_bounds(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=150, 1), NOW).await;
    let range = async |from, to, direction, limit| {
        let query = RangeQuery {
            conversation: group(1),
            from,
            to,
            direction,
            limit,
            types: vec![],
            fresh: false,
        };
        db.messages(query).await.expect("a page")
    };
    use Direction::{Ascending, Descending};
    let page = range(Some(10), Some(20), Ascending, 5).await;
    assert_eq!(
        (seqs(&page), page.next_seq_id),
        ((10..=14).collect(), Some(15))
    );
    assert_eq!(
        page.messages[0].sender.as_ref().map(|u| u.id),
        Some(user(1))
    );
    let page = range(Some(10), Some(20), Descending, 5).await;
    assert_eq!(
        (seqs(&page), page.next_seq_id),
        ((16..=20).rev().collect(), Some(15))
    );
    let page = range(Some(10), Some(20), Ascending, 11).await;
    assert_eq!((page.messages.len(), page.has_more), (11, false));
    assert_eq!(
        range(None, None, Descending, 1_000).await.messages.len(),
        100,
        "pages are bounded"
    );
    assert!(
        range(Some(151), None, Ascending, 10)
            .await
            .messages
            .is_empty()
    );
    let first = &range(None, None, Ascending, 1).await.messages[0].message;
    assert_eq!(
        (first.content.as_str(), first.client_msg_id.as_deref()),
        ("text 1", Some("c1"))
    );
    assert_eq!(first.created_at, NOW + 1);
}

/// Walking back in time meets every old message once, however many new ones come.
pub async fn paging_through_history_is_stable_while_messages_arrive(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=95, 1), NOW).await;
    let mut met = Vec::new();
    let mut start = None;
    for round in 0.. {
        let page = history(&db, group(1), Direction::Descending, start, 20).await;
        met.extend(seqs(&page));
        save(&db, run_of(group(1), [96 + round], 1), NOW).await;
        start = page.next_seq_id;
        if start.is_none() {
            break;
        }
    }
    assert_eq!(met, (1..=95).rev().collect::<Vec<_>>());
}

/// Pages with a filter may be short but lead on to the end.
pub async fn a_type_filter_reads_on(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let mut batch = run_of(group(1), 1..=6_000, 1);
    batch[2].message_type = 2;
    batch[5_900].message_type = 2;
    batch[5_950].message_type = 3;
    save(&db, batch, NOW).await;
    for direction in [Direction::Ascending, Direction::Descending] {
        let mut met = Vec::new();
        let mut start = None;
        loop {
            let (from, to) = match direction {
                Direction::Ascending => (start, None),
                Direction::Descending => (None, start),
            };
            let query = RangeQuery {
                conversation: group(1),
                from,
                to,
                direction,
                limit: 10,
                types: vec![2],
                fresh: false,
            };
            let page = db.messages(query).await.expect("a page");
            met.extend(seqs(&page));
            start = page.next_seq_id;
            if start.is_none() {
                break;
            }
        }
        met.sort_unstable();
        assert_eq!(met, [3, 5_901]);
    }
}

/// Newest first, conversations together.
pub async fn latest_messages_come_per_conversation(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    save(&db, run_of(group(1), 1..=5, 1), NOW).await;
    save(&db, run_of(group(2), 1..=1, 1), NOW).await;
    let found = db
        .latest_messages(&[group(2), group(3), group(1)], 2)
        .await
        .expect("read");
    let places: Vec<_> = found
        .iter()
        .map(|m| (m.message.conversation_id, m.message.seq_id))
        .collect();
    assert_eq!(places, [(group(2), 1), (group(1), 5), (group(1), 4)]);
}

/// Every way to read it shows it blank.
pub async fn a_recalled_message_keeps_its_place_and_loses_its_content(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    open(&db, group(1), 1, &[]).await;
    let mut batch = run_of(group(1), 1..=2, 1);
    batch[1].extra = Some("{}".to_owned());
    save(&db, batch, NOW).await;
    let id = message(group(1), 2, 1).id;
    let elsewhere = db.recall(group(9), id, NOW + 5).await;
    assert_eq!(code(elsewhere), ErrorCode::MessageNotFound);
    let first = db.recall(group(1), id, NOW + 5).await.expect("recalled");
    assert!(first.newly && first.message.deleted);
    assert_eq!(
        (first.message.content.as_str(), first.message.extra),
        ("", None)
    );
    assert_eq!(first.message.updated_at, NOW + 5);
    assert!(!db.recall(group(1), id, NOW + 9).await.expect("again").newly);
    let read = db
        .message(id, Some(group(1)))
        .await
        .expect("read")
        .expect("there")
        .message;
    assert!(read.deleted && read.content.is_empty() && read.seq_id == 2);
    let page = history(&db, group(1), Direction::Descending, None, 2).await;
    assert_eq!(page.messages[0].message, read);
    assert_eq!(page.messages[1].message.content, "text 1");
    let row = db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.updated_at, NOW + 5, "incremental sync sees the marker");
    // The row itself is empty, not only what is shown of it.
    subject.run_sql("UPDATE messages SET deleted = 0").await;
    let bare = db.message(id, Some(group(1))).await.expect("read");
    let bare = bare.expect("there").message;
    assert_eq!((bare.content.as_str(), bare.extra), ("", None));
    assert!(
        db.message(id, Some(group(9)))
            .await
            .expect("read")
            .is_none()
    );
}

/// For read receipts.
pub async fn authors_are_named_once(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    let batch = (1..=6)
        .map(|seq| message(group(1), seq, 1 + seq % 3))
        .collect();
    save(&db, batch, NOW).await;
    let mut authors = db.authors_between(group(1), 1, 5, 10).await.expect("read");
    authors.sort_unstable();
    assert_eq!(authors, [user(1), user(2), user(3)]);
    let one = db.authors_between(group(1), 2, 3, 10).await.expect("read");
    assert_eq!(one, [user(1)]);
    assert!(
        db.authors_between(group(1), 6, 6, 10)
            .await
            .expect("read")
            .is_empty()
    );
}
