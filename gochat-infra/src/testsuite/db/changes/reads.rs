//! What readers who were away are told of.

use gochat_core::history::CatchUp;

use super::*;

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
