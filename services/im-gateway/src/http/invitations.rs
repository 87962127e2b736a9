//! Invitations to groups.

use axum::extract::State;
use gochat_core::ids::RequestId;
use gochat_proto::im::logic::v1::{self as pb, AnswerInvitationRequest, GetInvitationsRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Id, Params, Registered, Trace};
use super::friends::{HandleBody, limit};
use super::objects::{Conversation, UserBrief};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Reply};
use crate::state::Gw;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct InvitationsParams {
    /// Id of the last invitation of the page before.
    #[serde(default)]
    after: Option<String>,
    /// 1 to 99, default 20.
    #[serde(default)]
    limit: Option<i32>,
}

/// An invitation to a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invitation {
    id: String,
    conversation_id: String,
    /// The group's name.
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    avatar_url: String,
    member_count: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    inviter: Option<UserBrief>,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds; the invitation ends then.
    expires_at: i64,
}

impl From<pb::Invitation> for Invitation {
    fn from(i: pb::Invitation) -> Self {
        Self {
            id: i.id,
            conversation_id: i.conversation_id,
            name: i.name,
            avatar_url: i.avatar_url,
            member_count: i.member_count,
            inviter: i.inviter.map(Into::into),
            created_at: i.created_at,
            expires_at: i.expires_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InvitationsData {
    invitations: Vec<Invitation>,
    has_more: bool,
}

/// The group that was joined.
#[derive(Serialize, ToSchema)]
pub(super) struct JoinedData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) conversation: Option<Conversation>,
    /// An admin of the group has to accept first: you have an open request to join.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) requested: bool,
}

/// Your open invitations to groups, in the order they were made.
#[utoipa::path(get, path = "/invitations", tag = "members", params(InvitationsParams),
    security(("bearer" = [])), responses(
    (status = 200, body = Envelope<InvitationsData>), (status = 403, body = ErrorBody)))]
pub(super) async fn invitations(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Params(params): Params<InvitationsParams>,
) -> ApiResult<InvitationsData> {
    let after_id = params.after.unwrap_or_default();
    if !after_id.is_empty() && after_id.parse::<RequestId>().is_err() {
        return Err(ApiError::invalid("`after` is the id of an invitation."));
    }
    let request = GetInvitationsRequest {
        user_id: me.user.to_string(),
        after_id,
        limit: limit(params.limit)?,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_invitations(r).await
        });
    let page = call.await?;
    Ok(Reply::ok(InvitationsData {
        invitations: page.invitations.into_iter().map(Into::into).collect(),
        has_more: page.has_more,
    }))
}

/// Accepts or rejects an invitation of yours.
#[utoipa::path(put, path = "/invitations/{invitationId}", tag = "members",
    params(("invitationId" = String, Path)), request_body = HandleBody, security(("bearer" = [])),
    responses((status = 200, body = Envelope<JoinedData>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn answer_invitation(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(id): Id<RequestId>,
    Body(body): Body<HandleBody>,
) -> ApiResult<JoinedData> {
    let request = AnswerInvitationRequest {
        user_id: me.user.to_string(),
        invitation_id: id.to_string(),
        action: body.action()?,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.answer_invitation(r).await
        });
    let conversation = call.await?.conversation.map(Into::into);
    Ok(Reply::ok(JoinedData {
        conversation,
        requested: false,
    }))
}
