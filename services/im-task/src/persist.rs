//! The database writer: sequenced messages become rows.
//!
//! Saving is idempotent by (conversation, seq), so a batch that was saved but not committed is saved again without
//! effect. Only a record that can't be decoded, or a *different* message under a taken place (which must never happen),
//! is put aside; everything else is tried until it works.

use gochat_core::error::{Error, ErrorCode};
use gochat_infra::port::mq::{Batch, InRecord, TopicPartition};
use gochat_proto::im::repo::v1::{BatchSaveMessagesRequest, SaveMessageRequest};
use gochat_proto::mq::v1::PersistenceMessage;
use prost::Message as _;

use crate::dlq::DeadLetters;
use crate::recheck::Recheck;
use crate::repo::Repo;
use crate::worker::Handler;

/// Most messages of one `BatchSaveMessages`.
const MAX_BATCH: usize = 1_000;

/// Handles `gochat.messages.persist`.
pub(crate) struct Persist {
    pub(crate) repo: Repo,
    pub(crate) recheck: Recheck,
    pub(crate) dead: DeadLetters,
}

/// A decoded record and where it came from.
struct Row<'a> {
    tp: &'a TopicPartition,
    record: &'a InRecord,
    message: PersistenceMessage,
}

impl Handler for Persist {
    async fn handle(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let mut rows = self.decode(batches).await?;
        for page in rows.chunks_mut(MAX_BATCH) {
            self.save(page).await?;
        }
        let messages: Vec<PersistenceMessage> =
            rows.into_iter().map(|row| row.message).filter(|m| !m.recheck_user_ids.is_empty()).collect();
        self.recheck.push_to_newcomers(messages).await;
        Ok(())
    }
}

impl Persist {
    async fn decode<'a>(&self, batches: &'a [Batch]) -> Result<Vec<Row<'a>>, Error> {
        let mut rows = Vec::with_capacity(batches.iter().map(|b| b.records.len()).sum());
        for batch in batches {
            for record in &batch.records {
                match PersistenceMessage::decode(record.record.value.clone()) {
                    Ok(message) => rows.push(Row { tp: &batch.tp, record, message }),
                    Err(error) => self.dead.put(&batch.tp, record, &error.to_string()).await?,
                }
            }
        }
        Ok(rows)
    }

    async fn save(&self, rows: &mut [Row<'_>]) -> Result<(), Error> {
        let messages = rows.iter_mut().map(|row| request(&mut row.message)).collect();
        let answer = self.repo.batch_save_messages(BatchSaveMessagesRequest { messages }).await?;
        for failed in answer.failed {
            if failed.retryable {
                return Err(Error::new(ErrorCode::ServiceUnavailable, failed.reason));
            }
            let id = failed.message_id;
            for row in rows.iter().filter(|row| row.message.message_id.to_string() == id) {
                metrics::counter!("gochat_persist_conflicts_total").increment(1);
                self.dead.put(row.tp, row.record, &failed.reason).await?;
            }
        }
        Ok(())
    }
}

fn request(message: &mut PersistenceMessage) -> SaveMessageRequest {
    // Content is needed again only by the recheck, whose messages keep theirs.
    let keep = !message.recheck_user_ids.is_empty();
    let mut text = |field: fn(&mut PersistenceMessage) -> &mut String| {
        if keep { field(message).clone() } else { std::mem::take(field(message)) }
    };
    let (content, extra) = (text(|m| &mut m.content), text(|m| &mut m.extra));
    let (conversation_id, sender_id) = (text(|m| &mut m.conversation_id), text(|m| &mut m.sender_id));
    let client_msg_id = text(|m| &mut m.client_msg_id);
    SaveMessageRequest {
        message_id: message.message_id.to_string(),
        conversation_id,
        sender_id,
        message_type: message.message_type,
        content,
        seq_id: message.seq_id,
        client_msg_id,
        extra,
        created_at: message.timestamp,
    }
}
