//! Plans of statements: cost must grow with what is read alone.

use gochat_core::message::{ChangeKind, Emoji, References, Tally};
use gochat_infra::cluster::mysql::{
    announcement_statements, changes_statement, mention_statements, reaction_statements,
};
use gochat_infra::port::db::{MessageStore as _, NewChange, NewMessage};
use mysql_async::prelude::Queryable as _;

use crate::kit::{NOW, Subject, migrated};
use crate::locks::{group, message, open, user};

/// A line of a plan.
#[derive(Debug)]
struct Step {
    table: String,
    key: String,
    kind: String,
    extra: String,
}

/// The plan of a statement with these values for `?1`, `?2` ….
async fn plan(subject: &Subject, statement: &str, values: &[&str]) -> Vec<Step> {
    let fill =
        |text: String, (at, value): (usize, &&str)| text.replace(&format!("?{}", at + 1), value);
    let statement = values.iter().enumerate().fold(statement.to_owned(), fill);
    let mut conn = subject.fresh.plain().await;
    let plan: Vec<mysql_async::Row> = conn
        .query(format!("EXPLAIN {statement}"))
        .await
        .expect("a plan");
    let step = |row: &mysql_async::Row| {
        let text = |name| row.get::<Option<String>, _>(name).flatten();
        Step {
            table: text("table").unwrap_or_default(),
            key: text("key").unwrap_or_default(),
            kind: text("type").unwrap_or_default(),
            extra: text("Extra").unwrap_or_default(),
        }
    };
    let plan: Vec<Step> = plan.iter().map(step).collect();
    let is_sorted = |step: &Step| step.extra.contains("filesort");
    assert!(!plan.iter().any(is_sorted), "{plan:?}");
    plan
}

/// A group with 2,000 messages, of which each names everybody, and as many reactions, all to one
/// message.
async fn filled() -> Subject {
    let subject = migrated(|_| ()).await;
    open(&subject.db, 1).await;
    let everybody = References {
        mention_all: true,
        ..References::default()
    };
    let batch = (1..=2_000).map(|seq| NewMessage {
        references: Some(Box::new(everybody.clone())),
        ..message(group(1), seq)
    });
    let batch = batch.collect();
    let thumb: Emoji = "👍".parse().expect("an emoji");
    let reaction = |n: u64| NewChange {
        conversation_id: group(1),
        rev: 2_000 + n,
        kind: ChangeKind::React,
        message_id: message(group(1), 1).id,
        seq_id: 1,
        sender_id: user(n),
        client_msg_id: None,
        content: thumb.to_string(),
        extra: None,
        edit_count: 0,
        keeps_former: false,
        tells: false,
        pinned: false,
        reactions: [(thumb.as_str(), 1)].into_iter().collect::<Tally>(),
        created_at: NOW,
    };
    let reactions = (1..=2_000).map(reaction).collect();
    let saved = subject.db.save_batch(batch, reactions, NOW).await;
    saved.expect("stored");
    let mut conn = subject.fresh.plain().await;
    conn.query_drop("ANALYZE TABLE messages, mentions, message_reactions, message_pins")
        .await
        .expect("done");
    subject
}

#[tokio::test]
async fn a_page_of_changes_is_a_walk_along_its_index() {
    let subject = filled().await;
    let plan = plan(&subject, changes_statement(), &["'g_1'", "100", "51"]).await;
    let is_walk = |step: &Step| {
        step.table == "messages"
            && step.key == "idx_conv_state_rev"
            && step.extra.contains("Using index")
    };
    assert!(plan.iter().any(is_walk), "{plan:?}");
}

#[tokio::test]
async fn reactions_and_pins_are_walks_along_their_indexes() {
    let subject = filled().await;
    let page = ["'g_1'", "10000001", "2100", "51", "'👍'"];
    let own = ["'g_1'", "7", "'[10000001,2]'"];
    let pins = ["'g_1'", "100"];
    let reactors = ["'[[\"g_1\",10000001,7]]'"];
    let values: [&[&str]; 5] = [&page, &page, &own, &pins, &reactors];
    for ((statement, table, key), values) in reaction_statements().into_iter().zip(values) {
        let plan = plan(&subject, statement, values).await;
        let is_walk = |step: &Step| step.table == table && step.key == key;
        assert!(plan.iter().any(is_walk), "{statement}: {plan:?}");
    }
}

/// Cost must grow neither with the mentions that were read nor with those of others.
#[tokio::test]
async fn unread_mentions_and_quotes_are_found_by_their_keys() {
    let subject = filled().await;
    let [unread, quoted, erase] = mention_statements();
    let places = ["7", "'g_1'", "1990", "7"];
    let fill = |text: String, value: &&str| text.replacen('?', value, 1);
    let counting = format!("SELECT {}", unread.0);
    let counting = places.iter().fold(counting, fill);
    let plan_of_unread = plan(&subject, &counting, &[]).await;
    let is_range =
        |step: &Step| step.table == unread.1 && step.key == unread.2 && step.kind == "range";
    assert!(plan_of_unread.iter().any(is_range), "{plan_of_unread:?}");
    let quotes = ["'g_1'", "'[[7,1000007]]'", "100"];
    let places = ["'[[\"g_1\",7]]'"];
    let values: [&[&str]; 2] = [&quotes, &places];
    for ((statement, table, key), values) in [quoted, erase].into_iter().zip(values) {
        let plan = plan(&subject, statement, values).await;
        let is_look = |step: &Step| step.table == table && step.key == key;
        assert!(plan.iter().any(is_look), "{statement}: {plan:?}");
    }
}

/// Cost must grow neither with other groups nor with readers of other versions.
#[tokio::test]
async fn readers_of_an_announcement_are_a_walk_along_their_index() {
    let subject = migrated(|_| ()).await;
    let rows = (1..=900).map(|n| format!("({n}, 'g_{}', {}, '2026-01-01')", n % 3, n % 5));
    let rows = rows.collect::<Vec<_>>().join(", ");
    let insert = format!(
        "INSERT INTO announcement_reads (user_id, conversation_id, version, read_at) VALUES {rows}"
    );
    let mut conn = subject.fresh.plain().await;
    conn.query_drop(insert).await.expect("rows");
    let reads = ["'g_1'", "7", "2"];
    let readers = ["'g_1'", "2", "'2025-12-31'", "1", "51"];
    let values: [&[&str]; 2] = [&reads, &readers];
    for ((statement, table, key), values) in announcement_statements().into_iter().zip(values) {
        let plan = plan(&subject, statement, values).await;
        let is_walk = |step: &Step| step.table == table && step.key == key;
        assert!(plan.iter().any(is_walk), "{statement}: {plan:?}");
    }
}
