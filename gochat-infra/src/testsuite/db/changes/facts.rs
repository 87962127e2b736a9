//! What the sequencer is told of changes and their targets.

use super::*;

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
