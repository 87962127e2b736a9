//! Reading conversations: one, many, and the list of a user.

use gochat_core::error::Result;
use gochat_infra::port::db::{ListQuery, MAX_PAGE, SearchQuery};
use gochat_proto::common::v1::Pagination;
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::convert::ListParts;
use crate::rpc::failed;
use crate::{args, convert};

/// Conversations of a page when the caller names no size.
const PAGE_DEFAULT: u32 = 20;
/// Most ids of one GetUserConversations.
const IDS_MAX: u32 = 1_000;

impl ConversationApi {
    pub(crate) async fn get_conversation(
        &self,
        request: GetConversationRequest,
    ) -> Result<GetConversationResponse> {
        let id = args::conversation(&request.conversation_id)?;
        let at_least = args::seq(request.at_least_seq_id, "at_least_seq_id")?;
        let (mut conversation, _) = self.shared.conversations.one(id).await?;
        if convert::wide(at_least) > conversation.last_seq_id {
            let late = self.shared.heads.reach(None, vec![(id, at_least)]).await?;
            // A copy may have been filled before the row came.
            self.shared.conversations.forget(&[id]).await;
            (conversation, _) = self.shared.conversations.one(id).await?;
            conversation.awaited_seq_id = late.first().map_or(0, |(_, seq)| convert::wide(*seq));
        }
        Ok(GetConversationResponse {
            conversation: Some(conversation),
        })
    }

    /// Dissolved conversations are left out as unknown ones are.
    pub(super) async fn batch_get_conversations(
        &self,
        request: BatchGetConversationsRequest,
    ) -> Result<BatchGetConversationsResponse> {
        let ids = args::conversations(&request.conversation_ids, args::MAX_BATCH)?;
        let conversations = self.shared.conversations.many(&ids).await?;
        Ok(BatchGetConversationsResponse { conversations })
    }

    pub(super) async fn get_user_conversations_with_details(
        &self,
        request: GetUserConversationsWithDetailsRequest,
    ) -> Result<GetUserConversationsWithDetailsResponse> {
        let wanted = request.pagination.unwrap_or_default();
        let page = args::limit(wanted.page, 1, u32::MAX);
        let limit = args::limit(wanted.page_size, PAGE_DEFAULT, MAX_PAGE);
        let offset = (page - 1).saturating_mul(limit);
        let query = ListQuery {
            user: args::user(&request.user_id, "user_id")?,
            kind: args::kind_filter(request.type_filter)?,
            updated_after: args::millis_or_none(request.last_sync_time),
            offset,
            limit,
        };
        let told = args::heads(&request.at_least)?;
        let late = self.shared.heads.reach(Some(query.user), told).await?;
        let list = self.shared.db.list_for_user(query).await.map_err(failed)?;
        let parts = ListParts {
            last_message: request.include_last_message,
            sender: request.include_sender_info,
        };
        let seen = u64::from(offset) + list.entries.len() as u64;
        Ok(GetUserConversationsWithDetailsResponse {
            conversations: list
                .entries
                .iter()
                .map(|e| convert::list_entry(e, parts, &late))
                .collect(),
            behind: !late.is_empty(),
            pagination: Some(Pagination {
                page: convert::narrow(page),
                page_size: convert::narrow(limit),
                total: convert::wide(list.total),
                has_more: seen < list.total && !list.entries.is_empty(),
            }),
            removed_ids: list.removed.iter().map(ToString::to_string).collect(),
        })
    }

    /// Long lists are read in as many statements as they have pages of the store.
    pub(super) async fn get_user_conversations(
        &self,
        request: GetUserConversationsRequest,
    ) -> Result<GetUserConversationsResponse> {
        let user = args::user(&request.user_id, "user_id")?;
        let kind = args::kind_filter(request.type_filter)?;
        let offset = args::offset(request.offset);
        let limit = args::limit(request.limit, 100, IDS_MAX);
        let mut answer = GetUserConversationsResponse::default();
        loop {
            let found = answer.conversation_ids.len() as u32;
            let query = ListQuery {
                user,
                kind,
                updated_after: None,
                offset: offset.saturating_add(found),
                limit: (limit - found).min(MAX_PAGE),
            };
            let page = self.shared.db.list_for_user(query).await.map_err(failed)?;
            answer.total = convert::wide(page.total);
            let seen = u64::from(query.offset) + page.entries.len() as u64;
            answer.has_more = seen < page.total && !page.entries.is_empty();
            let ids = page
                .entries
                .iter()
                .map(|entry| entry.conversation.id.to_string());
            answer.conversation_ids.extend(ids);
            if !answer.has_more || answer.conversation_ids.len() as u32 >= limit {
                return Ok(answer);
            }
        }
    }

    pub(super) async fn search_conversations(
        &self,
        request: SearchConversationsRequest,
    ) -> Result<SearchConversationsResponse> {
        let query = SearchQuery {
            user: args::user(&request.user_id, "user_id")?,
            query: args::text(&request.query, "query", 100)?.to_owned(),
            kind: args::kind_filter(request.type_filter)?,
            limit: args::limit(request.limit, PAGE_DEFAULT, MAX_PAGE),
        };
        let entries = self
            .shared
            .db
            .search_conversations(query)
            .await
            .map_err(failed)?;
        let parts = ListParts {
            last_message: true,
            sender: true,
        };
        let conversations = entries
            .iter()
            .map(|entry| convert::list_entry(entry, parts, &[]));
        Ok(SearchConversationsResponse {
            conversations: conversations.collect(),
        })
    }
}
