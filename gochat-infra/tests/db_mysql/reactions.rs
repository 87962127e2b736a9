//! Locks of batches with reactions and pins.

use gochat_core::ids::ConversationId;
use gochat_core::message::{ChangeKind, Tally};
use gochat_infra::port::db::{ConversationStore as _, MessageStore as _, NewChange, SaveOutcome};

use crate::kit::{NOW, migrated};
use crate::locks::{group, message, open, user};

const EMOJI: [&str; 2] = ["👍", "🎉"];
const ROUNDS: u64 = 25;

fn change(id: ConversationId, rev: u64, kind: ChangeKind, n: u64) -> NewChange {
    let emoji = EMOJI[n as usize % 2];
    let is_reaction = kind.is_reaction();
    NewChange {
        conversation_id: id,
        rev,
        kind,
        message_id: message(id, 1 + n % 3).id,
        seq_id: 1 + n % 3,
        sender_id: user(1 + n % 7),
        client_msg_id: Some(format!("x{rev}")),
        content: if is_reaction { emoji } else { "" }.to_owned(),
        extra: None,
        edit_count: 0,
        keeps_former: false,
        tells: false,
        pinned: kind == ChangeKind::Pin,
        reactions: [(emoji, 1)].into_iter().collect::<Tally>(),
        created_at: NOW + rev,
    }
}

/// The changes of one round: reactions that are put, taken away and put again, and pins.
fn round(id: ConversationId, round: u64) -> Vec<NewChange> {
    let first = 4 + round * 40;
    let kind = |n: u64| match n % 5 {
        0 | 2 => ChangeKind::React,
        1 | 3 => ChangeKind::Unreact,
        _ if n.is_multiple_of(2) => ChangeKind::Pin,
        _ => ChangeKind::Unpin,
    };
    let of = |n: u64| change(id, first + n, kind(n + round), n * 7 + round);
    (0..40).map(of).collect()
}

/// Partitions have writers of their own, whose rows lie side by side in the same tables. Without
/// second attempts: nothing but the order of locks keeps them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_neighbouring_conversations_do_not_deadlock() {
    let subject = migrated(|config| {
        config.attempts = 1;
        config.max_connections = 8;
        config.acquire_timeout_ms = 30_000;
    })
    .await;
    for n in 1..=16 {
        open(&subject.db, n).await;
        let batch = (1..=3).map(|seq| message(group(n), seq)).collect();
        let saved = subject.db.save_batch(batch, Vec::new(), NOW).await;
        saved.expect("saved");
    }
    let mut running = tokio::task::JoinSet::new();
    for writer in 1..=8 {
        let db = subject.db.clone();
        running.spawn(async move {
            for n in 0..ROUNDS {
                let mut changes = round(group(writer), n);
                changes.extend(round(group(writer + 8), n));
                let saved = db.save_batch(Vec::new(), changes, NOW + n).await;
                let saved = saved.expect("no deadlock");
                assert!(saved.iter().all(|outcome| *outcome == SaveOutcome::Stored));
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("no error");
    }
    for n in 1..=16 {
        let row = subject.db.conversation(group(n)).await.expect("read");
        let row = row.expect("there");
        let pins = subject.db.pins(group(n), true).await.expect("read");
        assert_eq!(row.pinned_count as usize, pins.messages.len(), "group {n}");
        assert_eq!(row.last_rev, 3 + ROUNDS * 40);
    }
}
