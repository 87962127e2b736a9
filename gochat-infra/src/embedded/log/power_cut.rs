//! Power cuts at every place of a recorded run: what was promised is there, and steps are whole.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;

use super::tape::{Bug, Dice, Op, Tape, power_cut};
use super::*;
use crate::port::mq::{OutRecord, Progress, VisibleOn};

const WAIT: Duration = Duration::from_secs(10);
/// Promises about steps carry the number of the step; those about inputs are marked.
const INPUT: u64 = 1 << 32;
/// Inputs of a run.
const INPUTS: u64 = 300;
/// Inputs are sent in bursts of so many.
const BURST: u64 = 5;

fn small(folder: &Path) -> LogConfig {
    let mut config = LogConfig::new(folder);
    (config.segment_bytes, config.zero_ahead_bytes) = (12 << 10, 96 << 10);
    config.cache_bytes = 4 << 10;
    config
}

fn tp(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

fn numbered(topic: &str, number: u64) -> OutRecord {
    // Lengths that differ, so that frames begin anywhere in a sector.
    let padding = "x".repeat((number * 37 % 400) as usize);
    OutRecord::new(topic, "k", format!("{number} {padding}"))
}

fn number_of(record: &InRecord) -> u64 {
    let text = std::str::from_utf8(&record.record.value).unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// What im-logic does: each input becomes an output in the same step as its offset.
async fn sequence(
    log: &EmbeddedLog,
    total: u64,
    most: usize,
    promise: impl Fn(u64),
) -> MqResult<()> {
    let config = ConsumerConfig::group("logic", ["up"]).transactional("t");
    let mut consumer = log.consumer(config).await?;
    let mut next = log.end_offset(&tp("persist")).await?;
    while next < total {
        let polled = consumer.poll(most, WAIT).await?;
        for batch in polled.batches {
            let outputs = (batch.records.iter())
                .map(|record| numbered("persist", number_of(record)))
                .collect();
            let progress = batch.progress().into_iter().collect();
            consumer.transact(outputs, progress).await?;
            for record in &batch.records {
                promise(number_of(record));
                next += 1;
            }
        }
    }
    Ok(())
}

/// Inputs, steps, and a writer of rows that is a little behind, so that segments come and go.
async fn run(folder: &Path, bug: Bug, inputs: u64) -> Vec<Op> {
    let tape = Tape::start(folder, bug);
    let log = EmbeddedLog::open(small(folder)).unwrap();
    let specs = [
        TopicSpec::disk("up", 1)
            .visible_on(VisibleOn::Append)
            .consumed_by("logic"),
        TopicSpec::disk("persist", 1).consumed_by("task"),
    ];
    log.ensure_topics(&specs).await.unwrap();
    let producer = log.producer();
    let send = async {
        for first in (0..inputs).step_by(BURST as usize) {
            let sends = (first..(first + BURST).min(inputs)).map(|number| {
                let (producer, tape) = (&producer, &tape);
                async move {
                    producer.send(vec![numbered("up", number)]).await.unwrap();
                    tape.push(Op::Promised(INPUT | number));
                }
            });
            join_all(sends).await;
        }
    };
    let save = async {
        let mut consumer = log
            .consumer(ConsumerConfig::group("task", ["persist"]))
            .await
            .unwrap();
        let mut saved = 0;
        while saved < inputs {
            for batch in consumer.poll(40, WAIT).await.unwrap().batches {
                let end = batch.records.last().unwrap().offset + 1;
                let offset = end.saturating_sub(20);
                let progress = Progress {
                    tp: tp("persist"),
                    offset,
                };
                consumer.commit(vec![progress]).await.unwrap();
                saved = end;
            }
        }
    };
    let promise = |number| tape.push(Op::Promised(number));
    let ((), (), done) = tokio::join!(send, save, sequence(&log, inputs, 3, promise));
    done.unwrap();
    // Not in the recording: nothing is promised by a close.
    let ops = tape.ops();
    log.close();
    ops
}

/// Opens what the cut left, finishes the work, and names what is wrong.
async fn judge(folder: &Path, promised: &BTreeSet<u64>) -> Result<(), String> {
    let log = EmbeddedLog::open(small(folder)).map_err(|error| error.to_string())?;
    let Ok(ends) = log.end_offset(&tp("up")).await else {
        return match promised.is_empty() {
            true => Ok(()),
            false => Err("the topics are gone".into()),
        };
    };
    let kept = log.end_offset(&tp("persist")).await.unwrap();
    let done = log
        .committed("logic", &tp("up"))
        .await
        .unwrap()
        .unwrap_or(0);
    if kept != done {
        return Err(format!("{kept} outputs of {done} steps"));
    }
    for number in promised {
        let (topic, offset) = match number & INPUT {
            0 => ("persist", *number),
            _ => ("up", number & !INPUT),
        };
        let end = if topic == "up" { ends } else { kept };
        if offset >= end {
            return Err(format!("{topic} {offset} was promised, the end is {end}"));
        }
    }
    let done = sequence(&log, ends, 100, |_| {}).await;
    done.map_err(|error| error.to_string())?;
    for topic in ["up", "persist"] {
        let mut from = 0;
        while from < ends {
            let records = log.read(&tp(topic), from, 100).await;
            let records = records.map_err(|error| error.to_string())?;
            let Some(last) = records.last() else {
                // All of it was consumed and has been dropped.
                if log.shared.partition(&tp(topic)).unwrap().bounds().0 == ends {
                    break;
                }
                return Err(format!("{topic} ends at {from} instead of {ends}"));
            };
            if let Some(wrong) = records.iter().find(|r| number_of(r) != r.offset) {
                let (offset, number) = (wrong.offset, number_of(wrong));
                return Err(format!("{topic} {offset} is input {number}"));
            }
            from = last.offset + 1;
        }
    }
    Ok(())
}

/// Cuts the power `cuts` times at random places and right behind promises. Returns what was wrong.
async fn violations(bug: Bug, seed: u64, inputs: u64, cuts: u64) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let ops = run(folder.path(), bug, inputs).await;
    let mut dice = Dice(seed);
    let mut wrong = Vec::new();
    for cut in 0..cuts {
        let mut at = dice.below(ops.len() as u64) as usize;
        if cut % 2 == 0 {
            let later = ops[at..].iter();
            let promise = later.take_while(|op| !matches!(op, Op::Promised(_)));
            at = (at + promise.count() + 1).min(ops.len());
        }
        let ops = &ops[..at];
        let promised = ops.iter().filter_map(|op| match op {
            Op::Promised(number) => Some(*number),
            _ => None,
        });
        let promised = promised.collect();
        let kept = [0, 30, 70, 95, 100][dice.below(5) as usize];
        let image = TempDir::new().unwrap();
        power_cut(ops, image.path(), kept, &mut dice);
        if let Err(what) = judge(image.path(), &promised).await {
            wrong.push(format!(
                "seed {seed}, cut {cut} at event {at}, {kept} % kept: {what}"
            ));
        }
    }
    wrong
}

#[tokio::test]
async fn nothing_promised_is_lost_by_a_power_cut() {
    for seed in 1..=3 {
        let wrong = violations(Bug::None, seed, INPUTS, 40).await;
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// The test of the test.
#[tokio::test]
async fn a_left_out_sync_is_found() {
    for bug in [Bug::NoCommitSync, Bug::NoFolderSync] {
        let wrong = violations(bug, 1, INPUTS, 40).await;
        assert!(!wrong.is_empty(), "{bug:?} was not noticed");
    }
}
