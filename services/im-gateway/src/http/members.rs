//! Members of conversations.

use axum::extract::State;
use gochat_core::error::Error;
use gochat_core::ids::{ConversationId, UserId};
use gochat_proto::im::logic::v1::{
    AddMembersRequest, GetMembersRequest, LeaveConversationRequest, MuteMemberRequest,
    RemoveMembersRequest, UpdateMemberRoleRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::conversations::{paging, user_ids};
use super::extract::{Auth, Body, Id, Ids, Params, Trace};
use super::objects::{ConversationMember, FailedUser, refusal_of};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Nothing, Reply};
use crate::state::Gw;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MembersParams {
    /// From 1.
    page: Option<i32>,
    /// `nextCursor` of the page before; wins over `page`. Opaque.
    cursor: Option<String>,
    /// 1 to 100, default 20. Aliases `pageSize`, `page_size`, `limit`.
    #[serde(alias = "pageSize", alias = "page_size", alias = "limit")]
    size: Option<i32>,
    /// 1 member, 2 admin, 3 owner.
    role: Option<i32>,
    /// Only members who changed in this Unix second or later, and who left since: the `syncTime` of
    /// an earlier answer.
    #[serde(alias = "lastSync")]
    last_sync: Option<i64>,
}

/// A page of members.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MembersData {
    members: Vec<ConversationMember>,
    has_more: bool,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_cursor: String,
    /// `last_sync` of your next question, once you have read all pages of this one.
    sync_time: i64,
    /// No longer members since `last_sync`, as far as this page goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed_user_ids: Vec<String>,
    total: i64,
    page: i32,
    size: i32,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct AddBody {
    /// User ids.
    #[serde(
        alias = "memberIds",
        alias = "member_ids",
        alias = "user_ids",
        alias = "userIds"
    )]
    members: Vec<String>,
}

/// Who was added, and who was not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddedData {
    added_user_ids: Vec<String>,
    failed_users: Vec<FailedUser>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct RoleBody {
    /// 1 member, 2 admin, 3 owner (hands the group over).
    role: i32,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct MuteBody {
    /// Unix seconds in which the mute ends; 0 = without an end, `null` lifts it. The field must
    /// stand there: a forgotten one lifts nothing.
    #[serde(deserialize_with = "Option::deserialize")]
    until: Option<i64>,
}

/// Members of a conversation.
#[utoipa::path(get, path = "/conversations/{conversationId}/members", tag = "members",
    params(("conversationId" = String, Path), MembersParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<MembersData>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn list(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<MembersParams>,
) -> ApiResult<MembersData> {
    let (page, size) = paging(params.page, params.size)?;
    let role_filter = params.role.unwrap_or(0);
    if !(0..=3).contains(&role_filter) {
        return Err(ApiError::invalid("The role is 1, 2 or 3."));
    }
    let conversation_id = id.to_string();
    let since = params.last_sync.unwrap_or(0).max(0);
    let turn = gw
        .turns
        .of(me.user, ("members", id, role_filter, since, size));
    let request = GetMembersRequest {
        cursor: gw.turns.cursor(turn, page, params.cursor),
        last_sync_time: since,
        user_id: me.user.to_string(),
        conversation_id: conversation_id.clone(),
        page,
        page_size: size,
        role_filter,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_members(r).await
        });
    let r = call.await?;
    gw.turns.note(turn, page, &r.next_cursor);
    let members = r
        .members
        .into_iter()
        .map(|m| ConversationMember::new(m, &conversation_id))
        .collect();
    Ok(Reply::ok(MembersData {
        members,
        next_cursor: r.next_cursor,
        sync_time: r.sync_time,
        removed_user_ids: r.removed_user_ids,
        has_more: r.has_more,
        total: r.total,
        page,
        size,
    }))
}

/// Adds users to a group.
#[utoipa::path(post, path = "/conversations/{conversationId}/members", tag = "members",
    params(("conversationId" = String, Path)), request_body = AddBody, security(("bearer" = [])),
    responses((status = 201, body = Envelope<AddedData>), (status = 403, body = ErrorBody)))]
pub(super) async fn add(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Body(body): Body<AddBody>,
) -> ApiResult<AddedData> {
    if body.members.is_empty() {
        return Err(ApiError::invalid("Name at least one user."));
    }
    let request = AddMembersRequest {
        operator_id: me.user.to_string(),
        conversation_id: id.to_string(),
        user_ids: user_ids(body.members)?,
        role: 0,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.add_members(r).await
        });
    let r = call.await?;
    let failed_users = r.failed_users.into_iter().map(Into::into).collect();
    Ok(Reply::created(AddedData {
        added_user_ids: r.added_user_ids,
        failed_users,
    }))
}

/// Removes a member; your own id means leaving.
#[utoipa::path(delete, path = "/conversations/{conversationId}/members/{userId}", tag = "members",
    params(("conversationId" = String, Path), ("userId" = String, Path)), security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>), (status = 403, body = ErrorBody)))]
pub(super) async fn remove(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, target): Ids<ConversationId, UserId>,
) -> ApiResult<Nothing> {
    let clients = &gw.backend.conversations;
    if target == me.user {
        let request = LeaveConversationRequest {
            user_id: me.user.to_string(),
            conversation_id: id.to_string(),
        };
        let call = gw
            .backend
            .call(clients, &trace.0, request, |mut c, r| async move {
                c.leave_conversation(r).await
            });
        call.await?;
        return Ok(Reply::done());
    }
    let request = RemoveMembersRequest {
        operator_id: me.user.to_string(),
        conversation_id: id.to_string(),
        user_ids: vec![target.to_string()],
        reason: String::new(),
    };
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.remove_members(r).await
        });
    match call.await?.failed_users.into_iter().next() {
        Some(failed) => {
            Err(Error::new(refusal_of(failed.error_code, &failed.reason), failed.reason).into())
        }
        None => Ok(Reply::done()),
    }
}

/// Changes a member's role; owner only.
#[utoipa::path(put, path = "/conversations/{conversationId}/members/{userId}", tag = "members",
    params(("conversationId" = String, Path), ("userId" = String, Path)), request_body = RoleBody,
    security(("bearer" = [])), responses((status = 200, body = Envelope<Nothing>), (status = 403, body = ErrorBody)))]
pub(super) async fn set_role(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, target): Ids<ConversationId, UserId>,
    Body(body): Body<RoleBody>,
) -> ApiResult<Nothing> {
    if !(1..=3).contains(&body.role) {
        return Err(ApiError::invalid("The role is 1, 2 or 3."));
    }
    let request = UpdateMemberRoleRequest {
        operator_id: me.user.to_string(),
        conversation_id: id.to_string(),
        target_user_id: target.to_string(),
        new_role: body.role,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.update_member_role(r).await
        });
    call.await?;
    Ok(Reply::done())
}

/// Mutes a member or lifts the mute; admins and the owner, downwards only.
#[utoipa::path(put, path = "/conversations/{conversationId}/members/{userId}/mute", tag = "members",
    params(("conversationId" = String, Path), ("userId" = String, Path)), request_body = MuteBody,
    security(("bearer" = [])), responses((status = 200, body = Envelope<Nothing>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn mute(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Ids(id, target): Ids<ConversationId, UserId>,
    Body(body): Body<MuteBody>,
) -> ApiResult<Nothing> {
    if body.until.is_some_and(|until| until < 0) {
        return Err(ApiError::invalid("`until` is not negative."));
    }
    let request = MuteMemberRequest {
        operator_id: me.user.to_string(),
        conversation_id: id.to_string(),
        target_user_id: target.to_string(),
        muted: body.until.is_some(),
        muted_until: body.until.unwrap_or(0),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.mute_member(r).await
        });
    call.await?;
    Ok(Reply::done())
}
