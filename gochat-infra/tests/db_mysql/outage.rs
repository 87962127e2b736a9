//! Servers that die, and primaries that stop being one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gochat_infra::port::db::{
    ConversationStore as _, Database as _, MessageStore as _, SaveOutcome,
};
use mysql_async::prelude::Queryable as _;

use crate::kit::{NOW, migrated_on};
use crate::locks::{group, message, open};
use crate::server::{Server, USER};

const ROWS: u64 = 200;

/// Waits until three more batches were answered.
async fn goes_on(answered: &AtomicU64) {
    let before = answered.load(Ordering::Relaxed);
    let deadline = Instant::now() + Duration::from_secs(60);
    while answered.load(Ordering::Relaxed) < before + 3 {
        assert!(
            Instant::now() < deadline,
            "batches are not answered any more"
        );
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Every batch is repeated until it is answered, as im-task does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_repeated_over_kills_of_the_server_are_stored_exactly_once() {
    let mut server = Server::start(1).await;
    let subject = migrated_on(server.url(USER), |config| {
        config.connect_timeout_ms = 1_000;
        config.call_timeout_ms = 5_000;
        // A server is back so soon that the adapter's own repeats would hide a kill.
        config.attempts = 1;
    })
    .await;
    open(&subject.db, 1).await;
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let writer = {
        let (db, stop, answered) = (subject.db.clone(), stop.clone(), answered.clone());
        tokio::spawn(async move {
            let (mut batch, mut repeated) = (0, 0_u64);
            while !stop.load(Ordering::Relaxed) {
                let seqs = batch * ROWS + 1..=(batch + 1) * ROWS;
                let messages: Vec<_> = seqs.map(|seq| message(group(1), seq)).collect();
                match db.save_batch(messages, Vec::new(), NOW).await {
                    Ok(outcomes) => {
                        assert!(outcomes.iter().all(|o| *o != SaveOutcome::Conflict));
                        batch += 1;
                        answered.store(batch, Ordering::Relaxed);
                    }
                    Err(e) => {
                        assert!(e.is_retryable(), "{e}");
                        repeated += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            }
            (batch, repeated)
        })
    };
    for _ in 0..4 {
        goes_on(&answered).await;
        server.kill();
        server.resume().await;
    }
    // The batch under way at the last kill is repeated, too: it may be stored without an answer.
    goes_on(&answered).await;
    stop.store(true, Ordering::Relaxed);
    let (batches, repeated) = writer.await.expect("no panic");
    assert!(repeated >= 4, "each kill was felt: {repeated}");

    let mut conn = subject.fresh.plain().await;
    let counts: Option<(u64, u64, u64, u64)> = conn
        .query_first("SELECT COUNT(*), COUNT(DISTINCT seq_id), COUNT(DISTINCT id), MAX(seq_id) FROM messages")
        .await
        .expect("read");
    let rows = batches * ROWS;
    assert_eq!(counts, Some((rows, rows, rows, rows)));
    let row = subject
        .db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.last_seq_id, rows);
    drop(subject);
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_turned_read_only_is_a_retryable_error_until_it_is_one_again() {
    let server = Server::start(1).await;
    let subject = migrated_on(server.url(USER), |config| config.attempts = 3).await;
    open(&subject.db, 1).await;
    server.admin("SET GLOBAL read_only = 1").await;
    let error = subject
        .db
        .save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
        .await
        .expect_err("read-only");
    assert!(error.is_retryable(), "{error}");
    subject.db.ping().await.expect("reads go on");
    server.admin("SET GLOBAL read_only = 0").await;
    let saved = subject
        .db
        .save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
        .await;
    assert_eq!(saved.expect("a primary again"), [SaveOutcome::Stored]);
}

/// Within one call: the caller never hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_replaced_within_the_call() {
    let server = Server::start(1).await;
    let subject = migrated_on(server.url(USER), |_| ()).await;
    open(&subject.db, 1).await;
    for seq in 1..=5 {
        let cut = "SELECT GROUP_CONCAT('KILL CONNECTION ', id SEPARATOR ';') \
                   FROM information_schema.processlist WHERE user = 'gochat'";
        let mut boss = mysql_async::Conn::from_url(server.url(crate::server::ADMIN))
            .await
            .expect("it answers");
        let kills: Option<String> = boss.query_first(cut).await.expect("a list");
        boss.query_drop(kills.expect("there are some"))
            .await
            .expect("cut");
        let saved = subject
            .db
            .save_batch(vec![message(group(1), seq)], Vec::new(), NOW)
            .await;
        assert_eq!(saved.expect("a new connection"), [SaveOutcome::Stored]);
    }
}
