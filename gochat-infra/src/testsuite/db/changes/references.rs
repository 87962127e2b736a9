//! What messages refer to: messages they answer, users they name, messages they pass on.

use gochat_core::message::{EXCERPT_CHARS, Forwarded, References, Reply};

use super::*;
use crate::port::db::QuotedRow;

fn names(mentions: &[u64], mention_all: bool) -> References {
    References {
        mentions: mentions.iter().copied().map(user).collect(),
        mention_all,
        ..References::default()
    }
}

fn reply(id: ConversationId, seq: SeqId, by: u64) -> Reply {
    Reply {
        id: message(id, seq, by).id,
        seq,
        by: user(by),
    }
}

fn referring(id: ConversationId, seq: SeqId, sender: u64, references: References) -> NewMessage {
    NewMessage {
        references: Some(Box::new(references)),
        ..message(id, seq, sender)
    }
}

/// Unread mentions of one conversation.
async fn mentions(db: &SharedDatabase, who: u64, id: ConversationId, read: SeqId) -> u64 {
    let found = db.unread_mentions(user(who), &[(id, read)]).await;
    let found = found.expect("counts");
    assert!(found.iter().all(|(_, count)| *count > 0), "{found:?}");
    found.first().map_or(0, |(_, count)| *count)
}

/// The same batch again changes nothing; an edit leaves all of it.
pub async fn references_are_stored_once(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    let full = References {
        reply: Some(reply(group(1), 1, 1)),
        forwarded: Some(Forwarded {
            by: user(9),
            name: "Zoë \"Z\" \u{1F600}".to_owned(),
            id: MessageId::new(99).expect("small"),
            from: Some(single(8, 9)),
        }),
        ..names(&[1, 2, 3], false)
    };
    let batch = vec![
        message(group(1), 1, 1),
        referring(group(1), 2, 2, full.clone()),
        referring(group(1), 3, 1, References::default()),
    ];
    assert_eq!(
        store(&db, batch.clone(), Vec::new(), NOW).await,
        [Stored; 3]
    );
    let rows = all(&db, group(1)).await;
    let shown: Vec<_> = rows.iter().map(|row| row.references.as_deref()).collect();
    assert_eq!(shown, [None, Some(&full), None]);
    let counts = async || {
        let mut counts = Vec::new();
        for who in 1..=4 {
            counts.push(mentions(&db, who, group(1), 0).await);
        }
        counts
    };
    assert_eq!(counts().await, [1, 0, 1, 0], "the author is not told");
    assert_eq!(store(&db, batch, Vec::new(), NOW).await, [Duplicate; 3]);
    store(&db, Vec::new(), vec![edit(group(1), 4, 2)], NOW).await;
    let rows = all(&db, group(1)).await;
    assert_eq!(rows[1].content, "edit 4");
    assert_eq!(rows[1].references.as_deref(), Some(&full));
    assert_eq!(counts().await, [1, 0, 1, 0]);
    let page = super::super::list::list(&db, super::super::list::query(2)).await;
    let entry = page.entries.iter().find(|e| e.conversation.id == group(1));
    let last = entry.and_then(|entry| entry.last_message.as_ref());
    assert_eq!(last.map(|last| last.message.seq_id), Some(3));

    // A message whose id another one carries keeps what it refers to.
    let twin = NewMessage {
        id: message(group(1), 1, 1).id,
        ..referring(group(1), 4, 1, names(&[3], false))
    };
    store(&db, vec![twin], Vec::new(), NOW).await;
    let found = db.message(message(group(1), 1, 1).id, None).await;
    let found = found.expect("read").expect("there").message;
    assert_eq!(found.references.as_deref(), Some(&names(&[3], false)));
    assert_eq!(counts().await, [1, 0, 2, 0]);
}

/// Beyond the pointer, of others, each message once; any number of conversations in one statement.
pub async fn unread_mentions_are_counted(subject: Subject) {
    let db = subject.db();
    for n in 1..=37 {
        open(&db, group(n), 1, &[2]).await;
    }
    let batch = vec![
        referring(group(1), 1, 1, names(&[2], false)),
        referring(group(1), 2, 1, names(&[], true)),
        referring(group(1), 3, 2, names(&[], true)),
        referring(group(1), 4, 1, names(&[2], true)),
        referring(group(1), 5, 3, names(&[4], false)),
        referring(group(2), 1, 1, names(&[2], false)),
        referring(single(1, 2), 1, 1, names(&[2], false)),
    ];
    save(&db, batch, NOW).await;
    for (read, expected) in [(0, 3), (1, 2), (2, 1), (3, 1), (4, 0), (9, 0)] {
        assert_eq!(mentions(&db, 2, group(1), read).await, expected, "{read}");
    }
    assert_eq!(mentions(&db, 1, group(1), 0).await, 1);
    assert_eq!(mentions(&db, 4, group(1), 0).await, 4);
    assert_eq!(mentions(&db, 2, group(7), 0).await, 0);

    let places = (1..=37).map(|n| (group(n), u64::from(n == 1)));
    let places: Vec<_> = places.chain([(single(1, 2), 0)]).collect();
    let before = subject.statements();
    let found = db.unread_mentions(user(2), &places).await.expect("counts");
    let after = subject.statements();
    assert_eq!(found, [(group(1), 2), (group(2), 1), (single(1, 2), 1)]);
    if let (Some(before), Some(after)) = (before, after) {
        assert_eq!(after - before, 1);
    }
    let none = db.unread_mentions(user(2), &[]).await.expect("counts");
    assert_eq!(none, []);
}

/// Whichever way a message is recalled: what it refers to is gone, and a message that comes again
/// doesn't bring it back.
pub async fn a_recall_erases_references(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    let both = |seq| References {
        reply: Some(reply(group(1), 1, 1)),
        ..names(&[2], seq % 2 == 0)
    };
    let batch: Vec<_> = (1..=5)
        .map(|seq| referring(group(1), seq, 1, both(seq)))
        .collect();
    // With the message, in a batch of its own, twice, and by a sequencer that knows no changes.
    store(&db, batch.clone(), vec![recall(group(1), 6, 1)], NOW).await;
    assert_eq!(mentions(&db, 2, group(1), 0).await, 4);
    let changes = vec![
        recall(group(1), 7, 2),
        edit(group(1), 8, 2),
        edit(group(1), 9, 5),
    ];
    store(&db, Vec::new(), changes, NOW).await;
    let recalled = db.recall(group(1), message(group(1), 3, 1).id, NOW).await;
    assert_eq!(recalled.expect("recalled").message.references, None);
    assert_eq!(mentions(&db, 2, group(1), 0).await, 2);
    let again = store(&db, batch, vec![recall(group(1), 6, 1)], NOW).await;
    assert_eq!(again, [Duplicate; 6]);
    assert_eq!(mentions(&db, 2, group(1), 0).await, 2);
    // The rows themselves are empty, not only what is shown of them.
    subject.run_sql("UPDATE messages SET deleted = 0").await;
    let rows = all(&db, group(1)).await;
    let left: Vec<_> = rows.iter().map(|row| row.references.is_some()).collect();
    assert_eq!(left, [false, false, false, true, true]);
}

/// A quote shows the message as it is now.
pub async fn quotes_show_the_present_state(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    open(&db, group(2), 1, &[]).await;
    let long = "ä\u{1F600}".repeat(EXCERPT_CHARS);
    let mut batch = run_of(group(1), 1..=5, 1);
    batch[0].content.clone_from(&long);
    batch[3].message_type = 2;
    batch.push(message(group(2), 1, 1));
    save(&db, batch, NOW).await;
    let changes = vec![edit(group(1), 6, 2), recall(group(1), 7, 3)];
    store(&db, Vec::new(), changes, NOW).await;
    let foreign = Reply {
        id: message(group(2), 1, 1).id,
        ..reply(group(1), 5, 1)
    };
    let mut replies: Vec<_> = [1, 2, 3, 4, 9, 2]
        .map(|seq| reply(group(1), seq, 1))
        .to_vec();
    replies.push(foreign);
    for fresh in [false, true] {
        let found = db.quoted(group(1), &replies, fresh).await;
        let mut found: Vec<QuotedRow> = found.expect("read");
        found.sort_by_key(|row| row.seq_id);
        let told: Vec<_> = found
            .iter()
            .map(|row| {
                (
                    row.seq_id,
                    row.excerpt.as_str(),
                    row.edit_count,
                    row.deleted,
                )
            })
            .collect();
        let start: String = long.chars().take(EXCERPT_CHARS).collect();
        let expected = [
            (1, start.as_str(), 0, false),
            (2, "edit 6", 6, false),
            (3, "", 0, true),
            (4, "", 0, false),
        ];
        assert_eq!(told, expected);
        let image = &found[3];
        assert_eq!(image.id, message(group(1), 4, 1).id);
        assert_eq!((image.sender_id, image.message_type), (user(1), 2));
        assert_eq!(image.created_at, NOW + 4);
    }
    assert_eq!(db.quoted(group(1), &[], true).await.expect("read"), []);
}

/// A message that is answered is looked up like one that is changed, and shows its beginning.
pub async fn facts_tell_quotes(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[]).await;
    let mut batch = run_of(group(1), 1..=4, 1);
    batch[1].message_type = 3;
    batch[3].content = "x".repeat(500);
    save(&db, batch, NOW).await;
    store(&db, Vec::new(), vec![recall(group(1), 5, 3)], NOW).await;
    let id = |seq| message(group(1), seq, 1).id;
    let mut request = asking(group(1), Vec::new(), vec![id(1), id(4)]);
    request.conversations[0].quotes = vec![id(4), id(2), id(3), id(9), id(4)];
    let mut targets = facts_of(&db, request.clone()).await.targets;
    targets.sort_by_key(|target| target.seq_id);
    let told: Vec<_> = targets
        .iter()
        .map(|t| (t.seq_id, t.message_type, t.excerpt.as_str(), t.deleted))
        .collect();
    let start = "x".repeat(EXCERPT_CHARS);
    let expected = [
        (1, 1, "", false),
        (2, 3, "", false),
        (3, 1, "", true),
        (4, 1, start.as_str(), false),
    ];
    assert_eq!(told, expected);

    // They take room: the conversation behind them is answered next time.
    request.max_rows = 60;
    request.conversations[0].targets.clear();
    request.conversations[0].quotes.truncate(1);
    request.conversations.push(FactsOf {
        id: group(2),
        quotes: Vec::new(),
        ..FactsOf::clone(&request.conversations[0])
    });
    assert_eq!(db.facts(request.clone()).await.expect("facts").len(), 2);
    request.conversations[0].quotes = vec![id(1); 5];
    assert_eq!(db.facts(request).await.expect("facts").len(), 1);
}
