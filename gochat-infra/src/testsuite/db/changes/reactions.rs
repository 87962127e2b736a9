//! Reactions to messages.

use ChangeKind::{React, Unreact};

use super::*;
use crate::port::db::{ReactionsPage, ReactionsQuery};

pub(super) async fn who(
    db: &SharedDatabase,
    id: ConversationId,
    seq: SeqId,
    only: Option<&str>,
    (after_rev, limit): (u64, u32),
) -> ReactionsPage {
    let query = ReactionsQuery {
        conversation: id,
        message: message(id, seq, 1).id,
        emoji: only.map(emoji),
        after_rev,
        limit,
    };
    db.reactions(query).await.expect("a page")
}

/// (rev, user, emoji) of a page.
pub(super) fn told(page: &ReactionsPage) -> Vec<(u64, u64, String)> {
    let reactions = page.reactions.iter();
    reactions
        .map(|r| (r.rev, r.user_id.get(), r.emoji.to_string()))
        .collect()
}

fn told_as(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    let entry = |(rev, who, text): &(u64, u64, &str)| (*rev, *who, emoji(text).to_string());
    expected.iter().map(entry).collect()
}

/// A user reacts with an emoji once; the message shows how many did, and nothing else of it changes.
pub async fn reactions_are_stored_once(subject: Subject) {
    let db = subject.db();
    for n in 1..=2 {
        add_user(&db, n).await;
    }
    open(&db, group(1), 1, &[2, 3]).await;
    let mut batch = run_of(group(1), 1..=2, 1);
    batch[0].extra = Some("{}".to_owned());
    save(&db, batch, NOW).await;
    let changes = vec![
        reaction(group(1), 3, (React, 1), (2, "👍"), &[("👍", 1)]),
        reaction(group(1), 4, (React, 1), (3, "👍"), &[("👍", 2)]),
        reaction(
            group(1),
            5,
            (React, 1),
            (2, "parrot"),
            &[("👍", 2), ("parrot", 1)],
        ),
        // The user has it already: the one that is there stays.
        reaction(
            group(1),
            6,
            (React, 1),
            (2, "👍"),
            &[("👍", 2), ("parrot", 1)],
        ),
        reaction(group(1), 7, (React, 2), (2, "❤"), &[("❤", 1)]),
        reaction(
            group(1),
            8,
            (Unreact, 1),
            (3, "👍"),
            &[("👍", 1), ("parrot", 1)],
        ),
    ];
    let first = store(&db, Vec::new(), changes[..4].to_vec(), NOW + 5).await;
    assert_eq!(first, [Stored; 4]);
    assert_eq!(
        told(&who(&db, group(1), 1, None, (0, 10)).await),
        told_as(&[(3, 2, "👍"), (4, 3, "👍"), (5, 2, "parrot")])
    );
    let second = store(&db, Vec::new(), changes.clone(), NOW + 6).await;
    assert_eq!(second[..4], [Duplicate; 4]);
    assert_eq!(second[4..], [Stored; 2]);
    let rows = all(&db, group(1)).await;
    let shown = &rows[0];
    assert_eq!(shown.reactions, tally(&[("👍", 1), ("parrot", 1)]));
    assert_eq!((shown.rev, shown.updated_at), (8, NOW + 108));
    assert_eq!(
        (shown.content.as_str(), shown.extra.as_deref()),
        ("text 1", Some("{}"))
    );
    assert_eq!((shown.edit_count, shown.edited_at), (0, None));
    assert_eq!((shown.deleted, shown.pinned), (false, false));
    assert_eq!(rows[1].reactions, tally(&[("❤️", 1)]));
    let page = who(&db, group(1), 1, None, (0, 10)).await;
    assert_eq!(told(&page), told_as(&[(3, 2, "👍"), (5, 2, "parrot")]));
    assert_eq!(page.reactions[0].created_at, NOW + 103);
    let name = page.reactions[0].user.as_ref().map(|u| u.username.clone());
    assert_eq!(name.as_deref(), Some("user2"));
    let again = store(&db, Vec::new(), changes, NOW + 99).await;
    assert_eq!(again, [Duplicate; 6]);
    assert_eq!(all(&db, group(1)).await, rows);
    assert_eq!(who(&db, group(1), 1, None, (0, 10)).await, page);
    assert_eq!(row(&db, group(1)).await.last_rev, 8);
}

/// A reaction that is taken away and made anew stands behind the others, in one batch as in several.
pub async fn a_reaction_made_anew_has_a_new_number(subject: Subject) {
    let db = subject.db();
    let changes = |id| {
        vec![
            reaction(id, 2, (React, 1), (1, "👍"), &[("👍", 1)]),
            reaction(id, 3, (React, 1), (2, "👍"), &[("👍", 2)]),
            reaction(id, 4, (Unreact, 1), (1, "👍"), &[("👍", 1)]),
            reaction(id, 5, (React, 1), (1, "👍"), &[("👍", 2)]),
            reaction(id, 6, (Unreact, 1), (2, "👍"), &[("👍", 1)]),
            // Nobody has this one.
            reaction(id, 7, (Unreact, 1), (2, "🎉"), &[("👍", 1)]),
        ]
    };
    for (id, piece) in [(group(1), 1), (group(2), 3), (group(3), 6)] {
        open(&db, id, 1, &[2]).await;
        save(&db, run_of(id, 1..=1, 1), NOW).await;
        for piece in changes(id).chunks(piece) {
            store(&db, Vec::new(), piece.to_vec(), NOW).await;
        }
        let page = who(&db, id, 1, None, (0, 10)).await;
        assert_eq!(told(&page), told_as(&[(5, 1, "👍")]), "{id}");
        assert_eq!(all(&db, id).await[0].reactions, tally(&[("👍", 1)]));
    }
}

/// An edit and a reaction leave alone what the other keeps, in one batch as well.
pub async fn a_message_is_edited_and_reacted_to(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    let thumb = [("👍", 1)];
    let mut edited = edit(group(1), 2, 1);
    edited.edit_count = 1;
    let changes = vec![
        edited,
        reaction(group(1), 3, (React, 1), (2, "👍"), &thumb),
        pin(group(1), 4, 1),
    ];
    let saved = store(&db, run_of(group(1), 1..=1, 1), changes, NOW).await;
    assert_eq!(saved, [Stored; 4]);
    let shown = all(&db, group(1)).await.remove(0);
    assert_eq!((shown.content.as_str(), shown.edit_count), ("edit 2", 1));
    assert_eq!((shown.edited_at, shown.rev), (Some(NOW + 102), 4));
    assert_eq!((&shown.reactions, shown.pinned), (&tally(&thumb), true));
    // A sequencer that knows no reactions brings none.
    let later = NewChange {
        edit_count: 2,
        extra: None,
        ..edit(group(1), 5, 1)
    };
    store(&db, Vec::new(), vec![later], NOW).await;
    let shown = all(&db, group(1)).await.remove(0);
    assert_eq!(
        (shown.content.as_str(), shown.extra.as_deref()),
        ("edit 5", None)
    );
    assert_eq!((&shown.reactions, shown.pinned), (&tally(&thumb), true));
    let end = reaction(group(1), 6, (Unreact, 1), (2, "👍"), &[]);
    store(&db, Vec::new(), vec![end], NOW).await;
    let shown = all(&db, group(1)).await.remove(0);
    assert_eq!((shown.content.as_str(), shown.edit_count), ("edit 5", 2));
    assert!(shown.reactions.is_empty() && shown.pinned);
}

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
