//! Storing messages and changes of messages.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UnixMillis};
use gochat_core::message::{ChangeKind, MessageType, REACTION_KINDS_MAX, Tally};
use gochat_infra::port::db::{NewChange, NewMessage, SaveOutcome};
use gochat_proto::common::v1::Reaction;
use gochat_proto::im::repo::v1::*;

use super::references::references;
use super::{CLIENT_ID_MAX, MessageApi};
use crate::rpc::failed;
use crate::{args, convert};

/// Longest content in bytes: what the smallest column of all databases holds. Text has at most
/// 5000 characters long before it gets here.
const CONTENT_MAX: usize = 65_535;

/// What is to be stored.
enum Row {
    Message(NewMessage),
    Change(NewChange),
}

/// A row as it is to be stored. The sequencer has judged it; this only keeps rows sane.
fn parse(request: SaveMessageRequest, now: UnixMillis) -> Result<Row> {
    if args::seq(request.seq_id, "seq_id")? == 0 {
        return Err(args::invalid("`seq_id` is missing."));
    }
    if request.content.len() > CONTENT_MAX || request.extra.len() > CONTENT_MAX {
        return Err(ErrorCode::MessageTooLarge.into());
    }
    args::optional_text(&request.client_msg_id, "client_msg_id", CLIENT_ID_MAX)?;
    match request.change {
        0 => message(request, now).map(Row::Message),
        _ => change(request, now).map(Row::Change),
    }
}

fn message(request: SaveMessageRequest, now: UnixMillis) -> Result<NewMessage> {
    if MessageType::from_i32(request.message_type).is_none() {
        return Err(ErrorCode::UnsupportedMessageType.into());
    }
    Ok(NewMessage {
        references: references(&request)?,
        id: args::message(&request.message_id)?,
        conversation_id: args::conversation(&request.conversation_id)?,
        seq_id: args::seq(request.seq_id, "seq_id")?,
        sender_id: args::user(&request.sender_id, "sender_id")?,
        message_type: request.message_type,
        content: request.content,
        client_msg_id: not_empty(request.client_msg_id),
        extra: not_empty(request.extra),
        created_at: args::millis_or_none(request.created_at).unwrap_or(now),
        rev: args::seq(request.rev, "rev")?,
    })
}

fn change(request: SaveMessageRequest, now: UnixMillis) -> Result<NewChange> {
    let kind = ChangeKind::from_i32(request.change)
        .ok_or_else(|| args::invalid("`change` is not a kind of change."))?;
    let rev = args::seq(request.rev, "rev")?;
    if rev == 0 {
        return Err(args::invalid("`rev` is missing."));
    }
    let reactions = match kind.is_reaction() {
        true => tally(&request.reactions)?,
        false => Tally::default(),
    };
    let (content, extra) = match kind {
        ChangeKind::Edit => (request.content, not_empty(request.extra)),
        ChangeKind::React | ChangeKind::Unreact => {
            (args::emoji(&request.content)?.to_string(), None)
        }
        ChangeKind::Recall | ChangeKind::Pin | ChangeKind::Unpin => (String::new(), None),
    };
    Ok(NewChange {
        conversation_id: args::conversation(&request.conversation_id)?,
        rev,
        kind,
        message_id: args::message(&request.message_id)?,
        seq_id: args::seq(request.seq_id, "seq_id")?,
        sender_id: args::user(&request.sender_id, "sender_id")?,
        client_msg_id: not_empty(request.client_msg_id),
        content,
        extra,
        edit_count: u32::try_from(request.edit_count)
            .map_err(|_| args::invalid("`edit_count` must not be negative."))?,
        keeps_former: request.keep_former,
        tells: request.tells && kind == ChangeKind::Pin,
        pinned: request.pinned,
        reactions,
        created_at: args::millis_or_none(request.created_at).unwrap_or(now),
    })
}

fn tally(reactions: &[Reaction]) -> Result<Tally> {
    if reactions.len() > REACTION_KINDS_MAX {
        return Err(args::invalid(format!(
            "`reactions` has at most {REACTION_KINDS_MAX} entries."
        )));
    }
    let count = |reaction: &Reaction| {
        let emoji = args::emoji(&reaction.emoji)?;
        Ok((emoji, reaction.count))
    };
    let counts: Vec<_> = reactions.iter().map(count).collect::<Result<_>>()?;
    Ok(counts.iter().map(|(e, n)| (e.as_str(), *n)).collect())
}

fn not_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A different message under a taken place.
fn taken() -> Error {
    Error::new(
        ErrorCode::VersionConflict,
        "Another message holds this place.",
    )
}

/// A change of a message that isn't there.
fn missing() -> Error {
    Error::new(
        ErrorCode::MessageNotFound,
        "The message that is changed is not stored.",
    )
}

fn refused(message_id: String, error: &Error) -> FailedMessage {
    FailedMessage {
        message_id,
        reason: error.message.clone().into_owned(),
        retryable: error.is_retryable(),
    }
}

impl MessageApi {
    /// Stores what can be stored and lets go of cached heads.
    async fn save(
        &self,
        messages: Vec<NewMessage>,
        changes: Vec<NewChange>,
        now: UnixMillis,
    ) -> Result<Vec<SaveOutcome>> {
        let of_messages = messages.iter().map(|message| message.conversation_id);
        let of_changes = changes.iter().map(|change| change.conversation_id);
        let mut touched: Vec<ConversationId> = of_messages.chain(of_changes).collect();
        touched.sort_unstable();
        touched.dedup();
        let awaited = self.shared.heads.awaited(&messages, &changes);
        let db = self.shared.db.clone();
        let saving = async move { db.save_batch(messages, changes, now).await };
        let outcomes = self.shared.conversations.change(touched, saving).await;
        let outcomes = outcomes.map_err(failed)?;
        self.shared.heads.saved(&awaited);
        Ok(outcomes)
    }

    pub(super) async fn save_message(
        &self,
        request: SaveMessageRequest,
    ) -> Result<SaveMessageResponse> {
        let now = self.shared.now();
        let id = args::message(&request.message_id)?;
        let place = args::conversation(&request.conversation_id)?;
        let (messages, changes) = match parse(request, now)? {
            Row::Message(message) => (vec![message], Vec::new()),
            Row::Change(change) => (Vec::new(), vec![change]),
        };
        let outcome = self.save(messages, changes, now).await?.into_iter().next();
        match outcome.ok_or(Error::from(ErrorCode::Internal))? {
            SaveOutcome::Stored | SaveOutcome::Duplicate => {}
            SaveOutcome::Conflict => return Err(taken()),
            SaveOutcome::Missing => return Err(missing()),
        }
        let entry = self.shared.db.message(id, Some(place)).await;
        let entry = entry.map_err(failed)?;
        let entry = entry.ok_or(Error::from(ErrorCode::MessageNotFound))?;
        Ok(SaveMessageResponse {
            message: Some(convert::repo_message(entry.message, None)),
        })
    }

    pub(crate) async fn batch_save_messages(
        &self,
        request: BatchSaveMessagesRequest,
    ) -> Result<BatchSaveMessagesResponse> {
        args::batch(request.messages.len(), "messages")?;
        let now = self.shared.now();
        let mut answer = BatchSaveMessagesResponse::default();
        let mut ids = Vec::with_capacity(request.messages.len());
        let mut messages = Vec::with_capacity(request.messages.len());
        let (mut changed_ids, mut changes) = (Vec::new(), Vec::new());
        for row in request.messages {
            let id = row.message_id.clone();
            match parse(row, now) {
                Ok(Row::Message(message)) => {
                    ids.push(id);
                    messages.push(message);
                }
                Ok(Row::Change(change)) => {
                    changed_ids.push(id);
                    changes.push(change);
                }
                Err(error) => answer.failed.push(refused(id, &error)),
            }
        }
        if messages.is_empty() && changes.is_empty() {
            return Ok(answer);
        }
        ids.extend(changed_ids);
        // An error of the whole batch means that nothing is known to be stored and that the same
        // call may be repeated. Rows were made sane above, so none of them is the cause.
        for (id, outcome) in ids
            .into_iter()
            .zip(self.save(messages, changes, now).await?)
        {
            match outcome {
                SaveOutcome::Stored => answer.saved_message_ids.push(id),
                SaveOutcome::Duplicate => answer.duplicates.push(id),
                SaveOutcome::Conflict => answer.failed.push(refused(id, &taken())),
                SaveOutcome::Missing => answer.failed.push(refused(id, &missing())),
            }
        }
        Ok(answer)
    }
}
