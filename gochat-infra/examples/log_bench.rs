//! How fast the embedded log is: prints one line of JSON per measurement.
//!
//! ```text
//! cargo run --release -p gochat-infra --example log_bench -- [directory]
//! ```
//!
//! `pipeline`: senders fill an input topic in batches; one consumer polls, copies every record to an output topic and
//! transacts, as im-logic does. Senders stay at most a window ahead of it, as in a system that keeps up. `latency`: one sender, one record at a time, until it is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::port::mq::{
    ConsumerConfig, Mq, MqResult, OutRecord, Progress, TopicSpec, VisibleOn,
};
use tokio::sync::Semaphore;

const RECORDS: usize = 2_000_000;
const SENDERS: usize = 4;
const BATCH: usize = 500;
/// Batches that may be sent and not yet copied.
const WINDOW: usize = 64;
const VALUE: [u8; 300] = [b'x'; 300];

#[tokio::main(flavor = "current_thread")]
async fn main() -> MqResult<()> {
    let scratch = std::env::temp_dir().join(format!("gochat-log-bench-{}", std::process::id()));
    let dir = std::env::args()
        .nth(1)
        .map_or(scratch, std::path::PathBuf::from);
    let log = Arc::new(EmbeddedLog::open(LogConfig::new(&dir))?);
    let input = TopicSpec::disk("in", 12)
        .consumed_by("g")
        .visible_on(VisibleOn::Append);
    log.ensure_topics(&[input, TopicSpec::disk("out", 12).consumed_by("h")])
        .await?;
    pipeline(&log).await?;
    latency(&log).await?;
    log.close();
    if std::env::args().len() == 1 {
        std::fs::remove_dir_all(&dir)
            .unwrap_or_else(|error| eprintln!("left {}: {error}", dir.display()));
    }
    Ok(())
}

async fn pipeline(log: &Arc<EmbeddedLog>) -> MqResult<()> {
    let window = Arc::new(Semaphore::new(WINDOW));
    let started = Instant::now();
    let cpu = cpu_seconds();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| tokio::spawn(fill(log.clone(), sender, window.clone())))
        .collect();
    let drain = tokio::spawn(drain(log.clone(), "out", "h"));
    let config = ConsumerConfig::group("g", ["in"]).transactional("bench");
    let mut consumer = log.consumer(config).await?;
    let out: Arc<str> = Arc::from("out");
    let (mut done, mut steps) = (0, 0u32);
    while done < RECORDS {
        let polled = consumer.poll(2 * BATCH, Duration::from_secs(1)).await?;
        let mut outputs = Vec::with_capacity(polled.len());
        let mut offsets: Vec<Progress> = Vec::with_capacity(polled.batches.len());
        for batch in polled.batches {
            offsets.extend(batch.progress());
            let partition = batch.tp.partition;
            outputs.extend(batch.records.into_iter().map(|record| OutRecord {
                topic: out.clone(),
                partition: Some(partition),
                record: record.record,
            }));
        }
        let before = done / BATCH;
        done += outputs.len();
        window.add_permits(done / BATCH - before);
        steps += 1;
        consumer.transact(outputs, offsets).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    for sender in senders {
        sender.await.expect("a sender does not panic")?;
    }
    drain.await.expect("the drain does not panic")?;
    let cpu = cpu_seconds() - cpu;
    println!(
        "{{\"run\":\"pipeline\",\"records\":{RECORDS},\"value_bytes\":{},\"seconds\":{seconds:.3},\
         \"records_per_second\":{:.0},\"cpu_seconds\":{cpu:.3},\"records_per_cpu_second\":{:.0},\"steps\":{steps}}}",
        VALUE.len(),
        RECORDS as f64 / seconds,
        RECORDS as f64 / cpu,
    );
    Ok(())
}

async fn fill(log: Arc<EmbeddedLog>, sender: usize, window: Arc<Semaphore>) -> MqResult<()> {
    let (producer, topic) = (log.producer(), Arc::<str>::from("in"));
    for batch in 0..RECORDS / SENDERS / BATCH {
        window
            .acquire()
            .await
            .expect("the window is never closed")
            .forget();
        let key = |i: usize| format!("s_{sender}_{}", batch * BATCH + i);
        let value = bytes::Bytes::from_static(&VALUE);
        let records = (0..BATCH)
            .map(|i| OutRecord::new(topic.clone(), key(i), value.clone()))
            .collect();
        producer.send(records).await?;
    }
    Ok(())
}

/// Passes the outputs so that segments can be deleted.
async fn drain(log: Arc<EmbeddedLog>, topic: &'static str, group: &'static str) -> MqResult<()> {
    let mut consumer = log.consumer(ConsumerConfig::group(group, [topic])).await?;
    let mut done = 0;
    while done < RECORDS {
        let polled = consumer.poll(4 * BATCH, Duration::from_secs(1)).await?;
        done += polled.len();
        let offsets: Vec<_> = polled
            .batches
            .iter()
            .filter_map(|batch| batch.progress())
            .collect();
        consumer.commit(offsets).await?;
    }
    Ok(())
}

async fn latency(log: &Arc<EmbeddedLog>) -> MqResult<()> {
    const ROUNDS: usize = 2_000;
    let producer = log.producer();
    let mut micros = Vec::with_capacity(ROUNDS);
    for i in 0..ROUNDS {
        let record = OutRecord::new("in", i.to_string(), &VALUE[..]);
        let started = Instant::now();
        producer.send(vec![record]).await?;
        micros.push(started.elapsed().as_micros());
    }
    micros.sort_unstable();
    let at = |q: f64| micros[((ROUNDS - 1) as f64 * q) as usize];
    println!(
        "{{\"run\":\"latency\",\"sends\":{ROUNDS},\"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}

/// User and system time of this process, from procfs; zero elsewhere.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks = |i: usize| {
        fields
            .get(i)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
