//! Messages that the caller deleted for themselves.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_proto::common::v1;
use gochat_proto::im::logic::v1::{ClearHistoryRequest, HideMessageRequest, ListHiddenRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::changes::ChangeData;
use super::extract::{Auth, Id, Ids, Params, Trace};
use super::objects::OwnState;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::clock;
use crate::state::Gw;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 200;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ClearParams {
    /// Place of the last message that goes; absent for the newest one.
    #[serde(alias = "upToSeq")]
    up_to_seq: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HiddenParams {
    /// The version of your own state that you know; 0 for none.
    #[serde(alias = "afterVersion", default)]
    #[param(minimum = 0)]
    after_version: i64,
    /// At most 200.
    #[param(minimum = 1)]
    limit: Option<i32>,
}

/// A message that you deleted for yourself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HiddenMessage {
    message_id: String,
    seq_id: i64,
    /// Version of your own state with which it went.
    version: i64,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HiddenData {
    /// By ascending version.
    messages: Vec<HiddenMessage>,
    /// More follow: ask for those after the last version.
    has_more: bool,
}

impl From<v1::HiddenMessage> for HiddenMessage {
    fn from(hidden: v1::HiddenMessage) -> Self {
        Self {
            message_id: hidden.message_id,
            seq_id: hidden.seq_id,
            version: hidden.version,
        }
    }
}

/// Deletes a message for the caller alone.
pub(super) async fn hide(
    gw: &Gw,
    trace: &Trace,
    user: UserId,
    (id, message): (ConversationId, MessageId),
) -> ApiResult<ChangeData> {
    gw.limits.admit_send(user, id, clock::now_ms())?;
    let request = HideMessageRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        message_id: message.to_string(),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.hide_message(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(ChangeData::new(message, r.seq_id, r.rev)))
}

/// Deletes a message for you alone, as `DELETE …/messages/{messageId}?for=me` does. A gateway that
/// doesn't know of it can't take it for a recall.
#[utoipa::path(put, path = "/conversations/{conversationId}/hidden/{messageId}", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path)),
    security(("bearer" = [])), responses((status = 200, body = Envelope<ChangeData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn put(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, message): Ids<ConversationId, MessageId>,
) -> ApiResult<ChangeData> {
    hide(&gw, &trace, me.user, (id, message)).await
}

/// Clears a conversation for you alone, and marks it as read as far; answers your own state. Nobody
/// else loses anything. Name a place to repeat it safely: without one, everything goes that is there
/// when the server gets to it.
#[utoipa::path(delete, path = "/conversations/{conversationId}/history", tag = "messages",
    params(("conversationId" = String, Path), ClearParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<OwnState>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn clear(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<ClearParams>,
) -> ApiResult<OwnState> {
    if params.up_to_seq.is_some_and(|seq| seq < 1) {
        return Err(ApiError::invalid("`up_to_seq` starts at 1."));
    }
    gw.limits.admit_send(me.user, id, clock::now_ms())?;
    let request = ClearHistoryRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        up_to_seq_id: params.up_to_seq.unwrap_or_default(),
    };
    let clients = &gw.backend.conversations;
    // Not repeated from here: without a place it would mean another one.
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.clear_history(r).await
        });
    let my = call.await?.my.ok_or(ErrorCode::Internal)?;
    Ok(Reply::ok(my.into()))
}

/// Messages that you deleted for yourself and didn't clear away since; a device that was away asks
/// for those that went after the version it knows.
#[utoipa::path(get, path = "/conversations/{conversationId}/hidden", tag = "messages",
    params(("conversationId" = String, Path), HiddenParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<HiddenData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn hidden(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<HiddenParams>,
) -> ApiResult<HiddenData> {
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if limit < 1 || params.after_version < 0 {
        return Err(ApiError::invalid("Limits start at 1, versions at 0."));
    }
    let request = ListHiddenRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        after_version: params.after_version,
        limit: limit.min(LIMIT_MAX),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_hidden(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(HiddenData {
        messages: r.messages.into_iter().map(Into::into).collect(),
        has_more: r.has_more,
    }))
}
