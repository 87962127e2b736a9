//! Lists of conversations.

use gochat_core::error::{ErrorCode, Result};
use gochat_proto::common::v1::{Conversation, Pagination};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::view::{named_after_peer, own};
use crate::app::App;

const PAGE_DEFAULT: i32 = 20;
const PAGE_MAX: i32 = 100;

/// `GetConversationsOptimized`.
pub(super) async fn optimized(
    app: &App,
    request: pb::GetConversationsOptimizedRequest,
) -> Result<pb::GetConversationsOptimizedResponse> {
    let user = parse::user(&request.user_id)?;
    let (page, page_size) = parse::page(request.page, request.page_size, PAGE_DEFAULT, PAGE_MAX);
    let details = repo::GetUserConversationsWithDetailsRequest {
        user_id: user.to_string(),
        pagination: Some(Pagination {
            page,
            page_size,
            ..Default::default()
        }),
        type_filter: request.type_filter,
        include_last_message: request.include_last_message,
        include_sender_info: request.include_last_message,
        last_sync_time: request.last_sync_time.max(0),
        at_least: request.at_least,
        cursor: request.cursor,
    };
    let sync_time = parse::sync_time();
    let answer = app.repo.list_conversations(details).await?;
    let pages = answer.pagination.unwrap_or_default();
    let row = |conversation| row(conversation, request.include_unread_count);
    Ok(pb::GetConversationsOptimizedResponse {
        conversations: answer.conversations.into_iter().map(row).collect(),
        total: pages.total,
        page,
        page_size,
        has_more: pages.has_more,
        removed_ids: answer.removed_ids,
        behind: answer.behind,
        next_cursor: answer.next_cursor,
        sync_time,
    })
}

fn row(conversation: Conversation, with_unread: bool) -> pb::ConversationOptimized {
    let c = named_after_peer(conversation);
    pb::ConversationOptimized {
        id: c.id,
        r#type: c.r#type,
        name: c.name,
        avatar_url: c.avatar_url,
        description: c.description,
        owner_id: c.owner_id,
        member_count: c.member_count,
        last_message: c.last_message,
        unread_count: if with_unread { c.unread_count } else { 0 },
        updated_at: c.updated_at,
        created_at: c.created_at,
        my_membership: c.my_membership.map(own),
        last_activity_at: c.last_activity_at,
        last_read_seq_id: c.last_read_seq_id,
        last_seq_id: c.last_seq_id,
        last_rev: c.last_rev,
        pinned_count: c.pinned_count,
        unread_mentions: if with_unread { c.unread_mentions } else { 0 },
        peer: c.peer,
        version: c.version,
        settings: c.settings,
        awaited_seq_id: c.awaited_seq_id,
        peer_last_read_seq_id: c.peer_last_read_seq_id,
        my: c.my,
        announcement: c.announcement,
    }
}

/// `GetConversations`: the older form of the same list.
pub(super) async fn plain(
    app: &App,
    request: pb::GetConversationsRequest,
) -> Result<pb::GetConversationsResponse> {
    let user = parse::user(&request.user_id)?;
    let (page, page_size) = parse::page(request.page, request.page_size, PAGE_DEFAULT, PAGE_MAX);
    let details = repo::GetUserConversationsWithDetailsRequest {
        user_id: user.to_string(),
        pagination: Some(Pagination {
            page,
            page_size,
            ..Default::default()
        }),
        type_filter: request.type_filter,
        include_last_message: true,
        include_sender_info: true,
        ..Default::default()
    };
    let answer = app.repo.list_conversations(details).await?;
    let pages = answer.pagination.unwrap_or_default();
    Ok(pb::GetConversationsResponse {
        conversations: answer
            .conversations
            .into_iter()
            .map(named_after_peer)
            .collect(),
        total: pages.total,
        page,
        page_size,
        has_more: pages.has_more,
    })
}

/// `SearchConversations`: among one's own only.
pub(super) async fn search(
    app: &App,
    request: pb::SearchConversationsRequest,
) -> Result<pb::SearchConversationsResponse> {
    let user = parse::user(&request.user_id)?;
    if gochat_core::text::is_blank(&request.query) {
        return Err(ErrorCode::MissingQuery.into());
    }
    let search = repo::SearchConversationsRequest {
        user_id: user.to_string(),
        query: request.query,
        type_filter: request.type_filter,
        limit: parse::page(1, request.limit, PAGE_DEFAULT, PAGE_MAX).1,
        cursor: request.cursor,
    };
    let found = app.repo.search_conversations(search).await?;
    let conversations = found.conversations.into_iter();
    Ok(pb::SearchConversationsResponse {
        conversations: conversations.map(named_after_peer).collect(),
        has_more: found.has_more,
        next_cursor: found.next_cursor,
    })
}
