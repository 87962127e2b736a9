//! Pinned messages, and what a recall takes along.

use ChangeKind::{React, Unreact};

use super::reactions::{told, who};
use super::*;

/// Positions of the pinned messages in their order, and the head.
pub(super) async fn pinned(db: &SharedDatabase, id: ConversationId) -> (Vec<SeqId>, u64) {
    let page = db.pins(id, false).await.expect("a page");
    let seqs = page.messages.iter().map(|entry| entry.message.seq_id);
    (seqs.collect(), page.head_rev)
}

/// The one that was pinned last stands on top; a conversation counts its pins.
pub async fn pins_are_listed_and_counted(subject: Subject) {
    let db = subject.db();
    add_user(&db, 1).await;
    assert_eq!(pinned(&db, group(1)).await, (vec![], 0));
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    assert_eq!(pinned(&db, group(1)).await, (vec![], 0));
    save(&db, run_of(group(1), 1..=4, 1), NOW).await;
    save(&db, run_of(group(2), 1..=1, 1), NOW).await;
    assert_eq!(pinned(&db, group(1)).await, (vec![], 4));
    let changes = vec![
        pin(group(1), 5, 2),
        pin(group(1), 6, 1),
        pin(group(1), 7, 4),
        unpin(group(1), 8, 1),
        // A second time: it moves to the top.
        pin(group(1), 9, 2),
        // It wasn't.
        unpin(group(1), 10, 3),
        pin(group(2), 2, 1),
    ];
    for (piece, others) in [(1, 3), (4, 5), (7, 9)] {
        let changes = changes[..piece].to_vec();
        store(&db, Vec::new(), changes, NOW + others).await;
    }
    assert_eq!(pinned(&db, group(1)).await, (vec![2, 4], 10));
    let page = db.pins(group(1), true).await.expect("a page");
    let top = &page.messages[0];
    assert_eq!(top.sender.as_ref().map(|u| u.id), Some(user(1)));
    assert_eq!(top.message, all(&db, group(1)).await[1]);
    let shown: Vec<_> = all(&db, group(1)).await.iter().map(|m| m.pinned).collect();
    assert_eq!(shown, [false, true, false, true]);
    let before = row(&db, group(1)).await;
    assert_eq!((before.pinned_count, before.last_rev), (2, 10));
    assert_eq!(row(&db, group(2)).await.pinned_count, 1);
    assert_eq!(
        store(&db, Vec::new(), changes, NOW + 99).await,
        [Duplicate; 7]
    );
    assert_eq!(pinned(&db, group(1)).await, (vec![2, 4], 10));
    assert_eq!(row(&db, group(1)).await, before);
    // Reactions and edits of a pinned message leave its place alone.
    let changes = vec![
        edit(group(1), 11, 4),
        reaction(group(1), 12, (React, 4), (1, "👍"), &[("👍", 1)]),
    ];
    store(&db, Vec::new(), changes, NOW).await;
    assert_eq!(pinned(&db, group(1)).await, (vec![2, 4], 12));
    assert_eq!(row(&db, group(1)).await.pinned_count, 2);
}

/// A recall erases reactions and the pin, with a number or without; what comes after it only
/// counts.
pub async fn a_recall_takes_reactions_and_the_pin_along(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    save(&db, run_of(group(1), 1..=4, 1), NOW).await;
    let thumb = [("👍", 1)];
    let marks = |rev: u64, seq| {
        vec![
            reaction(group(1), rev, (React, seq), (2, "👍"), &thumb),
            pin(group(1), rev + 1, seq),
        ]
    };
    let changes = (1..=4).flat_map(|seq| marks(3 + 2 * seq, seq)).collect();
    store(&db, Vec::new(), changes, NOW).await;
    assert_eq!(pinned(&db, group(1)).await, (vec![4, 3, 2, 1], 12));
    // By a batch of its own, by one that goes on, and by a sequencer that knows no changes.
    store(&db, Vec::new(), vec![recall(group(1), 13, 1)], NOW).await;
    assert_eq!(row(&db, group(1)).await.pinned_count, 3);
    let mut changes = marks(14, 2);
    changes.push(recall(group(1), 16, 2));
    changes.extend(marks(17, 2));
    store(&db, Vec::new(), changes, NOW).await;
    let recalled = db.recall(group(1), message(group(1), 3, 1).id, NOW).await;
    let recalled = recalled.expect("recalled").message;
    assert!(recalled.reactions.is_empty() && !recalled.pinned);
    let mut late = marks(19, 3);
    late.push(reaction(group(1), 21, (Unreact, 1), (2, "👍"), &thumb));
    late.push(unpin(group(1), 22, 1));
    assert_eq!(store(&db, Vec::new(), late, NOW).await, [Stored; 4]);
    assert_eq!(pinned(&db, group(1)).await, (vec![4], 22));
    assert_eq!(row(&db, group(1)).await.pinned_count, 1);
    for seq in 1..=3 {
        let page = who(&db, group(1), seq, None, (0, 10)).await;
        assert_eq!(told(&page), [], "message {seq}");
    }
    assert_eq!(
        who(&db, group(1), 4, None, (0, 10)).await.reactions.len(),
        1
    );
    // The rows themselves are empty, not only what is shown of them.
    subject.run_sql("UPDATE messages SET deleted = 0").await;
    let rows = all(&db, group(1)).await;
    let marked: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.rev,
                row.pinned,
                row.reactions.is_empty(),
                row.content.is_empty(),
            )
        })
        .collect();
    assert_eq!(
        marked,
        [
            (22, false, true, true),
            (18, false, true, true),
            (20, false, true, true),
            (12, true, false, false)
        ]
    );
}
