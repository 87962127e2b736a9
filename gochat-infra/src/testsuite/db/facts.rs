//! The sequencer's facts.

use super::*;
use crate::port::db::{ConversationFacts, FactsOf, FactsRequest, Resend};

fn asking(asked: &[(ConversationId, &[u64])]) -> FactsRequest {
    let of = |(id, senders): &(ConversationId, &[u64])| FactsOf {
        id: *id,
        without_members: false,
        senders: senders.iter().copied().map(user).collect(),
        resends: Vec::new(),
        targets: Vec::new(),
        quotes: Vec::new(),
        reactors: Vec::new(),
    };
    FactsRequest {
        conversations: asked.iter().map(of).collect(),
        max_members: 3,
        recent_max: 4,
        recent_since: NOW,
        max_rows: usize::MAX,
    }
}

/// A message that may be stored already.
pub(super) fn resend(sender: u64, client_id: &str) -> Resend {
    Resend {
        sender: user(sender),
        client_msg_id: client_id.to_owned(),
        is_change: false,
    }
}

async fn facts(db: &SharedDatabase, request: FactsRequest) -> Vec<ConversationFacts> {
    db.facts(request).await.expect("facts")
}

fn members(facts: &ConversationFacts) -> Vec<u64> {
    facts.members.iter().map(|m| m.user_id.get()).collect()
}

/// The newest N since T, oldest first.
pub async fn facts_answer_members_head_and_window(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    let mut batch = run_of(group(1), 1..=10, 1);
    batch[8].client_msg_id = None;
    save(&db, batch, NOW).await;
    let found = facts(&db, asking(&[(group(1), &[])])).await;
    let of = &found[0];
    assert_eq!(of.conversation.as_ref().map(|c| c.last_seq_id), Some(10));
    assert_eq!((members(of), of.members_complete), (vec![1, 2, 3], true));
    let window: Vec<_> = of
        .recent
        .iter()
        .map(|r| (r.seq_id, r.client_msg_id.as_str()))
        .collect();
    assert_eq!(window, [(7, "c7"), (8, "c8"), (10, "c10")]);
    assert_eq!(of.recent[0].message_id, message(group(1), 7, 1).id);
    assert_eq!(
        (of.recent[0].sender_id, of.recent[0].created_at),
        (user(1), NOW + 7)
    );
    let late = FactsRequest {
        recent_since: NOW + 8,
        ..asking(&[(group(1), &[])])
    };
    assert_eq!(facts(&db, late).await[0].recent.len(), 2);
    let none = FactsRequest {
        recent_max: 0,
        ..asking(&[(group(1), &[])])
    };
    assert!(facts(&db, none).await[0].recent.is_empty());
}

/// Conversations asked about without members are answered without them, beside others that are
/// answered with all.
pub async fn facts_leave_out_members_that_the_asker_knows(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3]).await;
    open(&db, group(2), 1, &[2]).await;
    open(&db, group(3), 1, &[2, 3, 4]).await;
    save(&db, run_of(group(1), 1..=5, 1), NOW).await;
    let asked = [(group(1), &[1_u64][..]), (group(2), &[]), (group(3), &[2])];
    let mut request = asking(&asked);
    request.conversations[0].without_members = true;
    request.conversations[0].targets = vec![message(group(1), 3, 1).id];
    request.conversations[2].without_members = true;
    let found = facts(&db, request.clone()).await;
    assert_eq!(
        (members(&found[0]), found[0].members_complete),
        (vec![], false)
    );
    assert_eq!(
        found[0].conversation.as_ref().map(|c| c.last_seq_id),
        Some(5)
    );
    assert_eq!((found[0].targets.len(), found[0].recent.len()), (1, 4));
    assert_eq!(
        (members(&found[1]), found[1].members_complete),
        (vec![1, 2], true)
    );
    assert_eq!(
        (members(&found[2]), found[2].members_complete),
        (vec![], false)
    );
    // A conversation asked about twice, once with members, is answered with them.
    request
        .conversations
        .push(asking(&asked[..1]).conversations.remove(0));
    assert_eq!(members(&facts(&db, request).await[0]), [1, 2, 3]);
}

/// An answer ends where it is full; the rest is asked for again. One conversation is always
/// answered.
pub async fn facts_are_answered_as_far_as_there_is_room(subject: Subject) {
    let db = subject.db();
    for n in 1..=3 {
        open(&db, group(n), 1, &[2, 3]).await;
        save(&db, run_of(group(n), 1..=10, 1), NOW).await;
    }
    let asked = [(group(1), &[][..]), (group(2), &[]), (group(3), &[])];
    let answered = async |max_rows, recent_since| {
        let request = FactsRequest {
            max_rows,
            recent_since,
            ..asking(&asked)
        };
        let found = facts(&db, request).await;
        let ids: Vec<_> = found.iter().map(|of| of.id).collect();
        assert_eq!(
            ids,
            asked[..found.len()]
                .iter()
                .map(|of| of.0)
                .collect::<Vec<_>>()
        );
        assert!(found.iter().all(|of| of.members.len() == 3));
        found.len()
    };
    // Three members, four recent messages and the conversation itself.
    assert_eq!(answered(usize::MAX, NOW).await, 3);
    assert_eq!(answered(16, NOW).await, 2);
    assert_eq!(answered(15, NOW).await, 1);
    assert_eq!(answered(0, NOW).await, 1);
    assert_eq!(answered(15, NOW + 1_000_000).await, 3, "nothing is recent");
    // Changes of older messages don't stamp the row: any of them may be recent.
    let changes = (11..=14).map(|rev| super::changes::edit(group(2), rev, 1));
    let saved = db.save_batch(Vec::new(), changes.collect(), NOW).await;
    saved.expect("saved");
    assert_eq!(answered(15, NOW + 1_000_000).await, 2);
}

/// A repeat is found however old its first sending is, and nobody else's message is taken for it.
pub async fn facts_find_resends_of_any_age(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2]).await;
    let mut batch = run_of(group(1), 1..=10, 1);
    batch[1].client_msg_id = Some("it's \"ünlike\" c1".into());
    // The same id again, as after a window without the mark: the first one is the message.
    batch[9].client_msg_id = Some("c1".into());
    save(&db, batch, NOW).await;
    save(&db, run_of(group(2), 1..=1, 1), NOW).await;
    let wanted = ["c1", "it's \"ünlike\" c1", "C1", "nobody"];
    let mut request = asking(&[(group(1), &[]), (group(2), &[])]);
    (request.recent_max, request.recent_since) = (0, NOW + 1_000_000);
    request.conversations[0].resends = wanted.map(|id| resend(1, id)).to_vec();
    request.conversations[0].resends.push(resend(2, "c1"));
    request.conversations[1].resends = vec![resend(1, "c2")];
    let found = facts(&db, request).await;
    let mut seqs: Vec<_> = found[0]
        .resends
        .iter()
        .map(|r| (r.seq_id, r.client_msg_id.as_str()))
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [(1, "c1"), (2, "it's \"ünlike\" c1")]);
    assert_eq!(found[0].resends[0].sender_id, user(1));
    assert_eq!(
        found[0].conversation.as_ref().map(|c| c.last_seq_id),
        Some(10)
    );
    assert!(found[1].resends.is_empty(), "another conversation's");
}

/// A large member list stays where it is.
pub async fn facts_of_a_large_group_hold_only_the_askers(subject: Subject) {
    let db = subject.db();
    open(&db, group(1), 1, &[2, 3, 4]).await;
    let found = facts(&db, asking(&[(group(1), &[3, 9])])).await;
    assert_eq!(
        (members(&found[0]), found[0].members_complete),
        (vec![3], false)
    );
    let world = facts(&db, asking(&[(ConversationId::World, &[3])])).await;
    assert!(world[0].members.is_empty() && !world[0].members_complete);
}

/// One load per batch of the sequencer, not one per conversation.
pub async fn facts_need_as_many_statements_for_many_as_for_one(subject: Subject) {
    let db = subject.db();
    for n in 2..30 {
        open(&db, single(1, n), 1, &[]).await;
        save(&db, run_of(single(1, n), 1..=2, n), NOW).await;
    }
    let count = async |request| {
        let before = subject.statements();
        let answers = facts(&db, request).await.len();
        let spent = subject
            .statements()
            .zip(before)
            .map(|(after, before)| after - before);
        (answers, spent)
    };
    let all: Vec<_> = (2..30).map(|n| (single(1, n), &[] as &[u64])).collect();
    let (one, for_one) = count(asking(&all[..1])).await;
    let (many, for_many) = count(asking(&all)).await;
    assert_eq!((one, many), (1, 28));
    assert_eq!(for_one, for_many);
    let repeated = asking(&[all[0], all[1], all[0]]);
    assert_eq!(
        facts(&db, repeated).await.len(),
        2,
        "a repeated question has one answer"
    );
}

/// What isn't there is said, not left out.
pub async fn facts_tell_blocks_and_absence(subject: Subject) {
    let db = subject.db();
    open(&db, single(1, 2), 1, &[]).await;
    open(&db, single(1, 3), 1, &[]).await;
    db.set_blocked(user(2), user(1), true, request_id(5), NOW)
        .await
        .expect("blocked");
    let asked = asking(&[(single(1, 3), &[]), (single(1, 2), &[]), (group(8), &[1])]);
    let found = facts(&db, asked).await;
    let blocked: Vec<_> = found.iter().map(|f| f.blocked).collect();
    assert_eq!(blocked, [false, true, false]);
    assert_eq!(found[2].id, group(8));
    assert!(found[2].conversation.is_none() && !found[2].members_complete);
}
