//! Whole histories of messages and changes, however they are cut and repeated.

use super::model::{Model, Record};
use super::*;

/// A history, and what is to be stored after it.
fn sequenced(id: ConversationId, seed: u64, len: u64) -> (Vec<Record>, Model) {
    let mut model = Model::new(id, seed);
    let records = (1..=len).map(|_| model.record()).collect();
    (records, model)
}

/// Rows without what differs between conversations.
async fn comparable(db: &SharedDatabase, id: ConversationId) -> Vec<MessageRow> {
    let same = |mut row: MessageRow| {
        let reply = row.references.as_mut().and_then(|refs| refs.reply.as_mut());
        if let Some(reply) = reply {
            reply.id = MessageId::default();
        }
        MessageRow {
            id: MessageId::default(),
            conversation_id: ConversationId::World,
            ..row
        }
    };
    all(db, id).await.into_iter().map(same).collect()
}

/// Stores a history in pieces of random lengths, some of them again, as a writer does that starts
/// anew from what it had committed.
async fn store_in_pieces(db: SharedDatabase, id: ConversationId, len: u64, mut seed: u64) {
    let (history, _) = sequenced(id, 7, len);
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

/// However a history is cut and repeated, the rows are the same, and those that its definition
/// says.
pub async fn histories_in_any_pieces_end_in_the_same_rows(subject: Subject) {
    let db = subject.db();
    const LEN: u64 = 250;
    let (history, model) = sequenced(group(1), 7, LEN);
    for (messages, changes) in history {
        assert_eq!(store(&db, messages, changes, NOW).await, [Stored]);
    }
    model.is_stored(&db, group(1)).await;
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
        model.is_stored(&db, group(n)).await;
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
    sequenced(group(2), 7, 60).1.is_stored(&db, group(2)).await;
    assert_eq!(row(&db, group(2)).await.last_rev, 60);
}
