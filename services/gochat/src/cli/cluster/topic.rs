//! `gochat topic create-all|list|describe|delete|tail|groups`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use gochat_infra::cluster::kafka::{KafkaConfig, KafkaMq};
use gochat_infra::port::mq::{ConsumerConfig, Mq, MqError, TopicPartition};
use gochat_infra::topics;

use super::records::Decoder;
use super::{confirmed, settings};
use crate::cli::{Failure, Outcome};

/// Records read at once by `tail`.
const CHUNK: usize = 500;

/// Flags of `topic`. Encryption and logins come from GOCHAT_KAFKA__TLS__… and GOCHAT_KAFKA__SASL__…, as for services.
#[derive(Debug, Args)]
pub(in crate::cli) struct TopicArgs {
    /// Bootstrap brokers.
    #[arg(
        long,
        global = true,
        env = "KAFKA_BROKERS",
        default_value = "localhost:9092"
    )]
    brokers: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create the topics that don't exist. Services do this when they start.
    CreateAll {
        /// Partitions of the message topics; they can't be changed later.
        #[arg(long, env = "KAFKA_PARTITIONS", default_value_t = 12)]
        partitions: u32,
        /// Copies of every partition.
        #[arg(long, env = "KAFKA_REPLICATION_FACTOR", default_value_t = 1)]
        replication: u16,
    },
    /// Names and partitions.
    List,
    /// One line per partition: where it ends and how far its groups are.
    Describe {
        /// Full name.
        topic: String,
    },
    /// Delete a topic with everything in it.
    Delete {
        /// Full name.
        topic: String,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
    /// Print records as JSON, one a line, as they come.
    Tail {
        /// Full name.
        topic: String,
        /// Start at the oldest record instead of the end, and stop at the end.
        #[arg(long)]
        from_start: bool,
        /// Stop after so many.
        #[arg(long, short = 'n')]
        count: Option<usize>,
    },
    /// How far each consumer group is behind.
    Groups,
}

/// Runs one action.
pub(in crate::cli) async fn run(args: TopicArgs) -> Outcome {
    let mut config: KafkaConfig = settings("kafka")?;
    config.brokers = args.brokers;
    if let Action::CreateAll { replication, .. } = args.action {
        config.replication_factor = replication;
    }
    let mq = KafkaMq::connect(config).await.map_err(failed)?;
    let outcome = act(&mq, args.action).await;
    mq.close();
    outcome.map(|()| ExitCode::SUCCESS)
}

fn failed(error: MqError) -> Failure {
    Failure::new(error.to_string())
}

async fn act(mq: &dyn Mq, action: Action) -> Result<(), Failure> {
    match action {
        Action::CreateAll { partitions, .. } => {
            let specs = topics::specs(partitions);
            mq.ensure_topics(&specs).await.map_err(failed)?;
            println!("{} topics are there", specs.len());
        }
        Action::List => {
            for name in all(mq).await? {
                let partitions = mq.partitions(&name).map_err(failed)?;
                println!("{partitions:>5}  {name}");
            }
        }
        Action::Describe { topic } => {
            println!("partition  end  group  committed  behind");
            describe(mq, &topic).await?;
        }
        Action::Delete { topic, yes } => {
            let partitions = mq.partitions(&topic).map_err(failed)?;
            let question =
                format!("Delete {topic} ({partitions} partitions) and everything in it?");
            if !yes && !confirmed(&question)? {
                return Err(Failure::new("nothing was deleted"));
            }
            mq.delete_topic(&topic).await.map_err(failed)?;
            println!("{topic} deleted");
        }
        Action::Tail {
            topic,
            from_start: true,
            count,
        } => dump(mq, &topic, count).await?,
        Action::Tail { topic, count, .. } => tail(mq, &topic, count).await?,
        Action::Groups => {
            println!(
                "{:<24} {:<32} {:>10} {:>10}",
                "group", "topic", "committed", "behind"
            );
            for spec in topics::specs(1) {
                for group in &spec.consumers {
                    let (done, behind) = progress(mq, group, &spec.name).await?;
                    println!("{group:<24} {:<32} {done:>10} {behind:>10}", spec.name);
                }
            }
        }
    }
    Ok(())
}

async fn all(mq: &dyn Mq) -> Result<Vec<Arc<str>>, Failure> {
    let mut names = mq.topics("").await.map_err(failed)?;
    names.sort_unstable();
    Ok(names)
}

/// The groups that read a topic.
fn groups_of(topic: &str) -> Vec<Arc<str>> {
    let specs = topics::specs(1);
    let spec = specs.into_iter().find(|spec| *spec.name == *topic);
    spec.map(|spec| spec.consumers).unwrap_or_default()
}

async fn describe(mq: &dyn Mq, topic: &str) -> Result<(), Failure> {
    let groups = groups_of(topic);
    for partition in 0..mq.partitions(topic).map_err(failed)? {
        let tp = TopicPartition::new(topic, partition);
        let end = mq.end_offset(&tp).await.map_err(failed)?;
        if groups.is_empty() {
            println!("{partition:>9}  {end}");
        }
        for group in &groups {
            let done = mq.committed(group, &tp).await.map_err(failed)?;
            let behind = end.saturating_sub(done.unwrap_or_default());
            let done = done.map_or("-".to_owned(), |done| done.to_string());
            println!("{partition:>9}  {end}  {group}  {done}  {behind}");
        }
    }
    Ok(())
}

/// How many records a group is done with and has before it, over all partitions. Transaction markers count as records.
async fn progress(mq: &dyn Mq, group: &str, topic: &str) -> Result<(u64, u64), Failure> {
    let (mut done, mut behind) = (0, 0);
    for partition in 0..mq.partitions(topic).map_err(failed)? {
        let tp = TopicPartition::new(topic, partition);
        let committed = mq
            .committed(group, &tp)
            .await
            .map_err(failed)?
            .unwrap_or_default();
        let end = mq.end_offset(&tp).await.map_err(failed)?;
        done += committed;
        behind += end.saturating_sub(committed);
    }
    Ok((done, behind))
}

/// Everything that is there now.
async fn dump(mq: &dyn Mq, topic: &str, count: Option<usize>) -> Result<(), Failure> {
    let decoder = Decoder::new().map_err(Failure::new)?;
    let mut left = count.unwrap_or(usize::MAX);
    for partition in 0..mq.partitions(topic).map_err(failed)? {
        let tp = TopicPartition::new(topic, partition);
        let mut from = 0;
        while left > 0 {
            let records = mq.read(&tp, from, CHUNK.min(left)).await.map_err(failed)?;
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            left -= records.len();
            for record in &records {
                println!("{}", decoder.to_json(topic, partition, record));
            }
        }
    }
    Ok(())
}

/// What comes from now on, until the count is reached or the process is stopped.
async fn tail(mq: &dyn Mq, topic: &str, count: Option<usize>) -> Result<(), Failure> {
    let decoder = Decoder::new().map_err(Failure::new)?;
    let config = ConsumerConfig::tail([topic.to_owned()]);
    let mut consumer = mq.consumer(config).await.map_err(failed)?;
    let mut left = count.unwrap_or(usize::MAX);
    while left > 0 {
        let polled = tokio::select! {
            polled = consumer.poll(CHUNK.min(left), Duration::from_secs(1)) => polled.map_err(failed)?,
            _ = tokio::signal::ctrl_c() => break,
        };
        for batch in polled.batches {
            for record in &batch.records {
                println!("{}", decoder.to_json(topic, batch.tp.partition, record));
                left = left.saturating_sub(1);
            }
        }
    }
    consumer.close().await.map_err(failed)
}
