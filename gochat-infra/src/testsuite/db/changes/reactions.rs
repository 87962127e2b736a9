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

pub(super) fn told_as(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    let entry = |(rev, who, text): &(u64, u64, &str)| (*rev, *who, emoji(text).to_string());
    expected.iter().map(entry).collect()
}

/// A user reacts with an emoji once; the message shows how many did, and nothing else of it
/// changes.
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

/// A reaction that is taken away and made anew stands behind the others, in one batch as in
/// several.
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
