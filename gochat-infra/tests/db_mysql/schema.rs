//! Migrations that race, the dump for operators, and what the types refuse.

use gochat_core::message::{ChangeKind, Tally};
use gochat_infra::cluster::mysql::{MysqlDatabase, dump};
use gochat_infra::port::db::{
    ChangesQuery, ConversationStore as _, Database as _, DbErrorKind, MessageStore as _,
    Migrator as _, NewChange, NewMessage, SaveOutcome,
};
use mysql_async::prelude::Queryable as _;

use crate::kit::{Fresh, NOW, migrated, server};
use crate::locks::{group, message, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_migrate_at_once_take_turns() {
    let fresh = Fresh::new(server());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..6 {
        let config = fresh.config();
        running.spawn(async move {
            let db = MysqlDatabase::connect(config).await.expect("it answers");
            let applied = db.migrate_up(NOW + n).await.expect("a schema");
            db.close().await.expect("closed");
            applied.len()
        });
    }
    let mut applied = 0;
    while let Some(done) = running.join_next().await {
        applied += usize::from(done.expect("no panic") > 0);
    }
    assert_eq!(applied, 1, "one did it, the others found it done");
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_run_again() {
    let subject = migrated(|_| ()).await;
    open(&subject.db, 1).await;
    let mut conn = subject.fresh.plain().await;
    // As if the program had died half way: some of it is there, and it isn't noted.
    for statement in [
        "DELETE FROM schema_migrations",
        "DROP VIEW group_members",
        "DROP TABLE token_revocations",
        "DROP TABLE messages",
    ] {
        conn.query_drop(statement).await.expect("done");
    }
    let applied = subject.db.migrate_up(NOW).await.expect("healed");
    let all = subject.db.migration_status().await.expect("a status");
    assert_eq!(applied.len(), all.len(), "all of them");
    let saved = subject
        .db
        .save_batch(vec![message(group(1), 1)], Vec::new(), NOW)
        .await;
    saved.expect("the tables are there");
    let members: Option<u64> = conn
        .query_first("SELECT COUNT(*) FROM group_members WHERE group_id = 'g_1'")
        .await
        .expect("the view is there");
    assert_eq!(members, Some(2), "what was there is still there");
}

#[tokio::test]
async fn a_changed_or_newer_migration_is_refused() {
    let subject = migrated(|_| ()).await;
    let mut conn = subject.fresh.plain().await;
    conn.query_drop("UPDATE schema_migrations SET checksum = checksum + 1")
        .await
        .expect("done");
    let status = subject.db.migration_status().await.expect("a status");
    assert!(!status[0].checksum_matches);
    let error = subject.db.migrate_up(NOW).await.expect_err("changed");
    assert_eq!(error.kind(), DbErrorKind::Internal);
    conn.query_drop("UPDATE schema_migrations SET checksum = checksum - 1")
        .await
        .expect("done");
    conn.query_drop("INSERT INTO schema_migrations VALUES (998, '+index', '2030-01-01', 1)")
        .await
        .expect("done");
    let none = subject.db.migrate_up(NOW).await;
    assert!(none.expect("a newer program only added").is_empty());
    conn.query_drop("INSERT INTO schema_migrations VALUES (999, 'later', '2030-01-01', 1)")
        .await
        .expect("done");
    let error = subject.db.migrate_down(1).await.expect_err("newer");
    assert!(error.to_string().contains("999"), "{error}");
}

#[tokio::test]
async fn the_dump_is_the_schema_the_program_expects() {
    let fresh = Fresh::new(server());
    let db = MysqlDatabase::connect(fresh.config())
        .await
        .expect("it answers");
    let mut conn = fresh.plain().await;
    for _ in 0..2 {
        conn.query_drop(dump())
            .await
            .expect("it can be applied, and again");
    }
    let status = db.migration_status().await.expect("a status");
    assert!(
        status
            .iter()
            .all(|m| m.applied_at.is_some() && m.checksum_matches)
    );
    assert!(db.migrate_up(NOW).await.expect("nothing to do").is_empty());
    open(&db, 1).await;
    db.close().await.expect("closed");
}

/// `INSERT IGNORE` would have cut it to length.
#[tokio::test]
async fn a_message_that_does_not_fit_is_refused_whole() {
    let subject = migrated(|_| ()).await;
    open(&subject.db, 1).await;
    let long = NewMessage {
        client_msg_id: Some("x".repeat(65)),
        ..message(group(1), 2)
    };
    let batch = vec![message(group(1), 1), long];
    let error = subject
        .db
        .save_batch(batch, Vec::new(), NOW)
        .await
        .expect_err("too long");
    assert_eq!(error.kind(), DbErrorKind::Internal);
    let row = subject
        .db
        .conversation(group(1))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(row.last_seq_id, 0, "nothing of the batch was stored");
}

#[tokio::test]
async fn texts_of_any_script_and_size_come_back() {
    let subject = migrated(|_| ()).await;
    open(&subject.db, 1).await;
    let texts = [
        "', \"; DROP TABLE users; -- \\",
        "日本語 😀 \u{0}",
        &"ü".repeat(500_000),
    ];
    let batch = texts.iter().zip(1..).map(|(text, seq)| NewMessage {
        content: (*text).to_owned(),
        ..message(group(1), seq)
    });
    let batch: Vec<NewMessage> = batch.collect();
    subject
        .db
        .save_batch(batch, Vec::new(), NOW)
        .await
        .expect("stored");
    let found = subject
        .db
        .latest_messages(&[group(1)], 3)
        .await
        .expect("read");
    let found: Vec<_> = found
        .iter()
        .rev()
        .map(|m| m.message.content.as_str())
        .collect();
    assert_eq!(found, texts);
}

/// Changes carry texts of any script through a table of JSON.
#[tokio::test]
async fn edits_of_any_script_and_size_come_back() {
    let subject = migrated(|_| ()).await;
    open(&subject.db, 1).await;
    let texts = [
        "', \"; DROP TABLE users; -- \\ \\u0041".to_owned(),
        "日本語 😀 \u{0} \u{1f} \u{7f} \n\t".to_owned(),
        String::new(),
        "ü\"".repeat(1_500_000),
        "x".repeat(3_000_000),
    ];
    let batch = (1..=5).map(|seq| message(group(1), seq)).collect();
    let edits = texts.iter().zip(1..).map(|(text, seq)| NewChange {
        conversation_id: group(1),
        rev: 5 + seq,
        kind: ChangeKind::Edit,
        message_id: message(group(1), seq).id,
        seq_id: seq,
        sender_id: message(group(1), seq).sender_id,
        client_msg_id: None,
        content: text.clone(),
        extra: (!text.is_empty()).then(|| text.chars().take(100).collect()),
        edit_count: 1,
        keeps_former: true,
        tells: false,
        pinned: false,
        reactions: Tally::default(),
        created_at: NOW + 999 + seq,
    });
    let saved = subject.db.save_batch(batch, edits.collect(), NOW).await;
    assert_eq!(saved.expect("stored"), [SaveOutcome::Stored; 10]);
    let query = ChangesQuery {
        conversation: group(1),
        after_rev: 5,
        limit: 10,
        fresh: true,
    };
    let page = subject.db.changes(query).await.expect("a page");
    let found = page.messages.iter().map(|entry| &entry.message);
    for ((message, text), seq) in found.zip(&texts).zip(1..) {
        assert!(message.content == *text, "text {seq}");
        let extra: Option<String> = (!text.is_empty()).then(|| text.chars().take(100).collect());
        assert!(message.extra == extra, "extra {seq}");
        assert_eq!(message.edited_at, Some(NOW + 999 + seq));
        assert_eq!(
            (message.updated_at, message.deleted),
            (NOW + 999 + seq, false)
        );
    }
    assert_eq!(page.messages.len(), 5);
}
