//! How fast the log on Kafka is: prints one line of JSON per measurement.
//!
//! ```text
//! cargo run --release -p gochat-infra --features kafka --example kafka_bench -- --brokers 127.0.0.1:9092
//! ```
//!
//! For every batch size: `send`, until a batch is acknowledged; `step`, one transaction that copies a batch; `path`, the
//! way of a message: sent, polled, copied by a transaction, polled by a consumer that reads committed records alone.
//! Then `flood`: many batches under way at once, copied as they come.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gochat_infra::cluster::kafka::{KafkaConfig, KafkaMq};
use gochat_infra::port::mq::{
    Consumer, ConsumerConfig, Mq, MqError, MqErrorKind, MqResult, OutRecord, Poll, Producer,
    Progress, TopicSpec,
};
use tokio::sync::Semaphore;

const VALUE: [u8; 300] = [b'x'; 300];
const BATCHES: [usize; 4] = [1, 10, 100, 500];
const ROUNDS: usize = 300;
const FLOOD: usize = 200_000;
/// Batches of the flood that may be sent and not yet copied.
const WINDOW: usize = 32;
const FLOOD_BATCH: usize = 200;
const PARTITIONS: u32 = 12;
const WAIT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> MqResult<()> {
    let mq = KafkaMq::connect(config()?).await?;
    let names = ["in", "out"];
    let specs = names.map(|name| TopicSpec::disk(name, PARTITIONS));
    mq.ensure_topics(&specs).await?;
    let outcome = measure(&mq).await;
    for name in names {
        mq.delete_topic(name).await?;
    }
    outcome
}

fn config() -> MqResult<KafkaConfig> {
    let mut arguments = std::env::args().skip(1);
    let mut config = KafkaConfig::default();
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--brokers", Some(brokers)) => config.brokers = brokers,
            _ => {
                let usage = "usage: kafka_bench [--brokers HOST:PORT,...]";
                return Err(MqError::new(MqErrorKind::Invalid, usage));
            }
        }
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    config.prefix = format!("bench-{}-", now.unwrap_or_default().as_millis());
    Ok(config)
}

async fn measure(mq: &KafkaMq) -> MqResult<()> {
    let config = ConsumerConfig::group("g", ["in"]).transactional("bench");
    let mut copier = Copier {
        consumer: mq.consumer(config).await?,
        out: "out".into(),
    };
    let mut tail = mq.consumer(ConsumerConfig::tail(["out"])).await?;
    tail.poll(0, WAIT).await?;
    while copier.consumer.poll(0, WAIT).await?.assigned.is_empty() {}
    let producer = mq.producer();
    for batch in BATCHES {
        rounds(&producer, &mut copier, &mut tail, batch).await?;
    }
    drop(tail);
    flood(&producer, &mut copier).await?;
    copier.consumer.close().await
}

/// Polls and copies, as im-logic does.
struct Copier {
    consumer: Box<dyn Consumer>,
    out: Arc<str>,
}

impl Copier {
    async fn copy(&mut self, polled: Poll) -> MqResult<()> {
        let offsets: Vec<Progress> = polled.batches.iter().filter_map(|b| b.progress()).collect();
        let records = polled.batches.into_iter().flat_map(|batch| {
            let partition = batch.tp.partition;
            batch
                .records
                .into_iter()
                .map(move |r| (partition, r.record))
        });
        let outputs = records
            .map(|(partition, record)| OutRecord {
                topic: self.out.clone(),
                partition: Some(partition),
                record,
            })
            .collect();
        self.consumer.transact(outputs, offsets).await
    }
}

/// One batch after the other, and what each part takes.
async fn rounds(
    producer: &Arc<dyn Producer>,
    copier: &mut Copier,
    tail: &mut Box<dyn Consumer>,
    batch: usize,
) -> MqResult<()> {
    let (mut sends, mut steps, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let began = Instant::now();
        let sending = tokio::spawn(send(producer.clone(), round, batch));
        let mut copied = 0;
        while copied < batch {
            let polled = copier.consumer.poll(batch, WAIT).await?;
            copied += polled.len();
            let step = Instant::now();
            copier.copy(polled).await?;
            steps.push(step.elapsed());
        }
        let mut arrived = 0;
        while arrived < batch {
            arrived += tail.poll(batch, WAIT).await?.len();
        }
        paths.push(began.elapsed());
        sends.push(sending.await.expect("a sender does not panic")?);
    }
    for (run, times) in [("send", sends), ("step", steps), ("path", paths)] {
        report(run, batch, times);
    }
    Ok(())
}

async fn send(producer: Arc<dyn Producer>, round: usize, batch: usize) -> MqResult<Duration> {
    let value = bytes::Bytes::from_static(&VALUE);
    let record = |i| OutRecord::new("in", format!("s_{round}_{}", i % 16), value.clone());
    let began = Instant::now();
    producer.send((0..batch).map(record).collect()).await?;
    Ok(began.elapsed())
}

async fn flood(producer: &Arc<dyn Producer>, copier: &mut Copier) -> MqResult<()> {
    let window = Arc::new(Semaphore::new(WINDOW));
    let began = Instant::now();
    let sender = tokio::spawn({
        let (producer, window) = (producer.clone(), window.clone());
        async move {
            for round in 0..FLOOD / FLOOD_BATCH {
                window.acquire().await.expect("open").forget();
                tokio::spawn(send(producer.clone(), round, FLOOD_BATCH));
            }
        }
    });
    let (mut done, mut steps) = (0, Vec::new());
    while done < FLOOD {
        let polled = copier.consumer.poll(1_000, WAIT).await?;
        let before = done / FLOOD_BATCH;
        done += polled.len();
        window.add_permits(done / FLOOD_BATCH - before);
        let step = Instant::now();
        copier.copy(polled).await?;
        steps.push(step.elapsed());
    }
    sender.await.expect("the sender does not panic");
    let (seconds, count) = (began.elapsed().as_secs_f64(), steps.len());
    println!(
        "{{\"run\":\"flood\",\"records\":{FLOOD},\"seconds\":{seconds:.2},\"records_per_second\":{:.0},\"steps\":{count}}}",
        FLOOD as f64 / seconds
    );
    report("flood_step", FLOOD / count.max(1), steps);
    Ok(())
}

fn report(run: &str, batch: usize, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_micros();
    println!(
        "{{\"run\":\"{run}\",\"batch\":{batch},\"count\":{},\"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}",
        times.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
