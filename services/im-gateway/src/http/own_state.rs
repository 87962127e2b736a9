//! Own state of a conversation.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::ids::ConversationId;
use gochat_proto::common::v1::OwnStateChange;
use gochat_proto::im::logic::v1::UpdateOwnStateRequest;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::extract::{Auth, Body, Id, Trace};
use super::objects::OwnState;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::state::Gw;

/// Ends a silence, on the wire between services.
const NOT_MUTED: i64 = -1;

/// Change of the own state; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnStateBody {
    /// Unix seconds until which the conversation is silent, 0 for good; `null` ends the silence.
    #[serde(default, alias = "mute_until", deserialize_with = "named")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    mute_until: Option<Option<i64>>,
    /// On top of your list; at most 100 conversations.
    #[serde(default)]
    pinned: Option<bool>,
    /// Put away.
    #[serde(default)]
    archived: Option<bool>,
    /// To be shown as unread.
    #[serde(default, alias = "marked_unread")]
    marked_unread: Option<bool>,
    /// A text that was begun, at most 5000 characters; empty or `null` removes it.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<String>, max_length = 5000)]
    draft: Option<Option<String>>,
}

/// Tells `null` from a field that is absent.
fn named<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// Changes what you keep about a conversation alone; answers the whole state. Repeating it changes
/// nothing.
#[utoipa::path(put, path = "/conversations/{conversationId}/my", tag = "conversations",
    params(("conversationId" = String, Path)), request_body = OwnStateBody,
    security(("bearer" = [])), responses(
    (status = 200, body = Envelope<OwnState>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody)))]
pub(super) async fn update_my(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Body(body): Body<OwnStateBody>,
) -> ApiResult<OwnState> {
    if body.mute_until.flatten().is_some_and(|until| until < 0) {
        return Err(ApiError::invalid(
            "`muteUntil` is a time in Unix seconds, 0 or null.",
        ));
    }
    let change = OwnStateChange {
        mute_until: body.mute_until.map(|until| until.unwrap_or(NOT_MUTED)),
        pinned: body.pinned,
        archived: body.archived,
        marked_unread: body.marked_unread,
        draft: body.draft.map(Option::unwrap_or_default),
    };
    let request = UpdateOwnStateRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        change: Some(change),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.update_own_state(r).await
        });
    let my = call.await?.my.ok_or(ErrorCode::Internal)?;
    Ok(Reply::ok(my.into()))
}
