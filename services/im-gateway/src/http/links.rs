//! Invitation links of groups.

use std::str::FromStr;

use axum::extract::State;
use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::ConversationId;
use gochat_core::membership::is_link_code;
use gochat_proto::common::v1 as common;
use gochat_proto::im::logic::v1::{
    CreateInvitationLinkRequest, ListInvitationLinksRequest, RevokeInvitationLinkRequest,
    UseInvitationLinkRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::extract::{Body, Id, Ids, PathId, Registered, Trace};
use super::invitations::JoinedData;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Nothing, Reply};
use crate::state::Gw;

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkBody {
    /// Users who may join by the link, 1 to 10,000; absent = as many as the group has room for.
    max_uses: Option<i32>,
    /// Unix seconds, within a year; absent = after 14 days.
    expires_at: Option<i64>,
}

/// An invitation link of a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct InvitationLink {
    /// 32 hexadecimal digits: for `POST /invitations/{code}/accept`.
    code: String,
    /// Address to give away.
    url: String,
    conversation_id: String,
    creator_id: String,
    /// Users who may join by the link; absent = as many as the group has room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<i32>,
    /// Users who joined by the link.
    uses: i32,
    /// Unix seconds.
    created_at: i64,
    /// Unix seconds; the link ends then.
    expires_at: i64,
}

impl InvitationLink {
    fn new(gw: &Gw, link: common::InvitationLink) -> Self {
        Self {
            url: format!("{}{}", gw.config.http.invitation_url, link.code),
            code: link.code,
            conversation_id: link.conversation_id,
            creator_id: link.creator_id,
            max_uses: (link.max_uses > 0).then_some(link.max_uses),
            uses: link.uses,
            created_at: link.created_at,
            expires_at: link.expires_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct LinksData {
    invitations: Vec<InvitationLink>,
}

/// The code of a link in a path.
pub(super) struct Code(String);

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match is_link_code(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(Self::UNKNOWN.into()),
        }
    }
}

impl PathId for Code {
    const UNKNOWN: ErrorCode = ErrorCode::InvitationNotFound;
}

/// Makes an invitation link; whoever may add members.
#[utoipa::path(post, path = "/conversations/{conversationId}/invitations", tag = "members",
    params(("conversationId" = String, Path)), request_body = LinkBody, security(("bearer" = [])),
    responses((status = 201, body = Envelope<InvitationLink>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn create_link(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(id): Id<ConversationId>,
    Body(body): Body<LinkBody>,
) -> ApiResult<InvitationLink> {
    if body.max_uses.is_some_and(|uses| uses < 1) || body.expires_at.is_some_and(|at| at < 1) {
        return Err(ApiError::invalid(
            "`maxUses` and `expiresAt` are positive; leave them out for the defaults.",
        ));
    }
    let request = CreateInvitationLinkRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        max_uses: body.max_uses.unwrap_or(0),
        expires_at: body.expires_at.unwrap_or(0),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.create_invitation_link(r).await
        });
    let link = call.await?.link.unwrap_or_default();
    Ok(Reply::created(InvitationLink::new(&gw, link)))
}

/// Open invitation links of a group: all for admins, their own for members.
#[utoipa::path(get, path = "/conversations/{conversationId}/invitations", tag = "members",
    params(("conversationId" = String, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<LinksData>), (status = 403, body = ErrorBody)))]
pub(super) async fn links(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(id): Id<ConversationId>,
) -> ApiResult<LinksData> {
    let request = ListInvitationLinksRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.list_invitation_links(r).await
        });
    let links = call.await?.links.into_iter();
    Ok(Reply::ok(LinksData {
        invitations: links.map(|link| InvitationLink::new(&gw, link)).collect(),
    }))
}

/// Revokes an invitation link: any for admins, their own for members.
#[utoipa::path(delete, path = "/conversations/{conversationId}/invitations/{code}", tag = "members",
    params(("conversationId" = String, Path), ("code" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>), (status = 403, body = ErrorBody)))]
pub(super) async fn revoke_link(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Ids(id, code): Ids<ConversationId, Code>,
) -> ApiResult<Nothing> {
    let request = RevokeInvitationLinkRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        code: code.0,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.revoke_invitation_link(r).await
        });
    call.await?;
    Ok(Reply::done())
}

/// Joins a group by an invitation link.
#[utoipa::path(post, path = "/invitations/{code}/accept", tag = "members",
    params(("code" = String, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<JoinedData>), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 429, body = ErrorBody)))]
pub(super) async fn join_by_link(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(code): Id<Code>,
) -> ApiResult<JoinedData> {
    let request = UseInvitationLinkRequest {
        user_id: me.user.to_string(),
        code: code.0,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.use_invitation_link(r).await
        });
    let joined = call.await?;
    Ok(Reply::ok(JoinedData {
        conversation: joined.conversation.map(Into::into),
        requested: joined.requested,
    }))
}
