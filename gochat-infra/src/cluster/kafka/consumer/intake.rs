//! From the client's queue into the caller's hands.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::KafkaConsumer;
use super::driver::Task;
use crate::cluster::kafka::error::{from_kafka, kind};
use crate::cluster::kafka::reader::is_passing;
use crate::cluster::kafka::record::from_wire;
use crate::port::mq::{Batch, MqErrorKind, MqResult, Poll};

impl KafkaConsumer {
    /// Takes records and events that are there, without waiting, until `max` records are in hand.
    pub(super) fn drain(&mut self, max: usize) -> MqResult<()> {
        let client = self.client.clone();
        let mut silences = 0;
        loop {
            let enough = max > 0 && self.in_hand >= max;
            let full = self.in_hand_bytes >= self.config.max_poll_bytes;
            // Nothing is fetched while paused: then only events come, which a full consumer must see, too.
            if enough || full && !self.paused {
                return Ok(());
            }
            match client.poll(Duration::ZERO) {
                Some(Ok(message)) => self.keep(&message),
                Some(Err(error)) => self.note(&error)?,
                None if client.context().has_news() => return Ok(()),
                // An event that was served by the client itself looks like silence, too.
                None if silences > 0 => return Ok(()),
                None => silences += 1,
            }
        }
    }

    fn keep(&mut self, message: &BorrowedMessage<'_>) {
        let partition = message.partition();
        let is_at = |at: usize| {
            self.owned.get(at).is_some_and(|owned| {
                owned.place.partition == partition && owned.place.wire == message.topic()
            })
        };
        if !is_at(self.last) {
            match (0..self.owned.len()).find(|at| is_at(*at)) {
                Some(at) => self.last = at,
                // Given back meanwhile.
                None => return,
            }
        }
        let Some(owned) = self.owned.get_mut(self.last) else {
            return;
        };
        let record = from_wire(message);
        if record.offset < owned.next() || owned.moved {
            return;
        }
        self.in_hand += 1;
        self.in_hand_bytes += record.record.size();
        owned.buffer.push_back(record);
        self.silence.end();
    }

    fn note(&mut self, error: &KafkaError) -> MqResult<()> {
        let Some(code) = error.rdkafka_error_code() else {
            return Ok(());
        };
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => {
                let places = self.owned.iter().map(|owned| owned.place.clone());
                self.next = Some(Task::Bound(places.collect()));
            }
            Code::Fatal => self.next = Some(Task::Rebuild),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                self.next = Some(Task::Rebuild);
            }
            _ if is_passing(error) => {}
            _ if kind(code) == MqErrorKind::Invalid => {
                return Err(from_kafka("records can't be read", error));
            }
            _ => tracing::info!(%error, "the client reported an error"),
        }
        Ok(())
    }

    /// Gives the caller what there is. No await from here to the caller: what is handed out is handed out.
    pub(super) fn hand_out(&mut self, max: usize) -> Poll {
        let mut poll = std::mem::take(&mut self.news);
        let (mut left, mut left_bytes) = (max, self.config.max_poll_bytes);
        let count = self.owned.len();
        for i in 0..count {
            if left == 0 || left_bytes == 0 {
                break;
            }
            let owned = &mut self.owned[(self.turn + i) % count];
            let mut records = Vec::with_capacity(left.min(owned.buffer.len()));
            while let Some(record) = owned.buffer.front()
                && left > 0
            {
                let size = record.record.size();
                let first = records.is_empty() && poll.batches.is_empty();
                if size > left_bytes && !first {
                    left_bytes = 0;
                    break;
                }
                left_bytes = left_bytes.saturating_sub(size);
                left -= 1;
                self.in_hand -= 1;
                self.in_hand_bytes -= size;
                owned.position = record.offset + 1;
                records.extend(owned.buffer.pop_front());
            }
            if records.is_empty() && owned.skipped == 0 {
                continue;
            }
            let skipped = std::mem::take(&mut owned.skipped);
            if skipped > 0 {
                metrics::counter!("gochat_log_skipped_records_total").increment(skipped);
            }
            poll.batches.push(Batch {
                tp: owned.tp.clone(),
                records,
                skipped,
            });
        }
        self.silence.end();
        self.turn = self.turn.wrapping_add(1);
        poll
    }

    /// Counts anew after buffers were emptied.
    pub(super) fn count_in_hand(&mut self) {
        let records = || self.owned.iter().flat_map(|owned| &owned.buffer);
        self.in_hand = records().count();
        self.in_hand_bytes = records().map(|record| record.record.size()).sum();
    }
}
