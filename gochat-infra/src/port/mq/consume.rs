//! What every consumer loop needs beside the consumer itself.

use std::time::Duration;

use super::{
    Batch, Consumer, ConsumerConfig, Mq, MqError, MqErrorKind, MqResult, Progress, TopicPartition,
};

/// How long a consumer without a group may take to find its place.
const STAND_WITHIN: Duration = Duration::from_secs(15);

/// Reads batches once more, as far as their partitions are still the consumer's: what was lost to another
/// member is left out, and does not keep the others from going back.
///
/// # Errors
/// Those of [`Consumer::seek`] but `Fenced`. The position is not known then: the consumer must be replaced before
/// anything is committed through it.
pub fn rewind<'b>(
    consumer: &mut dyn Consumer,
    batches: impl IntoIterator<Item = &'b Batch>,
) -> MqResult<()> {
    let mut outcome = Ok(());
    for batch in batches {
        let Some(first) = batch.records.first() else {
            continue;
        };
        let back = Progress {
            tp: batch.tp.clone(),
            offset: first.offset,
        };
        match consumer.seek(&[back]) {
            Err(error) if error.kind != MqErrorKind::Fenced => outcome = Err(error),
            _ => {}
        }
    }
    outcome
}

/// A consumer of its own that stands at the end of some topics, and where that is: what is written once this has
/// resolved reaches it. One that replaces it goes on there ([`Consumer::seek`]) if it read nothing.
///
/// # Errors
/// Those of [`Mq::consumer`]; `Unavailable` when it finds no place for long.
pub async fn tail<T: Into<std::sync::Arc<str>>>(
    mq: &dyn Mq,
    topics: impl IntoIterator<Item = T>,
) -> MqResult<(Box<dyn Consumer>, Vec<Progress>)> {
    let mut consumer = mq.consumer(ConsumerConfig::tail(topics)).await?;
    let stand = async {
        loop {
            let news = consumer.poll(0, Duration::from_secs(1)).await?;
            if !news.assigned.is_empty() {
                return Ok((consumer, news.assigned));
            }
        }
    };
    let late = "the end of the topic is not known";
    tokio::time::timeout(STAND_WITHIN, stand)
        .await
        .unwrap_or_else(|_| Err(MqError::new(MqErrorKind::Unavailable, late)))
}

/// Waits until `group` has passed every record before `end` in a partition, where `end` was
/// answered by [`Mq::end_offset`].
///
/// # Errors
/// Those of the log.
pub async fn passed(mq: &dyn Mq, group: &str, tp: &TopicPartition, end: u64) -> MqResult<()> {
    loop {
        let done = mq.committed(group, tp).await?.unwrap_or(0);
        // The end may lie beyond the last record: then nothing is left to read before it.
        if done >= end || mq.read(tp, done, 1).await?.is_empty() {
            return Ok(());
        }
        mq.wait_committed(group, tp, done + 1).await?;
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::super::{InRecord, OutRecord, Poll, Record, TopicPartition};
    use super::*;

    /// Owns some partitions and writes down where it was moved.
    struct Moved {
        owned: Vec<u32>,
        to: Vec<(u32, u64)>,
    }

    #[async_trait]
    impl Consumer for Moved {
        async fn poll(&mut self, _: usize, _: Duration) -> MqResult<Poll> {
            Ok(Poll::default())
        }

        async fn commit(&mut self, _: Vec<Progress>) -> MqResult<()> {
            Ok(())
        }

        async fn transact(&mut self, _: Vec<OutRecord>, _: Vec<Progress>) -> MqResult<()> {
            Ok(())
        }

        fn seek(&mut self, positions: &[Progress]) -> MqResult<()> {
            for Progress { tp, offset } in positions {
                if !self.owned.contains(&tp.partition) {
                    return Err(MqError::new(MqErrorKind::Fenced, "lost"));
                }
                self.to.push((tp.partition, *offset));
            }
            Ok(())
        }

        async fn close(self: Box<Self>) -> MqResult<()> {
            Ok(())
        }
    }

    #[test]
    fn a_partition_that_was_lost_keeps_no_other_one_from_going_back() {
        let batch = |partition, offset| Batch {
            tp: TopicPartition::new("t", partition),
            records: vec![InRecord {
                offset,
                timestamp_ms: 0,
                record: Record::default(),
            }],
            skipped: 0,
        };
        let mut consumer = Moved {
            owned: vec![1, 3],
            to: Vec::new(),
        };
        let batches = [batch(1, 10), batch(2, 20), batch(3, 30)];
        rewind(&mut consumer, &batches).unwrap();
        assert_eq!(consumer.to, [(1, 10), (3, 30)]);
    }
}
