//! Changes of messages: making them, and catching up on them.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId};
use gochat_proto::im::logic::v1::{DeleteMessageRequest, EditMessageRequest, ListChangesRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Body, Id, Ids, Params, Trace};
use super::hidden;
use super::objects::Message;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::clock;
use crate::state::Gw;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 200;

#[derive(Deserialize, ToSchema)]
pub(super) struct EditBody {
    /// What the message says from now on.
    content: String,
    /// JSON text that travels along, in place of the one before; absent = none.
    #[serde(default)]
    extra: Option<String>,
    /// Your own id for the change, at most 64 bytes: sending again with it is harmless.
    #[serde(rename = "client_msg_id", default)]
    client_msg_id: Option<String>,
    /// Another spelling of `client_msg_id`.
    #[serde(rename = "clientMsgId", default)]
    client_msg_id_camel: Option<String>,
    /// Say `true` whenever it may have been sent before with this id: it has effect once.
    #[serde(default)]
    resend: Option<bool>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangeParams {
    /// Your own id for the change, at most 64 bytes: sending again with it is harmless.
    #[serde(alias = "clientMsgId")]
    pub(super) client_msg_id: Option<String>,
    /// Say `true` whenever it may have been sent before with this id.
    pub(super) resend: Option<bool>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParams {
    /// `me` deletes the message for you alone; `everybody`, the default, recalls it.
    #[serde(rename = "for", default)]
    #[param(rename = "for", required = false, inline)]
    whom: Whom,
    /// Your own id for the change, at most 64 bytes: sending again with it is harmless. Deleting for
    /// yourself needs none.
    #[serde(alias = "clientMsgId")]
    client_msg_id: Option<String>,
    /// Say `true` whenever it may have been sent before with this id.
    resend: Option<bool>,
}

/// Whom a message is deleted for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Whom {
    #[default]
    Everybody,
    Me,
}

/// Place and number of a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeData {
    message_id: String,
    /// Place of the message.
    seq_id: i64,
    /// Number of the change, over the messages of the conversation and their changes.
    rev: i64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesParams {
    /// You have everything up to and with this `rev`; 0 for nothing.
    #[serde(alias = "afterRev")]
    after_rev: i64,
    /// 1 to 200, default 50.
    limit: Option<i32>,
    /// A `rev` you know of: the answer reaches it, or says that it is behind. This gateway knows
    /// what it told you itself; say it when you come from another one.
    #[serde(alias = "atLeast")]
    at_least: Option<i64>,
}

impl ChangeData {
    pub(super) fn new(message: MessageId, seq_id: i64, rev: i64) -> Self {
        Self {
            message_id: message.to_string(),
            seq_id,
            rev,
        }
    }
}

/// Messages that are new or changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangesData {
    /// Each once, as it is now, by ascending `rev`.
    messages: Vec<Message>,
    /// With this page you have everything up to and with this `rev`: the next `after_rev`.
    complete_to: i64,
    /// The newest `rev` known of, on this page or not.
    head_rev: i64,
    has_more: bool,
    /// True when changes up to `headRev` are on their way to the database and may be missing here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
}

/// Replaces what your own message says, and answers once that is durable, with the message as it is
/// now. Sending again with the same client id changes nothing.
#[utoipa::path(put, path = "/conversations/{conversationId}/messages/{messageId}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path)), request_body = EditBody,
    security(("bearer" = [])), responses((status = 200, body = Envelope<Message>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub(super) async fn edit(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, message): Ids<ConversationId, MessageId>,
    Body(body): Body<EditBody>,
) -> ApiResult<Message> {
    gw.limits.admit_send(me.user, id, clock::now_ms())?;
    let request = EditMessageRequest {
        conversation_id: id.to_string(),
        message_id: message.to_string(),
        operator_id: me.user.to_string(),
        content: body.content,
        extra: body.extra.unwrap_or_default(),
        client_msg_id: body
            .client_msg_id
            .or(body.client_msg_id_camel)
            .unwrap_or_default(),
        resend: body.resend.unwrap_or(false),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.edit_message(r).await
        });
    let message = call.await?.message.ok_or(ErrorCode::Internal)?;
    gw.note_change(id, message.seq_id, message.rev);
    Ok(Reply::ok(message.into()))
}

/// Recalls a message for everybody, and answers once that is durable. With `for=me` it is deleted for
/// you alone: it keeps its place, says nothing to you any more, and nobody else learns of it.
#[utoipa::path(delete, path = "/conversations/{conversationId}/messages/{messageId}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path), DeleteParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ChangeData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody), (status = 504, body = ErrorBody)))]
pub(super) async fn recall(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, message): Ids<ConversationId, MessageId>,
    Params(params): Params<DeleteParams>,
) -> ApiResult<ChangeData> {
    if params.whom == Whom::Me {
        return hidden::hide(&gw, &trace, me.user, (id, message)).await;
    }
    gw.limits.admit_send(me.user, id, clock::now_ms())?;
    let request = DeleteMessageRequest {
        message_id: message.to_string(),
        operator_id: me.user.to_string(),
        reason: String::new(),
        conversation_id: id.to_string(),
        client_msg_id: params.client_msg_id.unwrap_or_default(),
        resend: params.resend.unwrap_or(false),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.delete_message(r).await
        });
    let r = call.await?;
    gw.note_change(id, r.seq_id, r.rev);
    Ok(Reply::ok(ChangeData::new(message, r.seq_id, r.rev)))
}

/// Messages that are new or changed since a `rev`, each once, as it is now. A month away costs the
/// messages that changed, not the changes that happened.
#[utoipa::path(get, path = "/conversations/{conversationId}/changes", tag = "messages",
    params(("conversationId" = String, Path), ChangesParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<ChangesData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn changes(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<ChangesParams>,
) -> ApiResult<ChangesData> {
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if limit < 1 || params.after_rev < 0 || params.at_least.is_some_and(|rev| rev < 0) {
        return Err(ApiError::invalid("Limits start at 1, revs at 0."));
    }
    let request = ListChangesRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        after_rev: params.after_rev,
        limit: limit.min(LIMIT_MAX),
        at_least_rev: gw.told_rev_of(id, params.at_least),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_changes(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(ChangesData {
        messages: r.messages.into_iter().map(Into::into).collect(),
        complete_to: r.complete_to,
        head_rev: r.head_rev,
        has_more: r.has_more,
        behind: r.behind,
    }))
}
