//! SQLite as the database: the contract suite, and what only this adapter has to prove.

use std::sync::Arc;

use diesel::connection::{Connection, SimpleConnection};
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::port::db::{
    ConversationStore, Database, DbErrorKind, MessageStore, Migrator, NewMessage, NewUser,
    SharedDatabase, UserStore,
};
use gochat_infra::testsuite::db::DbSubject;

const NOW: u64 = 1_700_000_000_000;

struct Subject {
    db: SqliteDatabase,
    folder: tempfile::TempDir,
}

#[async_trait::async_trait]
impl DbSubject for Subject {
    fn db(&self) -> SharedDatabase {
        Arc::new(self.db.clone())
    }

    fn statements(&self) -> Option<u64> {
        Some(self.db.statements_run())
    }

    async fn run_sql(&self, sql: &str) {
        let path = self.folder.path().join("gochat.db");
        let mut conn = SqliteConnection::establish(&path.to_string_lossy()).expect("a connection");
        conn.batch_execute("PRAGMA busy_timeout = 5000")
            .expect("set");
        conn.batch_execute(sql).expect("done");
    }
}

fn options(folder: &tempfile::TempDir) -> SqliteOptions {
    SqliteOptions::new(folder.path().join("gochat.db"))
}

async fn fresh() -> Arc<dyn DbSubject> {
    let folder = tempfile::tempdir().expect("a folder");
    let db = SqliteDatabase::open(options(&folder)).expect("a database");
    db.migrate_up(NOW).await.expect("a schema");
    Arc::new(Subject { db, folder })
}

mod contract {
    gochat_infra::db_suite!(super::fresh());
}

fn world_message(seq: u64) -> NewMessage {
    NewMessage {
        id: MessageId::new(seq).expect("small"),
        conversation_id: ConversationId::World,
        seq_id: seq,
        sender_id: UserId::new(1).expect("small"),
        message_type: 1,
        content: "text".to_owned(),
        client_msg_id: None,
        extra: None,
        created_at: NOW,
        rev: seq,
        references: None,
    }
}

async fn world_head(db: &SqliteDatabase) -> u64 {
    let row = db.conversation(ConversationId::World).await.expect("read");
    row.expect("world is seeded").last_seq_id
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = SqliteDatabase::open(options(&folder)).expect("a database");
    db.migrate_up(NOW).await.expect("a schema");
    db.save_batch(vec![world_message(1)], Vec::new(), NOW)
        .await
        .expect("saved");
    db.close().await.expect("closed");
    let e = db.ping().await.expect_err("closed");
    assert_eq!(e.kind(), DbErrorKind::Unavailable);
    let db = SqliteDatabase::open(options(&folder)).expect("the same database");
    assert!(db.migrate_up(NOW).await.expect("a schema").is_empty());
    assert_eq!(world_head(&db).await, 1);
}

#[tokio::test]
async fn a_dropped_caller_leaves_no_transaction_open() {
    let subject = fresh().await;
    let db = subject.db();
    for seq in 1..=200 {
        // Polled once, so that the job is handed over, and then dropped.
        let save = db.save_batch(vec![world_message(seq)], Vec::new(), NOW);
        tokio::select! {
            biased;
            _ = save => {}
            () = std::future::ready(()) => {}
        }
    }
    db.save_batch(vec![world_message(201)], Vec::new(), NOW)
        .await
        .expect("the writer goes on");
    let page = db
        .latest_messages(&[ConversationId::World], 100)
        .await
        .expect("read");
    assert_eq!(page.len(), 100, "what was handed over was written");
}

/// Another connection that holds the file while `during` is polled.
async fn while_locked(folder: &tempfile::TempDir, during: impl Future<Output = ()>) {
    let path = folder.path().join("gochat.db");
    let mut other = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("open");
    other.batch_execute("BEGIN IMMEDIATE").expect("the lock");
    during.await;
    other.batch_execute("COMMIT").expect("released");
}

#[tokio::test]
async fn a_refused_write_undoes_only_itself_when_many_share_a_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = SqliteDatabase::open(options(&folder)).expect("a database");
    db.migrate_up(NOW).await.expect("a schema");
    let write = |n: u64| {
        // Every third name was taken by its predecessor.
        let name = if n % 3 == 2 { n - 1 } else { n };
        let user = NewUser {
            id: UserId::new(n).expect("small"),
            username: format!("user{name}"),
            password_hash: "hash".to_owned(),
            avatar_url: String::new(),
            is_guest: false,
            now: NOW,
        };
        let db = db.clone();
        tokio::spawn(async move { db.create_user(user).await.is_ok() })
    };
    // The writer can't begin, so all of them wait together.
    let mut writes = Vec::new();
    while_locked(&folder, async {
        writes.extend((0..300).map(write));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut stored = Vec::new();
    for (n, write) in writes.into_iter().enumerate() {
        if write.await.expect("no panic") {
            stored.push(UserId::new(n as u64).expect("small"));
        }
    }
    assert_eq!(stored.len(), 200);
    let everybody: Vec<_> = (0..300).filter_map(UserId::new).collect();
    let mut rows: Vec<_> = db
        .users(&everybody)
        .await
        .expect("read")
        .into_iter()
        .map(|u| u.id)
        .collect();
    rows.sort_unstable();
    assert_eq!(rows, stored);
}

#[tokio::test]
async fn a_file_that_stays_locked_is_unavailable_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let busy_timeout = std::time::Duration::from_millis(20);
    let db = SqliteDatabase::open(SqliteOptions {
        busy_timeout,
        ..options(&folder)
    });
    let db = db.expect("a database");
    db.migrate_up(NOW).await.expect("a schema");
    while_locked(&folder, async {
        let e = db
            .save_batch(vec![world_message(1)], Vec::new(), NOW)
            .await
            .expect_err("locked");
        assert_eq!(e.kind(), DbErrorKind::Unavailable);
        assert_eq!(
            world_head(&db).await,
            0,
            "readers don't wait for the writer"
        );
    })
    .await;
    db.save_batch(vec![world_message(1)], Vec::new(), NOW)
        .await
        .expect("free again");
    assert_eq!(world_head(&db).await, 1);
}

#[tokio::test]
async fn a_changed_or_newer_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = SqliteDatabase::open(options(&folder)).expect("a database");
    db.migrate_up(NOW).await.expect("a schema");
    let path = folder.path().join("gochat.db");
    let mut other = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("open");
    other
        .batch_execute("UPDATE schema_migrations SET checksum = checksum + 1")
        .expect("tampered");
    let status = db.migration_status().await.expect("a status");
    assert!(!status[0].checksum_matches);
    assert_eq!(
        db.migrate_up(NOW).await.expect_err("changed").kind(),
        DbErrorKind::Internal
    );
    assert!(db.migrate_down(1).await.is_err());
    other
        .batch_execute(
            "UPDATE schema_migrations SET checksum = checksum - 1;
             INSERT INTO schema_migrations VALUES (998, '+index', 0, 0)",
        )
        .expect("a future");
    let none = db
        .migrate_up(NOW)
        .await
        .expect("a newer program only added");
    assert!(none.is_empty());
    assert!(db.migrate_down(1).await.is_err(), "how is not known here");
    other
        .batch_execute("INSERT INTO schema_migrations VALUES (999, 'future', 0, 0)")
        .expect("a future");
    assert!(
        db.migrate_up(NOW).await.is_err(),
        "the file of a newer program"
    );
}

#[tokio::test]
async fn a_missing_folder_is_told_and_not_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let lost = SqliteOptions::new(folder.path().join("nowhere").join("gochat.db"));
    let e = SqliteDatabase::open(lost).err().expect("no folder");
    assert!(e.is_retryable());
}
