//! What is read of reactions: who reacted, and what reactions are judged by.

use ChangeKind::React;

use super::reactions::{told, told_as, who};
use super::*;
use crate::port::db::ReactionsPage;

/// Who reacted is read in pages, of one emoji or of all.
pub async fn who_reacted_is_read_in_pages(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    save(&db, run_of(group(1), 1..=2, 1), NOW).await;
    let texts = ["👍", "❤️", "parrot"];
    let changes = (0..120_u64).map(|n| {
        let text = texts[n as usize % 3];
        reaction(group(1), 3 + n, (React, 1), (1 + n / 3, text), &[(text, 1)])
    });
    store(&db, Vec::new(), changes.collect(), NOW).await;
    let (mut met, mut after, mut pages) = (Vec::new(), 0, 0);
    loop {
        let page = who(&db, group(1), 1, None, (after, 50)).await;
        met.extend(told(&page));
        after = met.last().map_or(after, |last| last.0);
        pages += 1;
        if !page.has_more {
            break;
        }
    }
    assert_eq!((met.len(), pages), (120, 3));
    assert!(met.iter().map(|(rev, ..)| *rev).eq(3..=122));
    let hearts = who(&db, group(1), 1, Some("❤"), (7, 2)).await;
    assert_eq!(told(&hearts), told_as(&[(10, 3, "❤️"), (13, 4, "❤️")]));
    assert!(hearts.has_more);
    let last = who(&db, group(1), 1, Some("❤"), (118, 2)).await;
    assert_eq!(told(&last), told_as(&[(121, 40, "❤️")]));
    assert!(!last.has_more);
    let bounded = who(&db, group(1), 1, None, (0, 10_000)).await;
    assert_eq!((bounded.reactions.len(), bounded.has_more), (100, true));
    let none = who(&db, group(1), 2, None, (0, 10)).await;
    assert_eq!(none, ReactionsPage::default());
    assert_eq!(who(&db, group(2), 1, None, (0, 10)).await, none);
}

/// What one user reacted with, of many messages at once.
pub async fn own_reactions_are_told(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW).await;
    save(&db, run_of(group(2), 1..=1, 1), NOW).await;
    let changes = vec![
        reaction(group(1), 4, (React, 1), (2, "👍"), &[("👍", 1)]),
        reaction(group(1), 5, (React, 1), (2, "🎉"), &[("👍", 1), ("🎉", 1)]),
        reaction(group(1), 6, (React, 2), (3, "🎉"), &[("🎉", 1)]),
        reaction(group(1), 7, (React, 3), (2, "❤"), &[("❤", 1)]),
        reaction(group(2), 2, (React, 1), (2, "❤"), &[("❤", 1)]),
    ];
    store(&db, Vec::new(), changes, NOW).await;
    let id = |seq| message(group(1), seq, 1).id;
    let own = async |who, seqs: &[SeqId]| {
        let ids: Vec<_> = seqs.iter().map(|seq| id(*seq)).collect();
        let found = db.own_reactions(group(1), user(who), &ids).await;
        let mut found = found.expect("read");
        found.sort_unstable();
        found
    };
    let mut expected = vec![
        (id(1), emoji("👍")),
        (id(1), emoji("🎉")),
        (id(3), emoji("❤")),
    ];
    expected.sort_unstable();
    assert_eq!(own(2, &[1, 2, 3, 1, 9]).await, expected);
    assert_eq!(own(3, &[1, 2, 3]).await, [(id(2), emoji("🎉"))]);
    assert_eq!(own(2, &[2]).await, []);
    assert_eq!(own(2, &[]).await, []);
    let elsewhere = message(group(2), 1, 1).id;
    let none = db.own_reactions(group(1), user(2), &[elsewhere]).await;
    assert_eq!(none.expect("read"), []);
}

/// What reactions and pins are judged by.
pub async fn facts_tell_reactors_and_pins(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    save(&db, run_of(group(1), 1..=3, 1), NOW).await;
    let both = [("👍", 1), ("🎉", 1)];
    let changes = vec![
        reaction(group(1), 4, (React, 1), (2, "👍"), &[("👍", 1)]),
        reaction(group(1), 5, (React, 1), (2, "🎉"), &both),
        reaction(group(1), 6, (React, 2), (3, "❤"), &[("❤", 1)]),
        pin(group(1), 7, 1),
    ];
    store(&db, Vec::new(), changes, NOW).await;
    let id = |seq| message(group(1), seq, 1).id;
    let mut request = asking(group(1), Vec::new(), vec![id(1), id(3)]);
    let asked = [(1, 2), (1, 3), (2, 3), (3, 2), (1, 2), (9, 2)];
    request.conversations[0].reactors = asked.map(|(seq, who)| (id(seq), user(who))).to_vec();
    let facts = facts_of(&db, request.clone()).await;
    assert_eq!(facts.conversation.map(|row| row.pinned_count), Some(1));
    let mut found: Vec<_> = facts
        .reactors
        .iter()
        .map(|r| (r.message_id, r.user_id, r.emoji))
        .collect();
    found.sort_unstable();
    let mut expected = vec![
        (id(1), user(2), emoji("👍")),
        (id(1), user(2), emoji("🎉")),
        (id(2), user(3), emoji("❤")),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
    let mut targets = facts.targets;
    targets.sort_by_key(|target| target.seq_id);
    let told: Vec<_> = targets
        .iter()
        .map(|t| (t.seq_id, t.pinned, t.reactions.clone()))
        .collect();
    assert_eq!(
        told,
        [(1, true, tally(&both)), (3, false, Tally::default())]
    );

    // They take room: the conversation behind them is answered next time.
    request.max_rows = 20;
    request.conversations[0].targets.clear();
    request.conversations.push(FactsOf {
        id: group(2),
        ..FactsOf::clone(&request.conversations[0])
    });
    request.conversations[1].reactors.clear();
    assert_eq!(db.facts(request.clone()).await.expect("facts").len(), 2);
    let more = (10..30).map(|n| (id(1), user(n)));
    request.conversations[0].reactors.extend(more);
    assert_eq!(db.facts(request).await.expect("facts").len(), 1);
}
