//! Conversations.

use std::collections::BTreeMap;

use axum::extract::State;
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, UserId};
use gochat_proto::common::v1::ConversationHead;
use gochat_proto::im::logic::v1::{
    CreateConversationRequest, DeleteConversationRequest, GetConversationRequest,
    GetConversationsOptimizedRequest, JoinWorldChatRequest, UpdateConversationRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Auth, Body, Id, Params, Registered, Trace};
use super::objects::Conversation;
use super::reply::{ApiError, ApiResult, Envelope, ErrorBody, Nothing, Reply};
use super::version::IfMatch;
use crate::state::Gw;
use crate::told::{MOST_OF_LIST, Numbers};

const SIZE_DEFAULT: i32 = 20;
const SIZE_MAX: i32 = 100;
/// Users one call may name; far above any group's size.
const MEMBERS_MAX: usize = 10_000;

/// The page style of paging, with all its aliases.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParams {
    /// From 1.
    page: Option<i32>,
    /// `nextCursor` of the page before; wins over `page`. Opaque.
    cursor: Option<String>,
    /// 1 to 100, default 20. Aliases `pageSize`, `page_size`, `limit`.
    #[serde(alias = "pageSize", alias = "page_size", alias = "limit")]
    size: Option<i32>,
    /// 1 single, 2 group, 3 world.
    #[serde(rename = "type")]
    kind: Option<i32>,
    /// Only what changed in this Unix second or later: the `syncTime` of an earlier answer.
    #[serde(alias = "lastSync")]
    last_sync: Option<i64>,
    /// SeqIds you know of, as `conversationId:seqId`, separated by commas, at most 64: the list
    /// reaches them, or says that it is behind. This gateway knows what it told you itself.
    #[serde(alias = "atLeast")]
    at_least: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DetailParams {
    /// A seqId you know of: the answer reaches it, or says that it is behind.
    #[serde(alias = "atLeast")]
    at_least: Option<i64>,
}

/// What a list must reach: what the caller says and what this gateway told it, the higher number of
/// each.
fn at_least(gw: &Gw, me: UserId, said: Option<&str>) -> Result<Vec<ConversationHead>, ApiError> {
    let wrong = || ApiError::invalid("`at_least` is a list of conversationId:seqId, at most 64.");
    let mut heads: BTreeMap<ConversationId, Numbers> = BTreeMap::new();
    for pair in said
        .unwrap_or_default()
        .split(',')
        .filter(|p| !p.is_empty())
    {
        let (id, seq) = pair.split_once(':').ok_or_else(wrong)?;
        let id = id.parse().map_err(|_| wrong())?;
        let seq: i64 = seq.parse().ok().filter(|seq| *seq >= 0).ok_or_else(wrong)?;
        if heads.len() >= MOST_OF_LIST {
            return Err(wrong());
        }
        heads.entry(id).or_default().seq = seq;
    }
    for (id, numbers) in gw.told_to(me) {
        if heads.len() < MOST_OF_LIST || heads.contains_key(&id) {
            let head = heads.entry(id).or_default();
            head.seq = head.seq.max(numbers.seq);
            head.changed = numbers.changed;
        }
    }
    let head = |(id, numbers): (ConversationId, Numbers)| ConversationHead {
        conversation_id: id.to_string(),
        seq_id: numbers.seq,
        rev: numbers.changed,
    };
    Ok(heads.into_iter().map(head).collect())
}

/// Page and size within their bounds.
pub(super) fn paging(page: Option<i32>, size: Option<i32>) -> Result<(i32, i32), ApiError> {
    let (page, size) = (page.unwrap_or(1), size.unwrap_or(SIZE_DEFAULT));
    if page < 1 || size < 1 {
        return Err(ApiError::invalid("Pages and sizes start at 1."));
    }
    Ok((page, size.min(SIZE_MAX)))
}

/// A page of conversations.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConversationsData {
    conversations: Vec<Conversation>,
    has_more: bool,
    /// `cursor` of the next page; with `hasMore` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_cursor: String,
    /// `last_sync` of your next question, once you have read all pages of this one.
    sync_time: i64,
    total: i64,
    page: i32,
    size: i32,
    /// Left, dissolved or hidden since `last_sync`; at most 1,000 on a page, the others on the
    /// pages that follow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed_ids: Vec<String>,
    /// True when messages you know of are on their way to the database: entries may be older than
    /// you know, and stand lower than they should.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    behind: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateBody {
    /// 1 single, 2 group; implied by `targetUserId`.
    #[serde(rename = "type", default)]
    kind: Option<i32>,
    /// Required for groups.
    #[serde(default)]
    name: Option<String>,
    /// The others; exactly one for a single chat. Aliases `memberIds`, `member_ids`, `user_ids`.
    #[serde(default, alias = "memberIds", alias = "member_ids", alias = "user_ids")]
    members: Option<Vec<String>>,
    /// The other side of a single chat.
    #[serde(default, alias = "target_user_id")]
    target_user_id: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, alias = "avatar_url")]
    avatar_url: Option<String>,
    /// Settings a group begins with, for example `{"group_settings": {"system_messages": false}}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    settings: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateBody {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, alias = "avatar_url")]
    avatar_url: Option<String>,
    #[serde(default)]
    description: Option<String>,
    /// The group's settings as a whole, for example `{"group_settings": {"mute_all": true}}`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// The announcement, at most 2000 characters; empty removes it.
    #[serde(default)]
    #[schema(max_length = 2000)]
    announcement: Option<String>,
    /// The `updatedAt` you saw; a change since then is a conflict.
    #[serde(default, alias = "updated_at")]
    updated_at: Option<i64>,
    /// The `version` you saw, as the header `If-Match` says it; any other is a conflict.
    #[serde(default)]
    version: Option<i64>,
}

/// Checks ids that came in a body.
pub(super) fn user_ids(ids: Vec<String>) -> Result<Vec<String>, ApiError> {
    let sound = ids.len() <= MEMBERS_MAX && ids.iter().all(|id| id.parse::<UserId>().is_ok());
    if sound {
        Ok(ids)
    } else {
        Err(ApiError::invalid(
            "The list of users is not a list of user ids.",
        ))
    }
}

/// Your conversations, newest activity first.
#[utoipa::path(get, path = "/conversations", tag = "conversations", security(("bearer" = [])),
    params(ListParams), responses(
    (status = 200, body = Envelope<ConversationsData>), (status = 401, body = ErrorBody)))]
pub(super) async fn list(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Params(params): Params<ListParams>,
) -> ApiResult<ConversationsData> {
    let (page, size) = paging(params.page, params.size)?;
    let type_filter = params.kind.unwrap_or(0);
    if !(0..=3).contains(&type_filter) {
        return Err(ApiError::invalid("The type is 1, 2 or 3."));
    }
    let since = params.last_sync.unwrap_or(0).max(0);
    let turn = gw
        .turns
        .of(me.user, ("conversations", type_filter, since, size));
    let request = GetConversationsOptimizedRequest {
        cursor: gw.turns.cursor(turn, page, params.cursor),
        user_id: me.user.to_string(),
        page,
        page_size: size,
        type_filter,
        order_by: String::new(),
        include_last_message: true,
        include_unread_count: true,
        last_sync_time: since,
        at_least: at_least(&gw, me.user, params.at_least.as_deref())?,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_conversations_optimized(r).await
        });
    let r = call.await?;
    gw.turns.note(turn, page, &r.next_cursor);
    Ok(Reply::ok(ConversationsData {
        next_cursor: r.next_cursor,
        sync_time: r.sync_time,
        conversations: r.conversations.into_iter().map(Into::into).collect(),
        has_more: r.has_more,
        total: r.total,
        page,
        size,
        removed_ids: r.removed_ids,
        behind: r.behind,
    }))
}

/// Settings as the services pass them on; empty when there are none.
fn settings_json(settings: Option<serde_json::Map<String, serde_json::Value>>) -> String {
    let settings = settings.map(serde_json::Value::Object);
    settings.map(|json| json.to_string()).unwrap_or_default()
}

/// Opens a single chat or creates a group. An existing single chat is answered with 200.
#[utoipa::path(post, path = "/conversations", tag = "conversations", security(("bearer" = [])),
    request_body = CreateBody, responses(
    (status = 201, body = Envelope<Conversation>), (status = 200, body = Envelope<Conversation>),
    (status = 400, body = ErrorBody), (status = 403, body = ErrorBody)))]
pub(super) async fn create(
    State(gw): State<Gw>,
    trace: Trace,
    Registered(me): Registered,
    Body(body): Body<CreateBody>,
) -> ApiResult<Conversation> {
    let mut members = body.members.unwrap_or_default();
    let implied = body.target_user_id.as_ref().map(|_| 1);
    members.extend(body.target_user_id);
    let kind = body.kind.or(implied).filter(|kind| matches!(kind, 1 | 2));
    let kind = kind.ok_or_else(|| ApiError::invalid("The type is 1 (single) or 2 (group)."))?;
    let request = CreateConversationRequest {
        creator_id: me.user.to_string(),
        r#type: kind,
        name: body.name.unwrap_or_default(),
        avatar_url: body.avatar_url.unwrap_or_default(),
        description: body.description.unwrap_or_default(),
        member_ids: user_ids(members)?,
        settings_json: settings_json(body.settings),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.create_conversation(r).await
        });
    let r = call.await?;
    let conversation = r.conversation.ok_or(ErrorCode::Internal)?.into();
    Ok(if r.already_existed {
        Reply::ok(conversation)
    } else {
        Reply::created(conversation)
    })
}

/// One conversation, with its members unless it is the world chat.
#[utoipa::path(get, path = "/conversations/{conversationId}", tag = "conversations",
    params(("conversationId" = String, Path), DetailParams), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Conversation>), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn detail(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    Params(params): Params<DetailParams>,
) -> ApiResult<Conversation> {
    let request = GetConversationRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        include_members: id != ConversationId::World,
        at_least_seq_id: gw.told_of(id, params.at_least),
        at_least_rev: gw.told_change_of(id),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.get_conversation(r).await
        });
    let r = call.await?;
    let conversation = r.conversation.ok_or(ErrorCode::ConversationNotFound)?;
    let conversation = Conversation::from(conversation).with_members(r.members, r.has_more_members);
    let version = conversation.version;
    Ok(Reply::ok(conversation).tagged(version))
}

/// Changes name, picture, description, settings or announcement of a group.
#[utoipa::path(put, path = "/conversations/{conversationId}", tag = "conversations",
    params(("conversationId" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag of the version you saw")),
    request_body = UpdateBody, security(("bearer" = [])),
    responses((status = 200, body = Envelope<Conversation>), (status = 403, body = ErrorBody), (status = 409, body = ErrorBody)))]
pub(super) async fn update(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
    seen: IfMatch,
    Body(body): Body<UpdateBody>,
) -> ApiResult<Conversation> {
    let expected_version = seen.or(body.version)?;
    let named = [
        ("name", body.name.is_some()),
        ("avatar_url", body.avatar_url.is_some()),
        ("description", body.description.is_some()),
        ("settings", body.settings.is_some()),
        ("announcement", body.announcement.is_some()),
    ];
    let update_mask: Vec<_> = named
        .iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    if update_mask.is_empty() {
        return Err(ApiError::invalid("Nothing to change was named."));
    }
    let request = UpdateConversationRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        name: body.name.unwrap_or_default(),
        avatar_url: body.avatar_url.unwrap_or_default(),
        description: body.description.unwrap_or_default(),
        update_mask,
        expected_updated_at: body.updated_at.unwrap_or(0),
        settings_json: settings_json(body.settings),
        announcement: body.announcement.unwrap_or_default(),
        expected_version,
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.update_conversation(r).await
        });
    let conversation = call.await?.conversation.ok_or(ErrorCode::Internal)?;
    let version = conversation.version;
    Ok(Reply::ok(conversation.into()).tagged(version))
}

/// Dissolves a group (owner), or hides a single chat for you.
#[utoipa::path(delete, path = "/conversations/{conversationId}", tag = "conversations",
    params(("conversationId" = String, Path)), security(("bearer" = [])), responses(
    (status = 200, body = Envelope<Nothing>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
pub(super) async fn remove(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
    Id(id): Id<ConversationId>,
) -> ApiResult<Nothing> {
    let request = DeleteConversationRequest {
        user_id: me.user.to_string(),
        conversation_id: id.to_string(),
        reason: String::new(),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .call(clients, &trace.0, request, |mut c, r| async move {
            c.delete_conversation(r).await
        });
    call.await?;
    Ok(Reply::done())
}

/// The world chat; everybody is in it already.
#[utoipa::path(post, path = "/conversations/world/join", tag = "conversations",
    security(("bearer" = [])), responses((status = 200, body = Envelope<Conversation>)))]
pub(super) async fn join_world(
    State(gw): State<Gw>,
    trace: Trace,
    Auth(me): Auth,
) -> ApiResult<Conversation> {
    let request = JoinWorldChatRequest {
        user_id: me.user.to_string(),
    };
    let clients = &gw.backend.conversations;
    let call = gw
        .backend
        .read(clients, &trace.0, request, |mut c, r| async move {
            c.join_world_chat(r).await
        });
    Ok(Reply::ok(
        call.await?.conversation.ok_or(ErrorCode::Internal)?.into(),
    ))
}
