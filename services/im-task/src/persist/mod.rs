//! Writing messages to the database.
//!
//! Offsets are committed after the rows are written, and rows are idempotent on (conversation, seq): a batch that was
//! written and not committed is written again without effect. im-logic reads `persist` from this group's committed
//! offset on to find what is not in the database yet, so a commit before the write would lose acknowledged messages.

mod arrivals;
mod recheck;

use std::collections::VecDeque;
use std::ops::Range;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_infra::port::mq::{Batch, InRecord, OutRecord, TopicPartition};
use gochat_infra::telemetry::{self, Context, Kind, Span};
use gochat_infra::topics::TASK_PERSIST_GROUP;
use gochat_proto::im::repo::v1::{BatchSaveMessagesRequest, SaveMessageRequest};
use gochat_proto::mq::v1::PersistenceMessage;
use prost::Message;

use self::recheck::Recheck;
use crate::delivery::Delivery;
use crate::repo::Repo;
use crate::worker::Handler;
use crate::{dead_letter, metrics};

/// The database writer.
pub(crate) struct Persist {
    repo: Repo,
    recheck: Recheck,
}

/// A decoded record and where it came from.
struct Row<'b> {
    message: PersistenceMessage,
    tp: &'b TopicPartition,
    record: &'b InRecord,
    /// Until it is in the database, when it is traced.
    span: Option<Span>,
}

impl Persist {
    pub(crate) fn new(repo: Repo, delivery: Delivery, backlog: usize) -> Self {
        let recheck = Recheck::new(repo.clone(), delivery, backlog);
        Self { repo, recheck }
    }

    /// Writes all rows. A batch that is refused as a whole is halved until the bad record stands alone.
    async fn save(&self, rows: &[Row<'_>], dead: &mut Vec<OutRecord>) -> Result<()> {
        let mut parts: VecDeque<Range<usize>> = VecDeque::new();
        if !rows.is_empty() {
            parts.push_back(0..rows.len());
        }
        while let Some(part) = parts.pop_front() {
            let messages = rows[part.clone()]
                .iter()
                .map(|row| request(&row.message))
                .collect();
            match self
                .repo
                .save_messages(BatchSaveMessagesRequest { messages })
                .await
            {
                Ok(answer) => {
                    metrics::persisted(answer.saved_message_ids.len());
                    for failed in answer.failed {
                        if failed.retryable {
                            return Err(Error::new(ErrorCode::ServiceUnavailable, failed.reason));
                        }
                        let row = rows
                            .iter()
                            .find(|row| row.message.message_id.to_string() == failed.message_id);
                        dead.extend(row.map(|row| row.dead_letter(&failed.reason)));
                    }
                }
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) if part.len() == 1 => {
                    dead.push(rows[part.start].dead_letter(&error.to_string()))
                }
                Err(_) => {
                    let middle = part.start + part.len() / 2;
                    parts.push_front(middle..part.end);
                    parts.push_front(part.start..middle);
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Handler for Persist {
    async fn handle(&mut self, batches: &[Batch]) -> Result<Vec<OutRecord>> {
        let mut outputs = Vec::new();
        let size = batches.iter().map(|batch| batch.records.len()).sum();
        let mut rows = Vec::with_capacity(size);
        for batch in batches {
            for record in &batch.records {
                match PersistenceMessage::decode(record.record.value.clone()) {
                    Ok(message) => rows.push(Row {
                        message,
                        tp: &batch.tp,
                        record,
                        span: span(record, size),
                    }),
                    Err(error) => {
                        let text = format!("can't be decoded: {error}");
                        outputs.push(dead_letter::record(
                            TASK_PERSIST_GROUP,
                            &batch.tp,
                            record,
                            &text,
                            1,
                        ));
                    }
                }
            }
        }
        // The call is made once for all of them: it is shown under the first that is traced.
        let traced = rows.iter().find_map(|row| row.span.as_ref());
        let traced = traced.map(Span::context);
        telemetry::within(traced, self.save(&rows, &mut outputs)).await?;
        self.recheck.begin();
        self.recheck.add(rows.into_iter().map(Row::saved));
        outputs.extend(self.recheck.run().await);
        Ok(outputs)
    }

    async fn idle(&mut self) -> Vec<OutRecord> {
        self.recheck.begin();
        self.recheck.run().await
    }

    fn committed(&mut self) {
        self.recheck.committed();
    }

    fn aborted(&mut self) {
        self.recheck.aborted();
    }
}

/// The span of a traced message from its record to its row.
fn span(record: &InRecord, batch: usize) -> Option<Span> {
    let parent = Context::of(&record.record.headers)?;
    let mut span = Span::child(parent, "persist", Kind::Consumer);
    span.set("gochat.batch", batch);
    Some(span)
}

impl Row<'_> {
    /// It is written, or among the dead letters.
    fn saved(self) -> (PersistenceMessage, Option<Context>) {
        let traced = self.span.as_ref().map(Span::context);
        if let Some(span) = self.span {
            span.end();
        }
        (self.message, traced)
    }

    fn dead_letter(&self, reason: &str) -> OutRecord {
        dead_letter::record(TASK_PERSIST_GROUP, self.tp, self.record, reason, 1)
    }
}

fn request(message: &PersistenceMessage) -> SaveMessageRequest {
    SaveMessageRequest {
        message_id: message.message_id.to_string(),
        conversation_id: message.conversation_id.clone(),
        sender_id: message.sender_id.clone(),
        message_type: message.message_type,
        content: message.content.clone(),
        seq_id: message.seq_id,
        client_msg_id: message.client_msg_id.clone(),
        extra: message.extra.clone(),
        created_at: message.timestamp,
    }
}
