//! Taking a partition over: what `persist` holds and the database doesn't.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::MessageId;
use gochat_core::message::{ChangeKind, Emoji, State, Tally, Target};
use gochat_core::sequence::{ClientKey, Recorded};
use gochat_core::step::{Changed, Limits, Mark, PartitionMachine, TailRecord};
use gochat_infra::port::mq::{InRecord, Mq, MqResult, TopicPartition};
use gochat_infra::topics;

use super::wire::{Fields, Value};

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
            if page.iter().any(is_uncounted) {
                return Err(Error::new(
                    ErrorCode::ServiceUnavailable,
                    "Records of a sequencer of another version are not stored yet.",
                ));
            }
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

/// Whether only the database can tell what the record means, as soon as it is stored: a sequencer of before changes
/// wrote it, without `rev`, or a later one, with a kind of change that isn't known here.
fn is_uncounted(record: &InRecord) -> bool {
    let mut fields = Fields::of(&record.record.value);
    let (mut seq, mut rev, mut change) = (0, 0, 0);
    while let Ok(Some((tag, value))) = fields.next() {
        match tag {
            8 => seq = value.number().unwrap_or(0),
            17 => rev = value.number().unwrap_or(0),
            18 => change = value.number().unwrap_or(0),
            _ => {}
        }
    }
    let kind = i32::try_from(change).ok().and_then(ChangeKind::from_i32);
    (seq > 0 && rev == 0) || (change != 0 && kind.is_none())
}

/// What the window needs of a `PersistenceMessage`. `None` can't happen with records of ours; a
/// stranger's record has no number to lose.
fn tail_record(record: &InRecord) -> Option<TailRecord> {
    let mut fields = Fields::of(&record.record.value);
    let (mut conversation, mut sender, mut client_id) = ("", "", "");
    let (mut message_id, mut seq, mut at) = (0, 0, 0);
    let (mut rev, mut change, mut author, mut sent_at, mut edits) = (0, 0, "", 0, 0);
    let (mut counts, mut pinned, mut own, mut pins) = (Vec::new(), false, Vec::new(), 0);
    let (mut keeps_former, mut tells) = (false, false);
    while let Some((tag, value)) = fields.next().ok()? {
        match tag {
            2 => message_id = value.number()?,
            3 => conversation = value.text()?,
            4 => sender = value.text()?,
            8 => seq = value.number()?,
            9 => client_id = value.text()?,
            10 => at = value.number()?,
            17 => rev = value.number()?,
            18 => change = value.number()?,
            19 => author = value.text()?,
            20 => sent_at = value.number()?,
            21 => edits = value.number()?,
            23 => counts.push(count(value)?),
            24 => pinned = value.number()? != 0,
            // One that isn't known here is of a later version: its number counts all the same.
            25 => own.extend(value.text()?.parse::<Emoji>()),
            26 => pins = value.number()?,
            40 => keeps_former = value.number()? != 0,
            41 => tells = value.number()? != 0,
            _ => {}
        }
    }
    let sender = sender.parse().ok()?;
    let (key, changed) = match i32::try_from(change).ok()? {
        0 => (ClientKey::new(sender, client_id), None),
        change => {
            let kind = ChangeKind::from_i32(change)?;
            let target = Target {
                recalled: kind == ChangeKind::Recall,
                edits: u32::try_from(edits).ok()?,
                pinned,
                reactions: Tally::from_iter(counts),
                ..Target::new(seq, author.parse().ok()?, sent_at.saturating_mul(1000))
            };
            let pins = u32::try_from(pins).ok()?;
            let after = Changed {
                kind,
                operator: sender,
                state: State { target, own, pins },
                keeps_former,
                tells,
            };
            (ClientKey::of_change(sender, client_id), Some(after))
        }
    };
    let message_id = MessageId::new(message_id)?;
    let recorded = Recorded {
        key,
        message_id,
        seq,
        rev,
        at: at.saturating_mul(1000),
    };
    Some(TailRecord {
        conversation: conversation.parse().ok()?,
        recorded,
        changed,
    })
}

/// A `ReactionCount`.
fn count(value: Value<'_>) -> Option<(&str, u32)> {
    let Value::Bytes(bytes) = value else {
        return None;
    };
    let (mut emoji, mut count) = ("", 0);
    let mut fields = Fields::of(bytes);
    while let Some((tag, value)) = fields.next().ok()? {
        match tag {
            1 => emoji = value.text()?,
            2 => count = value.number()?,
            _ => {}
        }
    }
    Some((emoji, u32::try_from(count).ok()?))
}

#[cfg(test)]
mod tests {
    use gochat_core::ids::UserId;
    use gochat_infra::port::mq::Record;
    use gochat_proto::mq::v1::{PersistenceMessage, ReactionCount};
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
            rev: 4,
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
            rev: 4,
            at: 1_700_000_000_000,
        };
        assert_eq!(
            (read.conversation.to_string().as_str(), read.recorded),
            ("world", expected)
        );
    }

    #[test]
    fn a_change_in_the_tail_brings_the_facts_of_its_message() {
        let message = PersistenceMessage {
            message_id: 9,
            conversation_id: "world".into(),
            sender_id: "8".into(),
            seq_id: 3,
            rev: 5,
            client_msg_id: "c".into(),
            timestamp: 1_700_000_000,
            change: ChangeKind::Recall.as_i32(),
            author_id: "7".into(),
            sent_at: 1_600_000_000,
            edit_count: 1,
            pin_count: 4,
            ..Default::default()
        };
        let read = |message: &PersistenceMessage| InRecord {
            offset: 0,
            timestamp_ms: 0,
            record: Record::new("world", message.encode_to_vec()),
        };
        let tail = tail_record(&read(&message)).unwrap();
        let target = Target {
            recalled: true,
            edits: 1,
            ..Target::new(3, UserId::new(7).unwrap(), 1_600_000_000_000)
        };
        let state = State {
            target,
            own: vec![],
            pins: 4,
        };
        let expected = Changed {
            kind: ChangeKind::Recall,
            operator: UserId::new(8).unwrap(),
            state: state.clone(),
            keeps_former: false,
            tells: false,
        };
        assert_eq!(tail.changed, Some(expected));
        let reaction = PersistenceMessage {
            change: ChangeKind::React.as_i32(),
            reactions: vec![ReactionCount {
                emoji: "👍".into(),
                count: 5,
            }],
            own_reactions: vec!["👍".into()],
            pinned: true,
            ..message.clone()
        };
        let after = tail_record(&read(&reaction))
            .unwrap()
            .changed
            .unwrap()
            .state;
        assert_eq!(after.own, ["👍".parse().unwrap()]);
        assert_eq!(after.target.reactions, Tally::from_iter([("👍", 5)]));
        assert!(after.target.pinned && !after.target.recalled);
        let key = ClientKey::of_change(UserId::new(8).unwrap(), "c");
        assert_eq!((tail.recorded.key, tail.recorded.rev), (key, 5));
        assert!(!is_uncounted(&read(&message)));
        let older = PersistenceMessage {
            rev: 0,
            ..message.clone()
        };
        assert!(is_uncounted(&read(&older)));
        let later = PersistenceMessage {
            change: 99,
            ..message
        };
        assert!(is_uncounted(&read(&later)));
    }
}
