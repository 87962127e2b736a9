//! What messages said before they were edited.

use axum::extract::State;
use gochat_core::ids::{ConversationId, MessageId};
use gochat_proto::common::v1 as common;
use gochat_proto::im::logic::v1 as pb;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Ids, Params, Trace};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::state::Gw;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FormerTextsParams {
    /// A `rev` you know of: the answer reaches it, or says that it is behind.
    #[serde(alias = "atLeast")]
    at_least: Option<i64>,
}

/// A text that a message no longer says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FormerText {
    /// The edit that made the text; 0 for the text that was sent.
    edit_no: i32,
    content: String,
    /// JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<String>,
    /// Unix seconds at which the message began to say it.
    written_at: i64,
}

/// Former texts of a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FormerTextsData {
    /// By ascending number; the newest 20.
    former_texts: Vec<FormerText>,
    /// True when an edit you know of is on its way to the database.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
}

impl From<common::FormerText> for FormerText {
    fn from(text: common::FormerText) -> Self {
        Self {
            edit_no: text.edit_no,
            content: text.content,
            extra: Some(text.extra).filter(|extra| !extra.is_empty()),
            written_at: text.written_at,
        }
    }
}

/// What a message said before it was edited, where the group keeps that (`keep_former_texts`): for
/// admins and the owner. A message that was recalled has none.
#[utoipa::path(get, path = "/conversations/{conversationId}/messages/{messageId}/former-texts", tag = "messages",
    params(("conversationId" = String, Path), ("messageId" = String, Path), FormerTextsParams),
    security(("bearer" = [])), responses((status = 200, body = Envelope<FormerTextsData>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn former_texts(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, message): Ids<ConversationId, MessageId>,
    Params(params): Params<FormerTextsParams>,
) -> ApiResult<FormerTextsData> {
    if params.at_least.is_some_and(|rev| rev < 0) {
        return Err(ApiError::invalid("Revs start at 0."));
    }
    let request = pb::ListFormerTextsRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        message_id: message.to_string(),
        at_least_rev: gw.told_rev_of(id, params.at_least),
    };
    let clients = &gw.backend.messages;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_former_texts(r).await
        });
    let r = call.await?;
    Ok(Reply::ok(FormerTextsData {
        former_texts: r.texts.into_iter().map(Into::into).collect(),
        behind: r.behind,
    }))
}
