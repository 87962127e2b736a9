//! Taking a partition over: what `persist` holds and the database doesn't.

use gochat_core::error::{Error, Result};
use gochat_core::ids::MessageId;
use gochat_core::sequence::{ClientKey, Recorded};
use gochat_core::step::{Limits, Mark, PartitionMachine, TailRecord};
use gochat_infra::port::mq::{InRecord, Mq, MqResult, TopicPartition};
use gochat_infra::topics;

use super::wire::Fields;

/// Records of one read.
const PAGE: usize = 4_096;

/// A partition this worker owns.
pub(super) struct Owned {
    pub(super) machine: PartitionMachine,
    persist: TopicPartition,
    /// Newest committed batch.
    pub(super) mark: Mark,
    /// A mark, and the end of `persist` when that mark was reached.
    pending: Option<(Mark, u64)>,
}

impl Owned {
    /// A machine that knows every message the database may not hold yet.
    ///
    /// Must run after the log has handed out records of the partition: by then every step of the owner before was
    /// either committed or never will be, and reading to the end shows all that were.
    pub(super) async fn take_over(mq: &dyn Mq, partition: u32, limits: Limits) -> Result<Self> {
        let persist = TopicPartition::new(topics::PERSIST, partition);
        let saved = mq
            .committed(topics::TASK_PERSIST_GROUP, &persist)
            .await?
            .unwrap_or(0);
        let (mut machine, mut mark) = (PartitionMachine::new(limits), 0);
        let (mut from, mut count) = (saved, 0);
        loop {
            let page = mq.read(&persist, from, PAGE).await.map_err(Error::from)?;
            let Some(last) = page.last() else { break };
            from = last.offset + 1;
            count += page.len();
            mark = machine.recover(page.iter().filter_map(tail_record));
        }
        tracing::info!(partition, saved, tail = count, "took a partition over");
        Ok(Self {
            machine,
            persist,
            mark,
            pending: Some((mark, from)),
        })
    }

    /// Lets the machine forget what the database holds by now.
    pub(super) async fn learn_saved(&mut self, mq: &dyn Mq) -> MqResult<()> {
        let (mark, end) = match self.pending {
            Some(pending) => pending,
            None => (self.mark, mq.end_offset(&self.persist).await?),
        };
        let saved = mq
            .committed(topics::TASK_PERSIST_GROUP, &self.persist)
            .await?
            .unwrap_or(0);
        // The end may lie beyond the last record; then nothing is left to read before it.
        if saved >= end || mq.read(&self.persist, saved, 1).await?.is_empty() {
            self.machine.saved(mark);
            self.pending = None;
        } else {
            self.pending = Some((mark, end));
        }
        Ok(())
    }
}

/// What the window needs of a `PersistenceMessage`. `None` can't happen with records of ours; a
/// stranger's record has no number to lose.
fn tail_record(record: &InRecord) -> Option<TailRecord> {
    let mut fields = Fields::of(&record.record.value);
    let (mut conversation, mut sender, mut client_id) = ("", "", "");
    let (mut message_id, mut seq, mut at) = (0, 0, 0);
    while let Some((tag, value)) = fields.next().ok()? {
        match tag {
            2 => message_id = value.number()?,
            3 => conversation = value.text()?,
            4 => sender = value.text()?,
            8 => seq = value.number()?,
            9 => client_id = value.text()?,
            10 => at = value.number()?,
            _ => {}
        }
    }
    let key = ClientKey::new(sender.parse().ok()?, client_id);
    let message_id = MessageId::new(message_id)?;
    let recorded = Recorded {
        key,
        message_id,
        seq,
        at: at.saturating_mul(1000),
    };
    Some(TailRecord {
        conversation: conversation.parse().ok()?,
        recorded,
    })
}

#[cfg(test)]
mod tests {
    use gochat_core::ids::UserId;
    use gochat_infra::port::mq::Record;
    use gochat_proto::mq::v1::PersistenceMessage;
    use prost::Message;

    use super::*;

    #[test]
    fn a_tail_record_is_read_from_the_generated_type() {
        let message = PersistenceMessage {
            message_id: 9,
            conversation_id: "world".into(),
            sender_id: "7".into(),
            content: "x".into(),
            seq_id: 3,
            client_msg_id: "c".into(),
            timestamp: 1_700_000_000,
            ..Default::default()
        };
        let record = Record::new("world", message.encode_to_vec());
        let read = tail_record(&InRecord {
            offset: 0,
            timestamp_ms: 0,
            record,
        })
        .unwrap();
        let expected = Recorded {
            key: ClientKey::new(UserId::new(7).unwrap(), "c"),
            message_id: MessageId::new(9).unwrap(),
            seq: 3,
            at: 1_700_000_000_000,
        };
        assert_eq!(
            (read.conversation.to_string().as_str(), read.recorded),
            ("world", expected)
        );
    }
}
