//! Measures the SQLite adapter: rows stored per second, the conversation list, history pages.
//! Prints one line of JSON per measurement.
//!
//! ```text
//! cargo run --release -p gochat-infra --example sqlite_bench -- FOLDER [rows] [conversations] [batch] [page size]
//! ```
//!
//! The rows are spread evenly over single chats of distinct pairs, except that one user (the one
//! whose list is read) is in up to 1,000 of them.

use std::time::{Duration, Instant};

use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_infra::embedded::sqlite::{SqliteDatabase, SqliteOptions};
use gochat_infra::port::db::{
    ConversationStore, Database, DbResult, Direction, ListQuery, MessageStore, Migrator,
    NewConversation, NewMessage, RangeQuery,
};

const NOW: u64 = 1_700_000_000_000;
const READER: u64 = 1;

struct Plan {
    rows: u64,
    conversations: u64,
    batch: u64,
}

impl Plan {
    /// Conversation number `n`: the first thousand belong to the reader.
    fn conversation(&self, n: u64) -> (ConversationId, UserId) {
        // Spread like Snowflakes of different days, not like consecutive numbers.
        let far = |n: u64| 1_000_000_000_000_000 + n.wrapping_mul(2_654_435_761) % (1 << 52);
        let a = if n < 1_000 { READER } else { far(n * 2) };
        let (a, b) = (
            UserId::new(a).expect("in range"),
            UserId::new(far(n * 2 + 1)).expect("in range"),
        );
        (ConversationId::single(a, b).expect("a pair"), b)
    }

    fn message(&self, row: u64) -> NewMessage {
        let (conversation_id, sender_id) = self.conversation(row % self.conversations);
        NewMessage {
            id: MessageId::new(1_000_000_000_000_000_000 + row).expect("in range"),
            conversation_id,
            seq_id: row / self.conversations + 1,
            sender_id,
            message_type: 1,
            content: "x".repeat(200),
            client_msg_id: Some(format!("{row:032x}")),
            extra: None,
            created_at: NOW + row / 50,
            rev: row / self.conversations + 1,
            references: None,
        }
    }
}

async fn prepare(db: &SqliteDatabase, plan: &Plan) -> DbResult<()> {
    let open = (0..plan.conversations).map(|n| {
        let (id, creator) = plan.conversation(n);
        let db = db.clone();
        async move {
            let new = NewConversation {
                id,
                creator,
                members: Vec::new(),
                name: String::new(),
                avatar_url: String::new(),
                description: String::new(),
                settings: String::new(),
                now: NOW,
            };
            db.create_conversation(new).await.map(|_| ())
        }
    });
    let mut running = tokio::task::JoinSet::new();
    for creation in open {
        running.spawn(creation);
        if running.len() >= 1_000 {
            running
                .join_next()
                .await
                .expect("one runs")
                .expect("no panic")?;
        }
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic")?;
    }
    Ok(())
}

/// Two batches are always on their way, as with two partitions of im-task.
async fn store(db: &SqliteDatabase, plan: &Plan) -> DbResult<Duration> {
    let mut running = tokio::task::JoinSet::new();
    let mut busy = Duration::ZERO;
    let mut row = 0;
    let mut started = Instant::now();
    while row < plan.rows {
        let end = (row + plan.batch).min(plan.rows);
        let batch: Vec<_> = (row..end).map(|n| plan.message(n)).collect();
        row = end;
        let db = db.clone();
        running.spawn(async move {
            db.save_batch(batch, Vec::new(), NOW + row)
                .await
                .map(|_| ())
        });
        if running.len() >= 2 {
            running
                .join_next()
                .await
                .expect("one runs")
                .expect("no panic")?;
        }
        if started.elapsed() > Duration::from_secs(5) {
            busy += started.elapsed();
            eprintln!("{row} rows, {:.0}/s", row as f64 / busy.as_secs_f64());
            started = Instant::now();
        }
    }
    while let Some(done) = running.join_next().await {
        done.expect("no panic")?;
    }
    Ok(busy + started.elapsed())
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_micros();
    println!(
        r#"{{"what":"{what}","n":{},"p50_us":{},"p99_us":{},"max_us":{}}}"#,
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

async fn read(db: &SqliteDatabase, plan: &Plan) -> DbResult<()> {
    let mut list = Vec::new();
    let mut history = Vec::new();
    for n in 0..500_u64 {
        let started = Instant::now();
        let query = ListQuery::first(UserId::new(READER).expect("in range"), 50);
        let page = db.list_for_user(query).await?;
        assert!(page.total > 1);
        list.push(started.elapsed());

        let (conversation, _) = plan.conversation(n.wrapping_mul(7_919) % plan.conversations);
        let started = Instant::now();
        let query = RangeQuery {
            conversation,
            from: None,
            to: None,
            direction: Direction::Descending,
            limit: 50,
            types: Vec::new(),
            fresh: false,
        };
        assert!(!db.messages(query).await?.messages.is_empty());
        history.push(started.elapsed());
    }
    report("list_of_1000", list);
    report("history_page_of_50", history);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> DbResult<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u64| args.get(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let folder = args.first().cloned().unwrap_or_else(|| ".".to_owned());
    let plan = Plan {
        rows: number(1, 500_000),
        conversations: number(2, 1_000).max(1),
        batch: number(3, 1_000).max(1),
    };
    let options = SqliteOptions {
        page_size: u32::try_from(number(4, 4_096)).unwrap_or(4_096),
        ..SqliteOptions::new(std::path::Path::new(&folder).join("bench.db"))
    };
    let db = SqliteDatabase::open(options)?;
    db.migrate_up(NOW).await?;
    prepare(&db, &plan).await?;
    let took = store(&db, &plan).await?;
    println!(
        r#"{{"what":"save_batch","rows":{},"conversations":{},"batch":{},"rows_per_s":{:.0}}}"#,
        plan.rows,
        plan.conversations,
        plan.batch,
        plan.rows as f64 / took.as_secs_f64()
    );
    read(&db, &plan).await?;
    db.close().await
}
