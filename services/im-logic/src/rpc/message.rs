//! `MessageService`: sending and recalling.

use std::time::Duration;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::MessageId;
use gochat_core::membership::Action;
use gochat_core::message::Recall;
use gochat_core::snowflake::Parts;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;
use pb::message_service_server::MessageService;

use super::parse;
use crate::app::App;
use crate::clock;
use crate::repo::present;

/// A message younger than this may still be on its way to the database.
const YOUNG_MS: u64 = 30_000;
/// So often such a message is looked up …
const LAG_TRIES: u32 = 12;
/// … with this pause between.
const LAG_WAIT: Duration = Duration::from_millis(40);
/// Longest reason of a recall, in characters.
const REASON_MAX_CHARS: usize = 200;

super::service! {
    /// Writes to conversations.
    MessageService {
        send_message(SendMessageRequest) -> SendMessageResponse = send;
        delete_message(DeleteMessageRequest) -> DeleteMessageResponse = recall;
    }
}

/// The same way as any other message: through the log and the sequencer. The answer to a repeat is what was
/// accepted then, which may not be what is asked now.
async fn send(app: &App, request: pb::SendMessageRequest) -> Result<pb::SendMessageResponse> {
    let mut answer = app.sender.send(request, &crate::trace::current()).await?;
    if answer.replayed {
        let sent = present(answer.message.take())?;
        let id = sent.id.parse().map_err(|_| ErrorCode::Internal)?;
        let stored = find(app, id, sent.conversation_id).await;
        // Accepted, but not readable yet: the caller asks again.
        let stored = stored.map_err(|error| match error.code {
            ErrorCode::MessageNotFound => ErrorCode::Timeout.into(),
            _ => error,
        })?;
        answer.message = Some(super::conversation::history::message(stored));
    }
    Ok(answer)
}

/// By the author for two minutes, or what the settings of a single chat say; by admins and the
/// owner at any time.
async fn recall(app: &App, request: pb::DeleteMessageRequest) -> Result<pb::DeleteMessageResponse> {
    let operator = parse::user(&request.operator_id)?;
    let message_id: MessageId = request.message_id.parse().map_err(|_| {
        Error::new(
            ErrorCode::InvalidParams,
            "A message id is a decimal number.",
        )
    })?;
    if !request.conversation_id.is_empty() {
        // Membership first: strangers don't learn which messages exist.
        let id = parse::conversation(&request.conversation_id)?;
        app.repo
            .facts(id, &[operator])
            .await?
            .readable_by(operator)?;
    }
    let stored = find(app, message_id, request.conversation_id).await?;
    let id = parse::conversation(&stored.conversation_id).map_err(|_| ErrorCode::Internal)?;
    let facts = app.repo.facts(id, &[operator]).await?;
    let standing = facts.readable_by(operator)?;
    let window = facts.settings.recall_window(app.limits.recall_window_ms);
    let window = window.ok_or_else(|| {
        Error::new(
            ErrorCode::Forbidden,
            "Recalling is switched off in this chat.",
        )
    })?;
    let sent_at = u64::try_from(stored.created_at)
        .unwrap_or(0)
        .saturating_mul(1_000);
    let wish = Recall {
        operator,
        author: parse::user(&stored.sender_id).map_err(|_| ErrorCode::Internal)?,
        moderator: standing.may(Action::RecallOthers).is_ok(),
        sent_at,
        recalled: stored.deleted,
    };
    wish.check(clock::now_ms(), window)?;
    let reason: String = request.reason.chars().take(REASON_MAX_CHARS).collect();
    let write = repo::DeleteMessageRequest {
        message_id: message_id.to_string(),
        operator_id: operator.to_string(),
        reason: reason.clone(),
        conversation_id: id.to_string(),
    };
    app.repo.delete_message(write).await?;
    app.events
        .recalled(id, operator, message_id.as_i64(), stored.seq_id, &reason)
        .await;
    Ok(pb::DeleteMessageResponse { success: true })
}

/// The stored message. One that was just acknowledged may have no row yet: its id says how old it
/// is, and for a young one the look-up is repeated for a moment.
async fn find(app: &App, id: MessageId, conversation_id: String) -> Result<repo::RepoMessage> {
    let query = repo::GetMessageRequest {
        message_id: id.to_string(),
        conversation_id,
    };
    let is_young = clock::now_ms().saturating_sub(Parts::of(id.get()).at) < YOUNG_MS;
    let mut tries = if is_young { LAG_TRIES } else { 1 };
    loop {
        tries -= 1;
        match app.repo.get_message(query.clone()).await {
            Ok(answer) => return present(answer.message),
            Err(error) => match error.code {
                ErrorCode::NotFound | ErrorCode::MessageNotFound if tries == 0 => {
                    return Err(ErrorCode::MessageNotFound.into());
                }
                ErrorCode::NotFound | ErrorCode::MessageNotFound => {}
                _ => return Err(error),
            },
        }
        tokio::time::sleep(LAG_WAIT).await;
    }
}
