//! Reactions and pins.

use axum::extract::{FromRequestParts, Path, State};
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::message::Emoji;
use gochat_proto::im::logic::v1 as pb;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::changes::{ChangeData, ChangeParams};
use super::extract::{Auth, Id, Ids, Params, Trace};
use super::objects::{Message, Reaction, UserBrief};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::clock;
use crate::state::Gw;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 100;

/// Place and number of a reaction, and the reactions as they are now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReactData {
    message_id: String,
    /// Place of the message.
    seq_id: i64,
    /// Number of the change, over the messages of the conversation and their changes.
    rev: i64,
    reactions: Vec<Reaction>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReactionsParams {
    /// Only this emoji.
    emoji: Option<String>,
    /// Where the page starts, as the page before said.
    cursor: Option<String>,
    /// 1 to 100, default 50.
    #[serde(alias = "size", alias = "pageSize", alias = "page_size")]
    limit: Option<i32>,
}

/// Who reacted to a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReactionsData {
    /// In the order in which they were made.
    reactions: Vec<UserReaction>,
    /// Cursor of the next page; absent when nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    has_more: bool,
}

/// A reaction of a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserReaction {
    emoji: String,
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserBrief>,
    /// Unix seconds.
    created_at: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PinsParams {
    /// A `rev` you know of: the answer reaches it, or says that it is behind.
    #[serde(alias = "atLeast")]
    at_least: Option<i64>,
}

/// Pinned messages.
#[derive(Serialize, ToSchema)]
pub(super) struct PinsData {
    /// The one that was pinned last first, at most 100.
    pins: Vec<Message>,
    /// True when pins you know of are on their way to the database and may be missing here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
}

/// A message of a conversation and an emoji, as the path names them.
pub(super) struct ReactionPath(ConversationId, MessageId, Emoji);

impl FromRequestParts<Gw> for ReactionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, gw: &Gw) -> Result<Self, ApiError> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, gw).await;
        let Path((conversation, message, emoji)) =
            path.map_err(|_| ErrorCode::ReactionNotAllowed)?;
        Ok(Self(
            conversation
                .parse()
                .map_err(|_| ErrorCode::ConversationNotFound)?,
            message.parse().map_err(|_| ErrorCode::MessageNotFound)?,
            emoji.parse()?,
        ))
    }
}

/// Puts an emoji under a message, and answers once that is durable. Doing it again changes nothing.
#[utoipa::path(put, path = "/conversations/{conversationId}/messages/{messageId}/reactions/{emoji}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path),
    ("emoji" = String, Path, description = "One emoji, or a name that the group allows"), ChangeParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ReactData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub(super) async fn react(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    path: ReactionPath,
    Params(params): Params<ChangeParams>,
) -> ApiResult<ReactData> {
    change_reaction(&gw, &trace, me.user, path, params, false).await
}

/// Takes your emoji away from a message, and answers once that is durable. Doing it again changes
/// nothing.
#[utoipa::path(delete, path = "/conversations/{conversationId}/messages/{messageId}/reactions/{emoji}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path),
    ("emoji" = String, Path, description = "One emoji, or a name that the group allows"), ChangeParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ReactData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub(super) async fn unreact(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    path: ReactionPath,
    Params(params): Params<ChangeParams>,
) -> ApiResult<ReactData> {
    change_reaction(&gw, &trace, me.user, path, params, true).await
}

async fn change_reaction(
    gw: &Gw,
    trace: &Trace,
    operator: UserId,
    ReactionPath(id, message, emoji): ReactionPath,
    params: ChangeParams,
    remove: bool,
) -> ApiResult<ReactData> {
    gw.limits.admit_send(operator, id, clock::now_ms())?;
    let request = pb::ReactRequest {
        conversation_id: id.to_string(),
        message_id: message.to_string(),
        operator_id: operator.to_string(),
        emoji: emoji.to_string(),
        remove,
        client_msg_id: params.client_msg_id.unwrap_or_default(),
        resend: params.resend.unwrap_or(false),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.react(r).await
        });
    let r = call.await?;
    gw.note_change(id, r.seq_id, r.rev);
    Ok(Reply::ok(ReactData {
        message_id: message.to_string(),
        seq_id: r.seq_id,
        rev: r.rev,
        reactions: r.reactions.into_iter().map(Into::into).collect(),
    }))
}

/// Lists who reacted to a message.
#[utoipa::path(get, path = "/conversations/{conversationId}/messages/{messageId}/reactions", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path), ReactionsParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ReactionsData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn reactions(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, message): Ids<ConversationId, MessageId>,
    Params(params): Params<ReactionsParams>,
) -> ApiResult<ReactionsData> {
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if limit < 1 {
        return Err(ApiError::invalid("Limits start at 1."));
    }
    let emoji: Option<Emoji> = params.emoji.map(|text| text.parse()).transpose()?;
    let request = pb::ListReactionsRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        message_id: message.to_string(),
        emoji: emoji.map(|emoji| emoji.to_string()).unwrap_or_default(),
        cursor: params.cursor.unwrap_or_default(),
        limit: limit.min(LIMIT_MAX),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_reactions(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(ReactionsData {
        reactions: r.reactions.into_iter().map(Into::into).collect(),
        next_cursor: Some(r.next_cursor).filter(|cursor| !cursor.is_empty()),
        has_more: r.has_more,
    }))
}

impl From<pb::UserReaction> for UserReaction {
    fn from(reaction: pb::UserReaction) -> Self {
        let user = reaction.user;
        Self {
            emoji: reaction.emoji,
            user_id: user.as_ref().map(|u| u.id.clone()).unwrap_or_default(),
            user: user.map(Into::into),
            created_at: reaction.created_at,
        }
    }
}

/// The pinned messages of a conversation.
#[utoipa::path(get, path = "/conversations/{conversationId}/pins", tag = "messages",
    params(("conversationId" = String, Path), PinsParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<PinsData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn pins(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<PinsParams>,
) -> ApiResult<PinsData> {
    if params.at_least.is_some_and(|rev| rev < 0) {
        return Err(ApiError::invalid("Revs start at 0."));
    }
    let request = pb::ListPinsRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        at_least_rev: gw.told_rev_of(id, params.at_least),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_pins(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(PinsData {
        pins: r.messages.into_iter().map(Into::into).collect(),
        behind: r.behind,
    }))
}

/// Pins a message, and answers once that is durable. Pinning it again puts it on top.
#[utoipa::path(put, path = "/conversations/{conversationId}/pins/{messageId}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path), ChangeParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ChangeData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub(super) async fn pin(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    ids: Ids<ConversationId, MessageId>,
    Params(params): Params<ChangeParams>,
) -> ApiResult<ChangeData> {
    change_pin(&gw, &trace, me.user, ids, params, false).await
}

/// Takes a message off the pins, and answers once that is durable. Doing it again changes nothing.
#[utoipa::path(delete, path = "/conversations/{conversationId}/pins/{messageId}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path), ChangeParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ChangeData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub(super) async fn unpin(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    ids: Ids<ConversationId, MessageId>,
    Params(params): Params<ChangeParams>,
) -> ApiResult<ChangeData> {
    change_pin(&gw, &trace, me.user, ids, params, true).await
}

async fn change_pin(
    gw: &Gw,
    trace: &Trace,
    operator: UserId,
    Ids(id, message): Ids<ConversationId, MessageId>,
    params: ChangeParams,
    remove: bool,
) -> ApiResult<ChangeData> {
    gw.limits.admit_send(operator, id, clock::now_ms())?;
    let request = pb::PinMessageRequest {
        conversation_id: id.to_string(),
        message_id: message.to_string(),
        operator_id: operator.to_string(),
        remove,
        client_msg_id: params.client_msg_id.unwrap_or_default(),
        resend: params.resend.unwrap_or(false),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.pin_message(r).await
        });
    let r = call.await?;
    gw.note_change(id, r.seq_id, r.rev);
    Ok(Reply::ok(ChangeData::new(message, r.seq_id, r.rev)))
}
