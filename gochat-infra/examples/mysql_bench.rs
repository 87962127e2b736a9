//! Measures the MySQL adapter: rows stored per second by batch size and connections, the
//! conversation list of a user in many conversations, history pages of a large table. Prints one
//! line of JSON per measurement.
//!
//! ```text
//! cargo run --release -p gochat-infra --features mysql --example mysql_bench -- [key=value …]
//!   url=mysql://user:pass@host:port   default: GOCHAT_TEST_MYSQL, else the one of `make infra-up`
//!   rows=200000                       rows per measurement of saving (fewer for small batches)
//!   batches=1,10,100,1000             rows per batch
//!   connections=1,4                   batches that are stored at the same time
//!   conversations=100                 conversations each of those writes to, in turn
//!   table=0                           more rows before reading
//!   list=1000                         conversations of the user whose list is read
//! ```
//!
//! The database is made for the run and dropped at its end.

use std::time::{Duration, Instant};

use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_infra::cluster::mysql::{MysqlConfig, MysqlDatabase};
use gochat_infra::port::db::{
    ConversationStore, Database, DbError, DbResult, Direction, ListQuery, MessageStore, Migrator,
    NewConversation, NewMessage, RangeQuery,
};
use mysql_async::prelude::Queryable as _;

const NOW: u64 = 1_700_000_000_000;
const READER: u64 = 1;

struct Plan {
    server: String,
    rows: u64,
    batches: Vec<u64>,
    connections: Vec<u64>,
    conversations: u64,
    table: u64,
    list: u64,
}

impl Plan {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let text = |key: &str| {
            let find = |arg: &String| arg.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
            args.iter().find_map(find)
        };
        let number = |key: &str, default: u64| {
            let given = text(key).and_then(|t| t.parse().ok());
            given.unwrap_or(default)
        };
        let numbers = |key: &str, default: &str| {
            let given = text(key).unwrap_or_else(|| default.to_owned());
            given.split(',').filter_map(|n| n.parse().ok()).collect()
        };
        let server = text("url")
            .or_else(|| std::env::var("GOCHAT_TEST_MYSQL").ok())
            .unwrap_or_else(|| "mysql://gochat:gochat_pass_2024@127.0.0.1:3306".to_owned());
        Self {
            server,
            rows: number("rows", 200_000),
            batches: numbers("batches", "1,10,100,1000"),
            connections: numbers("connections", "1,4"),
            conversations: number("conversations", 100).max(1),
            table: number("table", 0),
            list: number("list", 1_000).max(1),
        }
    }
}

/// One of those who write, and how far its conversations are.
#[derive(Clone, Copy)]
struct Writer {
    number: u64,
    conversations: u64,
    written: u64,
}

impl Writer {
    /// Its conversation `n`; those of writer 0 are the reader's.
    fn conversation(&self, n: u64) -> (ConversationId, UserId) {
        // Spread like Snowflakes of different days, not like consecutive numbers.
        let far = |n: u64| 1_000_000_000_000_000 + n.wrapping_mul(2_654_435_761) % (1 << 52);
        let n = self.number * 10_000_000 + n;
        let a = if self.number == 0 { READER } else { far(n * 2) };
        let user = |n| UserId::new(n).expect("in range");
        let other = user(far(n * 2 + 1));
        (
            ConversationId::single(user(a), other).expect("a pair"),
            other,
        )
    }

    fn batch(&mut self, size: u64) -> Vec<NewMessage> {
        let rows = self.written..self.written + size;
        self.written += size;
        rows.map(|row| {
            let (conversation_id, sender_id) = self.conversation(row % self.conversations);
            let id = (self.number + 1) * 1_000_000_000_000 + row;
            NewMessage {
                id: MessageId::new(id).expect("in range"),
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
        })
        .collect()
    }
}

/// Stores `rows` by `writers` at the same time; returns the time it took and each batch's.
async fn store(
    db: &MysqlDatabase,
    writers: &mut [Writer],
    rows: u64,
    batch: u64,
) -> DbResult<(Duration, Vec<Duration>)> {
    let started = Instant::now();
    let each = (rows / writers.len() as u64 / batch).max(1);
    let mut running = tokio::task::JoinSet::new();
    for (at, writer) in writers.iter().enumerate() {
        let (db, mut writer) = (db.clone(), *writer);
        running.spawn(async move {
            let mut times = Vec::new();
            for _ in 0..each {
                let messages = writer.batch(batch);
                let began = Instant::now();
                db.save_batch(messages, Vec::new(), NOW + writer.written)
                    .await?;
                times.push(began.elapsed());
            }
            Ok::<_, DbError>((at, writer, times))
        });
    }
    let mut all = Vec::new();
    while let Some(done) = running.join_next().await {
        let (at, writer, times) = done.expect("no panic")?;
        writers[at] = writer;
        all.extend(times);
    }
    Ok((started.elapsed(), all))
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_micros();
    format!(
        r#""p50_us":{},"p99_us":{},"max_us":{}"#,
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

async fn measure_saving(db: &MysqlDatabase, plan: &Plan, writers: &mut [Writer]) -> DbResult<()> {
    for &connections in &plan.connections {
        for &batch in &plan.batches {
            // A commit per row takes its time.
            let rows = plan.rows.min(batch * connections * 2_000);
            let used = &mut writers[1..=connections as usize];
            let (took, times) = store(db, used, rows, batch).await?;
            let rate = times.len() as f64 * batch as f64 / took.as_secs_f64();
            println!(
                r#"{{"what":"save_batch","connections":{connections},"batch":{batch},"conversations_each":{},"rows":{},"rows_per_s":{rate:.0},{}}}"#,
                plan.conversations,
                times.len() as u64 * batch,
                quantiles(times)
            );
        }
    }
    Ok(())
}

async fn prepare_reader(db: &MysqlDatabase, writer: &mut Writer) -> DbResult<()> {
    for n in 0..writer.conversations {
        let (id, creator) = writer.conversation(n);
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
        db.create_conversation(new).await?;
    }
    let rows = writer.conversations * 3;
    store(db, std::slice::from_mut(writer), rows, 1_000.min(rows)).await?;
    Ok(())
}

async fn measure_reading(db: &MysqlDatabase, total: u64, writers: &[Writer]) -> DbResult<()> {
    let (mut list, mut history) = (Vec::new(), Vec::new());
    for n in 0..1_000_u64 {
        let query = ListQuery::first(UserId::new(READER).expect("in range"), 50);
        let started = Instant::now();
        let page = db.list_for_user(query).await?;
        list.push(started.elapsed());
        assert!(page.total > writers[0].conversations);

        let writer = &writers[1 + n as usize % (writers.len() - 1)];
        if writer.written == 0 {
            continue;
        }
        let at = n.wrapping_mul(7_919);
        let (conversation, _) = writer.conversation(at % writer.conversations);
        let newest = writer.written / writer.conversations + 1;
        let query = RangeQuery {
            conversation,
            from: None,
            to: Some(1 + at.wrapping_mul(31) % newest),
            direction: Direction::Descending,
            limit: 50,
            types: Vec::new(),
            fresh: false,
        };
        let started = Instant::now();
        db.messages(query).await?;
        history.push(started.elapsed());
    }
    let of = writers[0].conversations;
    println!(
        r#"{{"what":"list_page_of_50","conversations":{of},"rows":{total},{}}}"#,
        quantiles(list)
    );
    if !history.is_empty() {
        println!(
            r#"{{"what":"history_page_of_50","rows":{total},{}}}"#,
            quantiles(history)
        );
    }
    Ok(())
}

async fn measure(db: &MysqlDatabase, plan: &Plan) -> DbResult<()> {
    db.migrate_up(NOW).await?;
    let most = plan.connections.iter().copied().max().unwrap_or(1).max(4);
    let mut writers: Vec<Writer> = (0..=most)
        .map(|number| Writer {
            number,
            conversations: if number == 0 {
                plan.list
            } else {
                plan.conversations
            },
            written: 0,
        })
        .collect();
    measure_saving(db, plan, &mut writers).await?;
    if plan.table > 0 {
        let (took, _) = store(db, &mut writers[1..=4], plan.table, 1_000).await?;
        eprintln!("{} more rows in {took:?}", plan.table);
    }
    prepare_reader(db, &mut writers[0]).await?;
    let total = writers.iter().map(|w| w.written).sum();
    measure_reading(db, total, &writers).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = Plan::read();
    let name = format!("gochat_test_bench_{:08x}", rand::random::<u32>());
    let most = plan.connections.iter().copied().max().unwrap_or(1).max(4);
    let config = MysqlConfig {
        create_database: true,
        max_connections: most as usize,
        ..MysqlConfig::from_url(format!("{}/{name}", plan.server.trim_end_matches('/')))
    };
    let db = MysqlDatabase::connect(config).await?;
    let measured = measure(&db, &plan).await;
    db.close().await?;
    let mut conn = mysql_async::Conn::from_url(&plan.server).await?;
    conn.query_drop(format!("DROP DATABASE `{name}`")).await?;
    conn.disconnect().await?;
    Ok(measured?)
}
