//! What messages said before they were edited.

use gochat_core::message::FormerText;

use super::*;

/// Former texts of message `seq`.
pub(super) async fn kept(db: &SharedDatabase, id: ConversationId, seq: SeqId) -> Vec<FormerText> {
    db.former_texts(id, seq).await.expect("texts")
}

async fn numbers(db: &SharedDatabase, id: ConversationId, seq: SeqId) -> Vec<u32> {
    let kept = kept(db, id, seq).await;
    kept.iter().map(|text| text.edit_no).collect()
}

fn text(edit_no: u32, content: &str, extra: Option<&str>, written_at: UnixMillis) -> FormerText {
    FormerText {
        edit_no,
        content: content.to_owned(),
        extra: extra.map(str::to_owned),
        written_at,
    }
}

/// The edit with this number of its message, which keeps what was there before.
fn keeping(id: ConversationId, rev: u64, seq: SeqId, edit_count: u32) -> NewChange {
    NewChange {
        edit_count,
        keeps_former: true,
        ..edit(id, rev, seq)
    }
}

/// Every edit that says so keeps the text before it, in however many batches they come; a repeat
/// keeps nothing twice.
pub async fn an_edit_keeps_the_text_before_it_where_it_says_so(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let long = "é".repeat(4_000);
    let mut first = message(group(1), 1, 1);
    (first.content, first.extra) = (long.clone(), Some("{\"a\":1}".to_owned()));
    save(&db, vec![first.clone(), message(group(1), 2, 1)], NOW).await;
    let changes = vec![keeping(group(1), 3, 1, 1), keeping(group(1), 4, 2, 1)];
    assert_eq!(store(&db, Vec::new(), changes, NOW).await, [Stored; 2]);
    let original = text(0, &long, Some("{\"a\":1}"), NOW + 1);
    assert_eq!(
        kept(&db, group(1), 1).await,
        std::slice::from_ref(&original)
    );
    assert_eq!(
        kept(&db, group(1), 2).await,
        [text(0, "text 2", None, NOW + 2)]
    );
    // Several of one message in one batch, in any order; one of them keeps nothing.
    let silent = NewChange {
        edit_count: 3,
        ..edit(group(1), 6, 1)
    };
    let batch = vec![
        keeping(group(1), 7, 1, 4),
        keeping(group(1), 5, 1, 2),
        silent,
        keeping(group(1), 8, 1, 5),
    ];
    let outcomes = store(&db, Vec::new(), batch.clone(), NOW).await;
    assert_eq!(outcomes, [Stored; 4]);
    let expected = [
        original,
        text(1, "edit 3", Some("{\"rev\":3}"), NOW + 103),
        text(3, "edit 6", Some("{\"rev\":6}"), NOW + 106),
        text(4, "edit 7", Some("{\"rev\":7}"), NOW + 107),
    ];
    assert_eq!(kept(&db, group(1), 1).await, expected);
    assert_eq!(store(&db, Vec::new(), batch, NOW).await, [Duplicate; 4]);
    assert_eq!(kept(&db, group(1), 1).await, expected);
    assert_eq!(all(&db, group(1)).await[0].content, "edit 8");
    // A message and its edits of one batch.
    let later = NewMessage {
        rev: 9,
        ..message(group(1), 3, 1)
    };
    let edits = vec![keeping(group(1), 10, 3, 1), keeping(group(1), 11, 3, 2)];
    store(&db, vec![later], edits, NOW).await;
    assert_eq!(numbers(&db, group(1), 3).await, [0, 1]);
    // Another conversation, or none at all, has its own.
    assert_eq!(kept(&db, group(2), 1).await, []);
}

/// A recall erases all of it, wherever it stands in a batch, and also without a number.
pub async fn a_recall_erases_what_was_kept(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=4, 1), NOW).await;
    let edits = (1..=4).map(|seq| keeping(group(1), 4 + seq, seq, 1));
    store(&db, Vec::new(), edits.collect(), NOW).await;
    store(&db, Vec::new(), vec![recall(group(1), 9, 1)], NOW).await;
    let mixed = vec![
        keeping(group(1), 10, 2, 2),
        recall(group(1), 11, 2),
        keeping(group(1), 12, 2, 3),
        keeping(group(1), 13, 1, 2),
    ];
    store(&db, Vec::new(), mixed.clone(), NOW).await;
    let id = message(group(1), 3, 1).id;
    db.recall(group(1), id, NOW).await.expect("recalled");
    store(&db, Vec::new(), mixed, NOW).await;
    // The rows are gone, and not only hidden.
    subject.run_sql("UPDATE messages SET deleted = 0").await;
    for seq in 1..=3 {
        assert_eq!(kept(&db, group(1), seq).await, [], "message {seq}");
    }
    assert_eq!(numbers(&db, group(1), 4).await, [0]);
    // An older program recalls without knowing of former texts.
    subject
        .run_sql("UPDATE messages SET deleted = 1 WHERE seq_id = 4")
        .await;
    assert_eq!(kept(&db, group(1), 4).await, []);
}

/// A message keeps its newest twenty former texts, however the edits are cut into batches.
pub async fn the_newest_twenty_former_texts_are_kept(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        open(&db, group(n), 1, &[]).await;
        save(&db, run_of(group(n), 1..=1, 1), NOW).await;
    }
    let edits = |n| (1..=45).map(move |e| keeping(group(n), 1 + u64::from(e), 1, e));
    for edit in edits(1) {
        store(&db, Vec::new(), vec![edit], NOW).await;
    }
    store(&db, Vec::new(), edits(2).collect(), NOW).await;
    let all: Vec<NewChange> = edits(3).collect();
    for (from, to) in [(0, 13), (5, 30), (0, 30), (29, 45)] {
        store(&db, Vec::new(), all[from..to].to_vec(), NOW).await;
    }
    let expected = kept(&db, group(1), 1).await;
    assert_eq!(
        numbers(&db, group(1), 1).await,
        (25..45).collect::<Vec<_>>()
    );
    assert_eq!(expected[19].content, "edit 45");
    for n in 2..=3 {
        assert_eq!(kept(&db, group(n), 1).await, expected);
    }
}
