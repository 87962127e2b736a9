//! Locks: deadlocks, waiting, pools, dropped callers.

use std::time::{Duration, Instant};

use gochat_core::ids::{ConversationId, GroupId, MessageId, UserId};
use gochat_infra::cluster::mysql::MysqlDatabase;
use gochat_infra::port::db::{
    AddMembers, ConversationStore as _, Database as _, DbErrorKind, MessageStore as _,
    NewConversation, NewMessage, SaveOutcome,
};
use mysql_async::prelude::Queryable as _;
use rand::seq::SliceRandom as _;

use crate::kit::{NOW, migrated};

pub(crate) fn group(n: u64) -> ConversationId {
    ConversationId::Group(GroupId::new(n).expect("small"))
}

pub(crate) fn user(n: u64) -> UserId {
    UserId::new(n).expect("small")
}

pub(crate) fn message(id: ConversationId, seq: u64) -> NewMessage {
    let of = match id {
        ConversationId::Group(g) => g.get(),
        _ => 0,
    };
    NewMessage {
        id: MessageId::new(of * 1_000_000 + seq).expect("small"),
        conversation_id: id,
        seq_id: seq,
        sender_id: user(1 + seq % 3),
        message_type: 1,
        content: format!("text {seq}"),
        client_msg_id: Some(format!("c{seq}")),
        extra: None,
        created_at: NOW + seq,
        rev: seq,
        references: None,
    }
}

pub(crate) async fn open(db: &MysqlDatabase, n: u64) {
    let new = NewConversation {
        id: group(n),
        creator: user(1),
        members: vec![user(2)],
        name: "a group".to_owned(),
        avatar_url: String::new(),
        description: String::new(),
        settings: String::new(),
        now: NOW,
    };
    db.create_conversation(new).await.expect("made");
}

/// Waits until somebody else holds the row of a conversation.
async fn until_held(conn: &mut mysql_async::Conn, n: u64) {
    let look = format!("SELECT id FROM conversations WHERE id = 'g_{n}' FOR UPDATE NOWAIT");
    let deadline = Instant::now() + Duration::from_secs(10);
    while conn.query_drop(&look).await.is_ok() {
        assert!(Instant::now() < deadline, "nobody took the row");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_loses_a_deadlock_is_run_again() {
    let subject = migrated(|_| ()).await;
    open(&subject.db, 1).await;
    open(&subject.db, 2).await;
    let mut other = subject.fresh.plain().await;
    let mut look = subject.fresh.plain().await;
    other.query_drop("START TRANSACTION").await.expect("begun");
    // The server undoes the side that wrote less; let it be the adapter.
    for n in 0..500 {
        let write = format!("INSERT INTO left_conversations VALUES ({n}, 'g_9', '2026-01-01')");
        other.query_drop(write).await.expect("written");
    }
    let hold = "SELECT id FROM conversations WHERE id = 'g_2' FOR UPDATE";
    other.query_drop(hold).await.expect("held");

    let db = subject.db.clone();
    let batch = vec![message(group(1), 1), message(group(2), 1)];
    let save = tokio::spawn(async move { db.save_batch(batch, Vec::new(), NOW).await });
    until_held(&mut look, 1).await;
    // The batch holds 1 and wants 2; this holds 2 and wants 1.
    let update = "UPDATE conversations SET name = 'won' WHERE id = 'g_1'";
    other
        .query_drop(update)
        .await
        .expect("the other side wins the deadlock");
    other.query_drop("COMMIT").await.expect("committed");

    let outcomes = save
        .await
        .expect("no panic")
        .expect("the batch was run again");
    assert_eq!(outcomes, [SaveOutcome::Stored; 2]);
    for n in [1, 2] {
        let row = subject
            .db
            .conversation(group(n))
            .await
            .expect("read")
            .expect("there");
        assert_eq!(row.last_seq_id, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_held_for_too_long_is_a_retryable_error() {
    let subject = migrated(|config| {
        config.lock_timeout_s = 1;
        config.attempts = 2;
    })
    .await;
    open(&subject.db, 1).await;
    let mut other = subject.fresh.plain().await;
    other.query_drop("START TRANSACTION").await.expect("begun");
    let hold = "SELECT id FROM conversations WHERE id = 'g_1' FOR UPDATE";
    other.query_drop(hold).await.expect("held");
    let error = subject
        .db
        .save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
        .await
        .expect_err("the row is held");
    assert!(error.is_retryable(), "{error}");
    other.query_drop("ROLLBACK").await.expect("released");
    let outcomes = subject
        .db
        .save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
        .await;
    assert_eq!(
        outcomes.expect("free"),
        [SaveOutcome::Stored],
        "the attempts that failed left nothing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_without_a_free_connection_answers_in_time() {
    let subject = migrated(|config| {
        config.max_connections = 1;
        config.acquire_timeout_ms = 1_000;
    })
    .await;
    open(&subject.db, 1).await;
    let mut other = subject.fresh.plain().await;
    let mut look = subject.fresh.plain().await;
    other.query_drop("START TRANSACTION").await.expect("begun");
    let hold = "SELECT id FROM conversations WHERE id = 'g_1' FOR UPDATE";
    other.query_drop(hold).await.expect("held");
    // Holds the lock on its new row and waits for the conversation's.
    let db = subject.db.clone();
    let save = tokio::spawn(async move {
        db.save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
            .await
    });
    let taken = format!(
        "SELECT COUNT(*) FROM information_schema.processlist \
         WHERE db = '{}' AND info LIKE 'INSERT INTO conversations%'",
        subject.fresh.name
    );
    let deadline = Instant::now() + Duration::from_secs(10);
    while look.query_first::<u64, _>(&taken).await.expect("a list") != Some(1) {
        assert!(Instant::now() < deadline, "the batch never waited");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = Instant::now();
    let error = subject.db.ping().await.expect_err("no connection is free");
    assert!(error.is_retryable(), "{error}");
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "{:?}",
        started.elapsed()
    );
    other.query_drop("COMMIT").await.expect("released");
    assert_eq!(
        save.await.expect("no panic").expect("saved"),
        [SaveOutcome::Stored]
    );
    subject.db.ping().await.expect("the connection came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_caller_leaves_no_transaction_open() {
    let subject = migrated(|_| ()).await;
    let db = subject.db.clone();
    for seq in 1..=200 {
        // Polled once, so that the work is handed over, and then dropped.
        let save = db.save_batch(vec![message(ConversationId::World, seq)], Vec::new(), NOW);
        tokio::select! {
            biased;
            _ = save => {}
            () = std::future::ready(()) => {}
        }
    }
    db.close().await.expect("what was handed over ends");
    let error = db.ping().await.expect_err("closed");
    assert_eq!(error.kind(), DbErrorKind::Unavailable);
    let mut conn = subject.fresh.plain().await;
    let stored: Option<u64> = conn
        .query_first("SELECT COUNT(*) FROM messages WHERE conversation_id = 'world'")
        .await
        .expect("read");
    assert_eq!(stored, Some(200), "what was handed over was written");
    let locked = "SELECT seq_id FROM messages FOR UPDATE NOWAIT";
    conn.query_drop(locked)
        .await
        .expect("nobody holds a row any more");
}

/// Without second attempts: the order of locks alone must keep them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_over_the_same_conversations_do_not_deadlock() {
    let subject = migrated(|config| {
        config.attempts = 1;
        config.acquire_timeout_ms = 30_000;
    })
    .await;
    for n in 1..=12 {
        open(&subject.db, n).await;
    }
    let mut running = tokio::task::JoinSet::new();
    for round in 0..40_u64 {
        let mut batch: Vec<NewMessage> = (1..=12)
            .flat_map(|n| (1..=3).map(move |k| message(group(n), round * 3 + k)))
            .collect();
        batch.shuffle(&mut rand::rng());
        let db = subject.db.clone();
        running.spawn(async move {
            let saved = db
                .save_batch(batch, Vec::new(), NOW + round)
                .await
                .expect("no deadlock");
            assert!(saved.iter().all(|outcome| *outcome == SaveOutcome::Stored));
        });
        let db = subject.db.clone();
        running.spawn(async move {
            let add = AddMembers {
                conversation: group(1 + round % 12),
                users: (0..5).map(|n| user(100 + (round * 7 + n) % 50)).collect(),
                role: 1,
                max_members: 0,
                now: NOW,
            };
            db.add_members(add).await.expect("no deadlock");
            let read = db
                .advance_pointer(user(1), group(1 + round % 12), 0, NOW)
                .await;
            read.expect("no deadlock");
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("no error");
    }
    for n in 1..=12 {
        let row = subject
            .db
            .conversation(group(n))
            .await
            .expect("read")
            .expect("there");
        assert_eq!(row.last_seq_id, 120);
    }
}
