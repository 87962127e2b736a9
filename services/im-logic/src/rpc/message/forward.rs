//! Passing a message on.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::UserId;
use gochat_core::message::Forwarded;
use gochat_proto::common::v1;
use gochat_proto::im::logic::v1 as pb;

use super::super::conversation::visible;
use super::super::parse;
use crate::app::App;

/// `ReadForwardSource`: members only, of messages that the member may read.
pub(super) async fn source(
    app: &App,
    request: pb::ReadForwardSourceRequest,
) -> Result<pb::ReadForwardSourceResponse> {
    let user = parse::user(&request.user_id)?;
    let source = request.source.ok_or(ErrorCode::MessageNotFound)?;
    read(app, user, &source).await
}

/// What a message says that `user` passes on, and where it comes from.
///
/// # Errors
/// Those of reading it, `MESSAGE_NOT_FOUND` for one of before the user may read, `MESSAGE_RECALLED`,
/// and `UNSUPPORTED_MESSAGE_TYPE` for a message of the system.
pub(super) async fn read(
    app: &App,
    user: UserId,
    source: &pb::ForwardSource,
) -> Result<pb::ReadForwardSourceResponse> {
    let conversation = parse::conversation(&source.conversation_id)?;
    let id = parse::message(&source.message_id)?;
    let facts = app.repo.facts(conversation, &[user]).await?;
    facts.readable_by(user)?;
    let stored = visible::message(app, &facts, conversation, id, user).await?;
    if stored.hidden {
        return Err(ErrorCode::MessageNotFound.into());
    }
    if stored.deleted {
        return Err(ErrorCode::MessageRecalled.into());
    }
    if stored.message_type == v1::MessageType::System as i32 {
        return Err(ErrorCode::UnsupportedMessageType.into());
    }
    let author = stored.sender_id.parse().map_err(|_| ErrorCode::Internal)?;
    let name = stored.sender.as_ref().map_or("", |sender| &sender.username);
    let before = stored.forwarded_from.as_ref().and_then(known);
    let forwarded = Forwarded::of(conversation, id, (author, name), before.as_ref());
    Ok(pb::ReadForwardSourceResponse {
        r#type: stored.message_type,
        content: stored.content,
        extra: stored.extra,
        forwarded: Some(v1::Forwarded {
            message_id: forwarded.id.to_string(),
            conversation_id: forwarded.from.map(|id| id.to_string()).unwrap_or_default(),
            sender_id: forwarded.by.to_string(),
            sender_name: forwarded.name,
        }),
    })
}

/// Where a message came from that was passed on before.
fn known(from: &v1::Forwarded) -> Option<Forwarded> {
    Some(Forwarded {
        by: from.sender_id.parse().ok()?,
        name: from.sender_name.clone(),
        id: from.message_id.parse().ok()?,
        from: from.conversation_id.parse().ok(),
    })
}
