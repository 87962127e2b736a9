//! Friends and requests for friendship.

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{RequestId, UserId};
use gochat_proto::im::logic::v1::{
    BlockUserRequest, GetBlockedUsersRequest, GetFriendRequestsRequest, GetFriendsWithSyncRequest,
    HandleFriendRequestRequest, RemoveFriendRequest, SendFriendRequestRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Body, Id, Params, Registered, Trace};
use super::objects::{Conversation, Friend, FriendRequest};
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Nothing, Reply};
use crate::state::Gw;
use crate::tokens::Identity;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RequestsParams {
    /// `received` (default) or `sent`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// 0 pending, 1 accepted, 2 rejected; absent = any.
    status: Option<i32>,
    /// `nextCursor` of the page before. Opaque.
    cursor: Option<String>,
    /// 1 to 100, the default. Aliases `size`, `pageSize`, `page_size`.
    #[serde(alias = "size", alias = "pageSize", alias = "page_size")]
    limit: Option<i32>,
    /// Only what changed in this Unix second or later: the `syncTime` of an earlier answer.
    #[serde(alias = "lastSync")]
    last_sync: Option<i64>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FriendsParams {
    /// Only what changed in this Unix second or later: the `syncTime` of an earlier answer.
    #[serde(alias = "lastSync")]
    last_sync: Option<i64>,
    /// `nextCursor` of the page before. Opaque.
    cursor: Option<String>,
    /// 1 to 1000, the default. Aliases `size`, `pageSize`, `page_size`.
    #[serde(alias = "size", alias = "pageSize", alias = "page_size")]
    limit: Option<i32>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct BlockedParams {
    /// `nextCursor` of the page before. Opaque.
    cursor: Option<String>,
    /// 1 to 1000, the default. Aliases `size`, `pageSize`, `page_size`.
    #[serde(alias = "size", alias = "pageSize", alias = "page_size")]
    limit: Option<i32>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskBody {
    #[serde(alias = "target_user_id")]
    target_user_id: String,
    /// Words that go along.
    #[serde(default)]
    message: Option<String>,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct HandleBody {
    /// `accept` or `reject`, or 1 or 2.
    action: Action,
}

/// An answer to a request, in any of its spellings.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "`accept` or `reject`")]
enum Action {
    Number(i64),
    Word(String),
}

/// The size of a page that was asked for; 0 = the default.
pub(super) fn limit(limit: Option<i32>) -> Result<i32, ApiError> {
    match limit {
        Some(limit) if limit < 1 => Err(ApiError::invalid("Limits start at 1.")),
        other => Ok(other.unwrap_or(0)),
    }
}

impl HandleBody {
    /// The number im-logic takes.
    pub(super) fn action(&self) -> Result<i32, ApiError> {
        let number = self.action.number();
        number.ok_or_else(|| ApiError::invalid("The action is `accept` or `reject`."))
    }
}

impl Action {
    /// The number im-logic takes.
    fn number(&self) -> Option<i32> {
        match self {
            Self::Number(1) => Some(1),
            Self::Number(2) => Some(2),
            Self::Word(word) => match word.as_str() {
                "accept" | "1" => Some(1),
                "reject" | "2" => Some(2),
                _ => None,
            },
            Self::Number(_) => None,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestsData {
    requests: Vec<FriendRequest>,
    has_more: bool,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_cursor: String,
    /// `last_sync` of your next question, once you have read all pages of this one.
    sync_time: i64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RequestData {
    request: FriendRequest,
}

/// The answered request, and the chat when it was accepted.
#[derive(Serialize, ToSchema)]
pub(super) struct HandledData {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<FriendRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<Conversation>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FriendsData {
    friends: Vec<Friend>,
    has_more: bool,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_cursor: String,
    /// `last_sync` of your next question, once you have read all pages of this one.
    sync_time: i64,
    /// No longer friends since `last_sync`, as far as this page goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed_friend_ids: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct BlockedData {
    /// By user id; `status` is 3, `online` is always false.
    blocked: Vec<Friend>,
    has_more: bool,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_cursor: String,
}

/// Requests you received or sent.
#[utoipa::path(get, path = "/friends/requests", tag = "friends", security(("bearer" = [])),
    params(RequestsParams), responses(
    (status = 200, body = Envelope<RequestsData>), (status = 403, body = ErrorBody)))]
pub(super) async fn requests(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Params(params): Params<RequestsParams>,
) -> ApiResult<RequestsData> {
    let kind = match params.kind.as_deref() {
        None | Some("" | "received") => 1,
        Some("sent") => 2,
        Some(_) => return Err(ApiError::invalid("The type is `received` or `sent`.")),
    };
    if params
        .status
        .is_some_and(|status| !(-1..=3).contains(&status))
    {
        return Err(ApiError::invalid("The status is 0, 1 or 2."));
    }
    let status = params.status.filter(|status| *status >= 0);
    let request = GetFriendRequestsRequest {
        user_id: me.user.to_string(),
        status,
        r#type: kind,
        cursor: params.cursor.unwrap_or_default(),
        limit: limit(params.limit)?,
        last_sync_time: params.last_sync.unwrap_or(0).max(0),
    };
    let call = gw.backend.read(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.get_friend_requests(r).await },
    );
    let r = call.await?;
    Ok(Reply::ok(RequestsData {
        requests: r.requests.into_iter().map(Into::into).collect(),
        has_more: r.has_more,
        next_cursor: r.next_cursor,
        sync_time: r.sync_time,
    }))
}

/// Asks a user for friendship.
#[utoipa::path(post, path = "/friends/requests", tag = "friends", security(("bearer" = [])),
    request_body = AskBody, responses((status = 201, body = Envelope<RequestData>),
    (status = 400, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn ask(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Body(body): Body<AskBody>,
) -> ApiResult<RequestData> {
    if body.target_user_id.parse::<UserId>().is_err() {
        return Err(ErrorCode::UserNotFound.into());
    }
    let request = SendFriendRequestRequest {
        requester_id: me.user.to_string(),
        target_id: body.target_user_id,
        message: body.message.unwrap_or_default(),
    };
    let call = gw.backend.call(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.send_friend_request(r).await },
    );
    let request = call.await?.request.ok_or(ErrorCode::Internal)?.into();
    Ok(Reply::created(RequestData { request }))
}

/// Accepts or rejects a request; only its target may.
#[utoipa::path(put, path = "/friends/requests/{requestId}", tag = "friends",
    params(("requestId" = String, Path)), request_body = HandleBody, security(("bearer" = [])),
    responses((status = 200, body = Envelope<HandledData>), (status = 403, body = ErrorBody),
    (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn handle(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(id): Id<RequestId>,
    Body(body): Body<HandleBody>,
) -> ApiResult<HandledData> {
    let action = body.action()?;
    let request = HandleFriendRequestRequest {
        request_id: id.to_string(),
        handler_id: me.user.to_string(),
        action,
    };
    let call = gw.backend.call(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.handle_friend_request(r).await },
    );
    let r = call.await?;
    let (request, conversation) = (r.request.map(Into::into), r.conversation.map(Into::into));
    Ok(Reply::ok(HandledData {
        request,
        conversation,
    }))
}

/// Your friends, and whether they are online.
#[utoipa::path(get, path = "/friends", tag = "friends", params(FriendsParams),
    security(("bearer" = [])), responses(
    (status = 200, body = Envelope<FriendsData>), (status = 403, body = ErrorBody)))]
pub(super) async fn list(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Params(params): Params<FriendsParams>,
) -> ApiResult<FriendsData> {
    let request = GetFriendsWithSyncRequest {
        user_id: me.user.to_string(),
        last_sync_time: params.last_sync.unwrap_or(0).max(0),
        include_online_status: true,
        cursor: params.cursor.unwrap_or_default(),
        limit: limit(params.limit)?,
    };
    let call = gw.backend.read(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.get_friends_with_sync(r).await },
    );
    let r = call.await?;
    let friends = r.friends.into_iter().map(Into::into).collect();
    Ok(Reply::ok(FriendsData {
        friends,
        has_more: r.has_more,
        next_cursor: r.next_cursor,
        sync_time: r.sync_time,
        removed_friend_ids: r.removed_friend_ids,
    }))
}

/// Ends a friendship; the chat of the two stays.
#[utoipa::path(delete, path = "/friends/{userId}", tag = "friends",
    params(("userId" = String, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Nothing>), (status = 403, body = ErrorBody)))]
pub(super) async fn remove(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(friend): Id<UserId>,
) -> ApiResult<Nothing> {
    let request = RemoveFriendRequest {
        user_id: me.user.to_string(),
        friend_id: friend.to_string(),
    };
    let call = gw.backend.call(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.remove_friend(r).await },
    );
    call.await?;
    Ok(Reply::done())
}

/// Blocks a user: neither of you reaches the other any more.
#[utoipa::path(post, path = "/friends/{userId}/block", tag = "friends",
    params(("userId" = String, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Nothing>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn block(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(target): Id<UserId>,
) -> ApiResult<Nothing> {
    set_blocked(&gw, &trace, &me, target, true).await
}

/// The users whom you blocked.
#[utoipa::path(get, path = "/friends/blocked", tag = "friends", params(BlockedParams),
    security(("bearer" = [])), responses(
    (status = 200, body = Envelope<BlockedData>), (status = 403, body = ErrorBody)))]
pub(super) async fn blocked(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Params(params): Params<BlockedParams>,
) -> ApiResult<BlockedData> {
    let request = GetBlockedUsersRequest {
        user_id: me.user.to_string(),
        cursor: params.cursor.unwrap_or_default(),
        limit: limit(params.limit)?,
    };
    let call = gw.backend.read(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.get_blocked_users(r).await },
    );
    let r = call.await?;
    Ok(Reply::ok(BlockedData {
        blocked: r.users.into_iter().map(Into::into).collect(),
        has_more: r.has_more,
        next_cursor: r.next_cursor,
    }))
}

/// Lifts your block of a user. You are not friends afterwards, whatever you were before.
#[utoipa::path(delete, path = "/friends/{userId}/block", tag = "friends",
    params(("userId" = String, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Nothing>), (status = 400, body = ErrorBody),
    (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn unblock(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Id(target): Id<UserId>,
) -> ApiResult<Nothing> {
    set_blocked(&gw, &trace, &me, target, false).await
}

async fn set_blocked(
    gw: &Gw,
    trace: &Trace,
    me: &Identity,
    target: UserId,
    blocked: bool,
) -> ApiResult<Nothing> {
    let request = BlockUserRequest {
        user_id: me.user.to_string(),
        target_id: target.to_string(),
        blocked,
    };
    let call = gw.backend.call(
        &gw.backend.friends,
        &trace.0,
        request,
        |mut c, r| async move { c.block_user(r).await },
    );
    call.await?;
    Ok(Reply::done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_three_spellings() {
        let number = |json: &str| {
            serde_json::from_str::<HandleBody>(json)
                .unwrap()
                .action
                .number()
        };
        for accept in [
            r#"{"action":"accept"}"#,
            r#"{"action":1}"#,
            r#"{"action":"1"}"#,
        ] {
            assert_eq!(number(accept), Some(1));
        }
        assert_eq!(number(r#"{"action":"reject"}"#), Some(2));
        assert_eq!(number(r#"{"action":3}"#), None);
        assert_eq!(number(r#"{"action":"ACCEPT!"}"#), None);
    }
}
