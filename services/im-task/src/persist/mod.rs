//! Writing messages, and changes of messages, to the database.
//!
//! Offsets are committed after the rows are written, and rows are idempotent on (conversation, seq) or, of changes,
//! (conversation, rev): a batch that was written and not committed is written again without effect. im-logic reads `persist` from this group's committed
//! offset on to find what is not in the database yet, so a commit before the write would lose acknowledged messages.
//!
//! A record of the sequencer that is refused stops its partition ([`crate::stopped`]); its number
//! is given to no other message, because the tail from the committed offset on keeps saying that it
//! is taken. Dead letters are only for records that the sequencer can't have written, which nobody
//! was told about.

mod arrivals;
mod recheck;

use std::collections::VecDeque;
use std::ops::Range;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UserId};
use gochat_infra::port::mq::{Batch, InRecord, OutRecord, TopicPartition};
use gochat_infra::telemetry::{self, Context, Kind, Span};
use gochat_infra::topics::TASK_PERSIST_GROUP;
use gochat_proto::common::v1::{self, Quote, Reaction};
use gochat_proto::im::repo::v1::{BatchSaveMessagesRequest, FailedMessage, SaveMessageRequest};
use gochat_proto::mq::v1::{ChangeKind, Forwarded, PersistenceMessage, Quoted, ReactionCount};
use hashbrown::HashMap;
use prost::Message;

use self::recheck::Recheck;
use crate::delivery::Delivery;
use crate::repo::Repo;
use crate::stopped::Refused;
use crate::worker::{Done, Handler};
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

    /// Writes all rows that can be written and names those that were refused, each with the reason.
    /// A batch that is refused as a whole is halved until the refused record stands alone. So is
    /// one that fails for a reason inside im-repo: one row must not keep all others from being
    /// written.
    ///
    /// # Errors
    /// im-repo or its database is away: the rows may be written or not.
    async fn save(&self, rows: &[Row<'_>]) -> Result<Vec<(usize, String)>> {
        let mut refused = Vec::new();
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
                    for (id, reason) in not_retryable(answer.failed)? {
                        let is_named = |at: &usize| rows[*at].message.message_id.to_string() == id;
                        let named: Vec<usize> = part.clone().filter(is_named).collect();
                        match named[..] {
                            [at] => refused.push((at, reason)),
                            // A message and its changes carry one id: which of them was meant shows
                            // when each is saved alone. Those that are written are written again
                            // without effect.
                            _ => parts.extend(named.into_iter().map(|at| at..at + 1)),
                        }
                    }
                }
                Err(error) if error.is_retryable() && error.code != ErrorCode::Internal => {
                    return Err(error);
                }
                Err(error) if part.len() == 1 => refused.push((part.start, error.to_string())),
                Err(_) => {
                    let middle = part.start + part.len() / 2;
                    parts.push_front(middle..part.end);
                    parts.push_front(part.start..middle);
                }
            }
        }
        Ok(refused)
    }
}

#[async_trait]
impl Handler for Persist {
    async fn handle(&mut self, batches: &[Batch]) -> Result<Done> {
        let mut done = Done::default();
        let mut unknown = Vec::new();
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
                        unknown.push((&batch.tp, record, text));
                    }
                }
            }
        }
        // The call is made once for all of them: it is shown under the first that is traced.
        let traced = rows.iter().find_map(|row| row.span.as_ref());
        let traced = traced.map(Span::context);
        for (at, reason) in telemetry::within(traced, self.save(&rows)).await? {
            let row = &rows[at];
            // The sequencer's records are acknowledged; nobody was told about any other.
            if is_sequenced(&row.message) {
                done.refused.push(Refused {
                    tp: row.tp.clone(),
                    offset: row.record.offset,
                    reason,
                });
            } else {
                unknown.push((row.tp, row.record, reason));
            }
        }
        for (tp, record, reason) in unknown {
            if !is_behind(tp, record, &done.refused) {
                let letter = dead_letter::record(TASK_PERSIST_GROUP, tp, record, &reason, 1);
                done.outputs.push(letter);
            }
        }
        self.recheck.begin();
        let written = rows
            .into_iter()
            .filter(|row| !is_behind(row.tp, row.record, &done.refused));
        self.recheck.add(written.map(Row::saved));
        done.outputs.extend(self.recheck.run().await);
        Ok(done)
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

/// The reason of each id that was refused for good.
///
/// # Errors
/// One was refused that can be tried again.
fn not_retryable(failed: Vec<FailedMessage>) -> Result<HashMap<String, String>> {
    let reason = |failed: FailedMessage| match failed.retryable {
        true => Err(Error::new(ErrorCode::ServiceUnavailable, failed.reason)),
        false => Ok((failed.message_id, failed.reason)),
    };
    failed.into_iter().map(reason).collect()
}

/// The span of a traced message from its record to its row.
fn span(record: &InRecord, batch: usize) -> Option<Span> {
    let parent = Context::of(&record.record.headers)?;
    let mut span = Span::child(parent, "persist", Kind::Consumer);
    span.set("gochat.batch", batch);
    Some(span)
}

impl Row<'_> {
    /// The message, once its row is written or it is among the dead letters.
    fn saved(self) -> (PersistenceMessage, Option<Context>) {
        let traced = self.span.as_ref().map(Span::context);
        if let Some(span) = self.span {
            span.end();
        }
        (self.message, traced)
    }
}

/// Whether a record is one of the refused or behind one: it comes again.
fn is_behind(tp: &TopicPartition, record: &InRecord, refused: &[Refused]) -> bool {
    refused
        .iter()
        .any(|refused| refused.tp == *tp && refused.offset <= record.offset)
}

/// Whether a record has what the sequencer gives every message and change before the
/// acknowledgement: ids and numbers. Of messages an older one gives no `rev`.
fn is_sequenced(message: &PersistenceMessage) -> bool {
    let is_change = message.change != ChangeKind::None as i32;
    message.message_id > 0
        && (message.rev > 0 || !is_change)
        && message.seq_id > 0
        && message.conversation_id.parse::<ConversationId>().is_ok()
        && message.sender_id.parse::<UserId>().is_ok()
}

fn request(message: &PersistenceMessage) -> SaveMessageRequest {
    let references = message.references.clone().unwrap_or_default();
    let mentions = references.mention_ids.iter();
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
        rev: message.rev,
        change: message.change,
        edit_count: message.edit_count,
        reactions: message.reactions.iter().map(reaction).collect(),
        pinned: message.pinned,
        reply_to: references.reply_to.map(quote),
        mention_ids: mentions.map(ToString::to_string).collect(),
        mention_all: references.mention_all,
        forwarded_from: references.forwarded.map(forwarded),
        keep_former: message.keep_former,
        tells: message.tells,
    }
}

/// What is stored of a quote: which message, not what it says.
fn quote(quoted: Quoted) -> Quote {
    Quote {
        message_id: quoted.message_id.to_string(),
        seq_id: quoted.seq_id,
        sender_id: quoted.sender_id,
        ..Default::default()
    }
}

fn forwarded(from: Forwarded) -> v1::Forwarded {
    v1::Forwarded {
        message_id: from.message_id.to_string(),
        conversation_id: from.conversation_id,
        sender_id: from.sender_id,
        sender_name: from.sender_name,
    }
}

fn reaction(count: &ReactionCount) -> Reaction {
    Reaction {
        emoji: count.emoji.clone(),
        count: count.count,
        mine: false,
    }
}
