//! `MessageService`: sending, and changing what was sent.

mod former;
mod forward;
mod reactions;

use std::time::Duration;

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::message::ChangeKind;
use gochat_core::snowflake::Parts;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;
use pb::message_service_server::MessageService;

use super::conversation::history::wide;
use super::conversation::visible;
use super::parse;
use crate::app::{App, ChangeWish, Changed};
use crate::clock;
use crate::repo::present;

/// A message younger than this may still be on its way to the database.
const YOUNG_MS: u64 = 30_000;
/// So often such a message is looked up …
const LAG_TRIES: u32 = 12;
/// … with this pause between.
const LAG_WAIT: Duration = Duration::from_millis(40);
/// Longest wait for the row of a change that was accepted.
const READABLE_WITHIN: Duration = Duration::from_millis(1_500);
/// Longest reason of a recall, in characters.
const REASON_MAX_CHARS: usize = 200;

super::service! {
    /// Writes to conversations.
    MessageService {
        send_message(SendMessageRequest) -> SendMessageResponse = send;
        edit_message(EditMessageRequest) -> EditMessageResponse = edit;
        delete_message(DeleteMessageRequest) -> DeleteMessageResponse = recall;
        react(ReactRequest) -> ReactResponse = reactions::react;
        pin_message(PinMessageRequest) -> PinMessageResponse = reactions::pin;
        list_reactions(ListReactionsRequest) -> ListReactionsResponse = reactions::list;
        list_pins(ListPinsRequest) -> ListPinsResponse = reactions::pins;
        list_former_texts(ListFormerTextsRequest) -> ListFormerTextsResponse = former::list;
        read_forward_source(ReadForwardSourceRequest) -> ReadForwardSourceResponse = forward::source;
    }
}

/// The same way as any other message: through the log and the sequencer. The answer to a repeat is what was
/// accepted then, which may not be what is asked now.
async fn send(app: &App, mut request: pb::SendMessageRequest) -> Result<pb::SendMessageResponse> {
    let user = parse::user(&request.user_id)?;
    let conversation = parse::conversation(&request.conversation_id)?;
    let forwarded = match request.forward.take() {
        None => None,
        Some(source) => match forward::read(app, user, &source).await {
            Ok(source) => {
                (request.r#type, request.content) = (source.r#type, source.content);
                request.extra = source.extra;
                source.forwarded.map(Ok)
            }
            Err(error) if error.is_retryable() => return Err(error),
            // It may have been passed on before it went.
            Err(error) => Some(Err(error)),
        },
    };
    let trace = crate::trace::current();
    let mut answer = app.sender.send(request, forwarded, &trace).await?;
    if answer.replayed {
        let sent = present(answer.message.take())?;
        let id = sent.id.parse().map_err(|_| ErrorCode::Internal)?;
        let stored = find(app, id, sent.conversation_id, None).await;
        // Accepted, but not readable yet: the caller asks again.
        let stored = stored.map_err(|error| match error.code {
            ErrorCode::MessageNotFound => ErrorCode::Timeout.into(),
            _ => error,
        })?;
        let mut message = super::conversation::history::message(stored);
        visible::hide_quote(app, conversation, user, &mut message).await?;
        answer.message = Some(message);
    }
    Ok(answer)
}

/// By the author for two minutes, or what the settings of a single chat say; by admins and the
/// owner at any time. The sequencer judges.
async fn recall(app: &App, request: pb::DeleteMessageRequest) -> Result<pb::DeleteMessageResponse> {
    let operator = parse::user(&request.operator_id)?;
    let target = parse::message(&request.message_id)?;
    let conversation = match request.conversation_id.as_str() {
        // Only callers of before changes leave it out.
        "" => {
            let stored = find(app, target, String::new(), None).await?;
            let id = parse::conversation(&stored.conversation_id);
            id.map_err(|_| ErrorCode::Internal)?
        }
        text => parse::conversation(text)?,
    };
    let wish = ChangeWish {
        conversation,
        target,
        operator,
        kind: ChangeKind::Recall,
        content: request.reason.chars().take(REASON_MAX_CHARS).collect(),
        extra: String::new(),
        client_msg_id: request.client_msg_id,
        resend: request.resend,
    };
    let changed = app.sender.change(wish, &crate::trace::current()).await?;
    // Who asks next finds it done. The recall stands, also when nobody can tell.
    if let Err(error) = readable(app, conversation, changed).await {
        tracing::debug!(%error, "a recall was accepted and can't be read yet");
    }
    Ok(pb::DeleteMessageResponse {
        success: true,
        seq_id: wide(changed.seq),
        rev: wide(changed.rev),
    })
}

/// By the author, for two days. Answers with the message as it is now, which may say what a later
/// edit made of it.
async fn edit(app: &App, request: pb::EditMessageRequest) -> Result<pb::EditMessageResponse> {
    let operator = parse::user(&request.operator_id)?;
    let conversation = parse::conversation(&request.conversation_id)?;
    let target = parse::message(&request.message_id)?;
    let wish = ChangeWish {
        conversation,
        target,
        operator,
        kind: ChangeKind::Edit,
        content: request.content,
        extra: request.extra,
        client_msg_id: request.client_msg_id,
        resend: request.resend,
    };
    let changed = app.sender.change(wish, &crate::trace::current()).await?;
    let stored = readable(app, conversation, changed).await?;
    let mut messages = [super::conversation::history::message(stored)];
    visible::hide_quote(app, conversation, operator, &mut messages[0]).await?;
    super::conversation::mine::mark(app, operator, &mut messages).await?;
    let [message] = messages;
    Ok(pb::EditMessageResponse {
        message: Some(message),
    })
}

/// The message with a change that was accepted, or with later ones, once it can be read.
///
/// # Errors
/// `TIMEOUT` while its row is on its way: the caller asks again.
async fn readable(
    app: &App,
    conversation: ConversationId,
    changed: Changed,
) -> Result<repo::RepoMessage> {
    let (seq, rev) = (wide(changed.seq), wide(changed.rev));
    let query = repo::GetConversationMessagesRequest {
        conversation_id: conversation.to_string(),
        start_seq_id: seq,
        end_seq_id: seq,
        limit: 1,
        ascending: true,
        at_least_seq_id: seq,
        at_least_rev: rev,
        // Who changes a message hears what became of it, also after deleting it for themselves.
        reader_id: String::new(),
    };
    let page = tokio::time::timeout(READABLE_WITHIN, app.repo.get_messages(query)).await;
    let page = page.map_err(|_| ErrorCode::Timeout)??;
    let stored = page.messages.into_iter().find(|m| m.rev >= rev);
    stored.ok_or_else(|| ErrorCode::Timeout.into())
}

/// The stored message, as `reader` sees it where one is given. A message that was just acknowledged
/// may have no row yet: its id says how old it is, and for a young one the look-up is repeated for a
/// moment.
pub(super) async fn find(
    app: &App,
    id: MessageId,
    conversation_id: String,
    reader: Option<UserId>,
) -> Result<repo::RepoMessage> {
    let query = repo::GetMessageRequest {
        message_id: id.to_string(),
        conversation_id,
        reader_id: reader.map(|user| user.to_string()).unwrap_or_default(),
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
