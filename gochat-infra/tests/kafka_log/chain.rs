//! A chain of steps, as a sequencer makes it: what a member writes depends on what the member before it wrote last.

use std::time::Duration;

use gochat_infra::cluster::kafka::KafkaMq;
use gochat_infra::port::mq::{
    ConsumerConfig, Mq, MqErrorKind, MqResult, OutRecord, Progress, TopicPartition, TopicSpec,
};
use tokio_util::sync::CancellationToken;

pub(crate) const PARTITIONS: u32 = 2;
const GROUP: &str = "sequencers";

pub(crate) async fn topics(mq: &KafkaMq) {
    let specs = ["in", "chain"].map(|name| TopicSpec::disk(name, PARTITIONS));
    mq.ensure_topics(&specs).await.unwrap();
}

/// A member that numbers every record of `in` in `chain`, until `stop`.
pub(crate) async fn member(mq: KafkaMq, id: String, stop: CancellationToken) -> MqResult<()> {
    let config = ConsumerConfig::group(GROUP, ["in"]).transactional(id);
    let mut consumer = mq.consumer(config).await?;
    let mut heads = [None::<u64>; PARTITIONS as usize];
    loop {
        let polled = tokio::select! {
            () = stop.cancelled() => return consumer.close().await,
            polled = consumer.poll(20, Duration::from_millis(200)) => polled,
        };
        let polled = match polled {
            Ok(polled) => polled,
            Err(error) if error.is_retryable() => continue,
            Err(error) => return Err(error),
        };
        let changed = polled.revoked.iter();
        for tp in changed.chain(polled.assigned.iter().map(|progress| &progress.tp)) {
            heads[tp.partition as usize] = None;
        }
        let (mut outputs, mut offsets) = (Vec::new(), Vec::new());
        let mut held = false;
        for batch in &polled.batches {
            let partition = batch.tp.partition;
            let head = &mut heads[partition as usize];
            if head.is_none() {
                match newest(&mq, partition).await {
                    Ok(newest) => *head = Some(newest),
                    Err(error) if error.is_retryable() => held = true,
                    Err(error) => return Err(error),
                }
            }
            let Some(head) = head else { continue };
            for record in &batch.records {
                *head += 1;
                let text = format!("{head} {}", String::from_utf8_lossy(&record.record.value));
                outputs.push(OutRecord::new("chain", "", text).to_partition(partition));
            }
            offsets.extend(batch.progress());
        }
        if held {
            // Nothing was written: take the same records again.
            let back = polled.batches.iter().map(|batch| Progress {
                tp: batch.tp.clone(),
                offset: batch.records[0].offset,
            });
            consumer.seek(&back.collect::<Vec<_>>())?;
            heads = Default::default();
            continue;
        }
        if outputs.is_empty() {
            continue;
        }
        match consumer.transact(outputs, offsets).await {
            Ok(()) => {}
            Err(error) if error.is_retryable() || error.kind == MqErrorKind::Fenced => {
                heads = Default::default();
            }
            Err(error) => return Err(error),
        }
    }
}

/// The last number in a partition of the chain.
async fn newest(mq: &KafkaMq, partition: u32) -> MqResult<u64> {
    let chain = numbers(mq, partition).await?;
    Ok(chain.last().map_or(0, |(number, _)| *number))
}

/// All of a partition of the chain: number and input.
pub(crate) async fn numbers(mq: &KafkaMq, partition: u32) -> MqResult<Vec<(u64, String)>> {
    let tp = TopicPartition::new("chain", partition);
    let (mut from, mut all) = (0, Vec::new());
    loop {
        let page = mq.read(&tp, from, 1_000).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        from = last.offset + 1;
        all.extend(page.iter().map(|record| {
            let text = String::from_utf8_lossy(&record.record.value).into_owned();
            let (number, input) = text.split_once(' ').unwrap();
            (number.parse().unwrap(), input.to_owned())
        }));
    }
}

/// Sends numbered inputs until `stop`; returns how many each partition has.
pub(crate) async fn feed(mq: KafkaMq, stop: CancellationToken) -> u64 {
    let producer = mq.producer();
    let mut sent = 0;
    while !stop.is_cancelled() {
        let records = (0..PARTITIONS)
            .map(|p| OutRecord::new("in", "", sent.to_string()).to_partition(p))
            .collect();
        match producer.send(records).await {
            Ok(_) => sent += 1,
            // Not idempotent as clients are: an outage would need a check for repeats here.
            Err(error) => panic!("the input can't be written: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    sent
}

/// Waits until the chain holds all inputs, and checks that it does so once, in order, without a gap.
pub(crate) async fn verify(mq: &KafkaMq, inputs: u64) {
    let last = (inputs - 1).to_string();
    for partition in 0..PARTITIONS {
        let complete = async {
            loop {
                match numbers(mq, partition).await {
                    Ok(chain) if chain.iter().any(|(_, input)| *input == last) => return chain,
                    Ok(_) => {}
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        // Clients that are of no use after an outage are replaced within a minute on an idle machine.
        let chain = tokio::time::timeout(Duration::from_secs(180), complete).await;
        let chain = chain.expect("the chain becomes complete");
        let expected: Vec<_> = (0..inputs).map(|i| (i + 1, i.to_string())).collect();
        let wrong = chain.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!(wrong.map(|at| &chain[at.saturating_sub(2)..]), None);
        assert_eq!(chain.len(), expected.len());
    }
}

/// A member in a task of its own.
pub(crate) fn start(mq: &KafkaMq, id: impl Into<String>) -> Member {
    let stop = CancellationToken::new();
    let task = tokio::spawn(member(mq.clone(), id.into(), stop.clone()));
    Member { stop, task }
}

pub(crate) struct Member {
    pub(crate) stop: CancellationToken,
    pub(crate) task: tokio::task::JoinHandle<MqResult<()>>,
}

impl Member {
    /// Leaves in good order.
    pub(crate) async fn leave(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends in the middle of whatever it does.
    pub(crate) fn abort(self) {
        self.task.abort();
    }
}

pub(crate) fn input(mq: &KafkaMq) -> (CancellationToken, tokio::task::JoinHandle<u64>) {
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(feed(mq.clone(), stop)))
}
