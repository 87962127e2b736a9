//! Reads on a replica: only when it is not behind, and never missing what this process wrote.

use std::time::{Duration, Instant};

use gochat_infra::port::db::{Direction, MessageStore as _, RangeQuery};
use mysql_async::prelude::Queryable as _;

use crate::kit::{NOW, Subject, migrated_on};
use crate::locks::{group, message, open};
use crate::server::{ADMIN, Server, USER};

async fn replicate(primary: &Server, replica: &Server) {
    let follow = format!(
        "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = 'boss', \
         MASTER_PASSWORD = 'hush', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
        primary.port
    );
    // Both made their users by themselves; what comes after is followed.
    let mut conn = mysql_async::Conn::from_url(primary.url(ADMIN))
        .await
        .expect("it answers");
    let at: Option<String> = conn
        .query_first("SELECT @@gtid_binlog_pos")
        .await
        .expect("a place");
    replica.admin("RESET MASTER").await;
    replica
        .admin(&format!(
            "SET GLOBAL gtid_slave_pos = '{}'",
            at.unwrap_or_default()
        ))
        .await;
    replica.admin(&follow).await;
    replica.admin("START SLAVE").await;
}

/// SELECTs of history the server has run.
async fn reads(server: &Server) -> u64 {
    let mut conn = mysql_async::Conn::from_url(server.url(ADMIN))
        .await
        .expect("it answers");
    let row: Option<(String, u64)> = conn
        .query_first("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'")
        .await
        .expect("a number");
    row.expect("it is counted").1
}

async fn history(subject: &Subject, n: u64) -> Vec<u64> {
    let query = RangeQuery {
        conversation: group(n),
        from: None,
        to: None,
        direction: Direction::Descending,
        limit: 50,
        types: Vec::new(),
        fresh: false,
    };
    let page = subject.db.messages(query).await.expect("a page");
    page.messages.iter().map(|m| m.message.seq_id).collect()
}

/// Reads one conversation many times; whether the replica was asked.
async fn asks(subject: &Subject, replica: &Server, n: u64) -> bool {
    let before = reads(replica).await;
    for _ in 0..20 {
        assert_eq!(history(subject, n).await, [1]);
    }
    // The measurement itself executes one statement a second.
    reads(replica).await >= before + 15
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_to_a_replica_that_keeps_up_and_still_see_own_writes() {
    let (primary, mut replica) = (Server::start(1).await, Server::start(2).await);
    replicate(&primary, &replica).await;
    let subject = migrated_on(primary.url(USER), |config| {
        config.replicas = vec![format!("127.0.0.1:{}", replica.port)];
    })
    .await;
    open(&subject.db, 1).await;
    open(&subject.db, 2).await;
    subject
        .db
        .save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
        .await
        .expect("saved");

    assert!(
        !asks(&subject, &replica, 1).await,
        "it was written a moment ago"
    );
    until("the replica serves what is old enough", async || {
        asks(&subject, &replica, 1).await
    })
    .await;

    // The replica stands still: what is written now is missing there, and nobody notices.
    replica.admin("STOP SLAVE SQL_THREAD").await;
    subject
        .db
        .save_batch(vec![message(group(2), 1)], Vec::new(), NOW)
        .await
        .expect("saved");
    for _ in 0..50 {
        assert_eq!(history(&subject, 2).await, [1], "own writes are seen");
    }
    until("a replica that is behind is left out", async || {
        !asks(&subject, &replica, 1).await
    })
    .await;
    let late = Instant::now();
    while late.elapsed() < Duration::from_secs(6) {
        assert_eq!(
            history(&subject, 2).await,
            [1],
            "also when the write is no longer recent"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    replica.admin("START SLAVE SQL_THREAD").await;
    until("a replica that has caught up serves again", async || {
        asks(&subject, &replica, 2).await
    })
    .await;

    replica.kill();
    assert_eq!(
        history(&subject, 1).await,
        [1],
        "the primary stands in for a dead replica"
    );
}
