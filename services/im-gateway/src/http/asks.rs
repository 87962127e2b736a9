//! Requests to join groups.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, RequestId, UserId};
use gochat_core::membership::JoinStatus;
use gochat_proto::common::v1 as common;
use gochat_proto::im::logic::v1::{
    AnswerJoinRequestRequest, AskToJoinRequest, GetJoinRequestRequest, ListJoinRequestsRequest,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Id, Ids, Params, Registered, Trace};
use super::friends::{HandleBody, limit};
use super::objects::UserBrief;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Nothing, Reply};
use crate::state::Gw;

#[derive(Deserialize, ToSchema)]
pub(super) struct AskBody {
    /// Words to the admins, at most 200 characters.
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AsksParams {
    /// Id of the last request of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 99, default 20.
    #[serde(default)]
    limit: Option<i32>,
}

/// A request to join a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinRequest {
    id: String,
    conversation_id: String,
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserBrief>,
    /// `open`, `accepted` or `rejected`.
    status: &'static str,
    /// Words of the asker.
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds; when the request was made or answered.
    updated_at: i64,
}

impl From<common::JoinRequest> for JoinRequest {
    fn from(r: common::JoinRequest) -> Self {
        Self {
            id: r.id,
            conversation_id: r.conversation_id,
            user_id: r.user_id,
            user: r.user.map(Into::into),
            status: match JoinStatus::from_i32(r.status) {
                Some(JoinStatus::Accepted) => "accepted",
                Some(JoinStatus::Rejected) => "rejected",
                Some(JoinStatus::Open) | None => "open",
            },
            message: r.text,
            created_at: r.created_at,
            updated_at: r.changed_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AsksData {
    requests: Vec<JoinRequest>,
    has_more: bool,
}

/// Asks to join a group, where its settings allow that. An open request stays as it is.
#[utoipa::path(post, path = "/conversations/{conversationId}/join-requests", tag = "members",
    params(("conversationId" = String, Path)), request_body = AskBody, security(("bearer" = [])),
    responses((status = 201, body = Envelope<JoinRequest>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn ask_to_join(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(id): Id<ConversationId>,
    Body(body): Body<AskBody>,
) -> ApiResult<JoinRequest> {
    let request = AskToJoinRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        text: body.message.unwrap_or_default(),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.ask_to_join(r).await
        });
    // The code's own status is that of a success: where users are added, it stands in a list.
    let asked = call.await.map_err(|e| match e.code {
        ErrorCode::UserAlreadyInConversation => ApiError::from(e).with_status(StatusCode::CONFLICT),
        _ => e.into(),
    })?;
    Ok(Reply::created(asked.request.unwrap_or_default().into()))
}

/// Open requests to join a group, in the order they were made; for admins and the owner.
#[utoipa::path(get, path = "/conversations/{conversationId}/join-requests", tag = "members",
    params(("conversationId" = String, Path), AsksParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<AsksData>), (status = 403, body = ErrorBody)))]
pub(super) async fn join_requests(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(id): Id<ConversationId>,
    Params(params): Params<AsksParams>,
) -> ApiResult<AsksData> {
    let after_id = params.after.unwrap_or_default();
    if !after_id.is_empty() && after_id.parse::<RequestId>().is_err() {
        return Err(ApiError::invalid("`after` is the id of a request."));
    }
    let request = ListJoinRequestsRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        after_id,
        limit: limit(params.limit)?,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_join_requests(r).await
        });
    let page = call.await?;
    Ok(Reply::ok(AsksData {
        requests: page.requests.into_iter().map(Into::into).collect(),
        has_more: page.has_more,
    }))
}

/// The request of a user: your own, or anybody's for admins and the owner.
#[utoipa::path(get, path = "/conversations/{conversationId}/join-requests/{userId}", tag = "members",
    params(("conversationId" = String, Path), ("userId" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = Envelope<JoinRequest>), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody)))]
pub(super) async fn join_request(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Ids(id, asker): Ids<ConversationId, UserId>,
) -> ApiResult<JoinRequest> {
    let request = GetJoinRequestRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        asker_id: asker.to_string(),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_join_request(r).await
        });
    let request = call.await?.request.unwrap_or_default();
    Ok(Reply::ok(request.into()))
}

/// Accepts or rejects a request; admins and the owner.
#[utoipa::path(put, path = "/conversations/{conversationId}/join-requests/{userId}", tag = "members",
    params(("conversationId" = String, Path), ("userId" = String, Path)), request_body = HandleBody,
    security(("bearer" = [])), responses((status = 200, body = Envelope<Nothing>),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn answer_join_request(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Ids(id, asker): Ids<ConversationId, UserId>,
    Body(body): Body<HandleBody>,
) -> ApiResult<Nothing> {
    let request = AnswerJoinRequestRequest {
        operator_id: me.user.to_string(),
        conversation_id: id.to_string(),
        asker_id: asker.to_string(),
        action: body.action()?,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.answer_join_request(r).await
        });
    call.await?;
    Ok(Reply::done())
}
