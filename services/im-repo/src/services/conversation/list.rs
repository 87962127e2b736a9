//! Reading conversations: one, many, and the list of a user.

use gochat_core::error::Result;
use gochat_core::page::Cursor;
use gochat_infra::port::db::{ConversationEntry, ListQuery, MAX_PAGE, SearchQuery};
use gochat_proto::common::v1::Pagination;
use gochat_proto::im::repo::v1::*;

use super::ConversationApi;
use crate::convert::ListParts;
use crate::rpc::failed;
use crate::{args, convert, pages};

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
            updated_after: args::changed_since(request.last_sync_time),
            after: pages::activity(&request.cursor)?,
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
        let line = |entry| convert::list_entry(entry, parts, &late);
        let mut conversations: Vec<_> = list.entries.iter().map(line).collect();
        let has_more = pages::bound(&mut conversations) || list.has_more;
        Ok(GetUserConversationsWithDetailsResponse {
            next_cursor: next(&list.entries, conversations.len(), has_more),
            conversations,
            behind: !late.is_empty(),
            pagination: Some(Pagination {
                page: convert::narrow(page),
                page_size: convert::narrow(limit),
                total: convert::wide(list.total),
                has_more,
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
                after: None,
                offset: offset.saturating_add(found),
                limit: (limit - found).min(MAX_PAGE),
            };
            let page = self.shared.db.list_for_user(query).await.map_err(failed)?;
            answer.total = convert::wide(page.total);
            answer.has_more = page.has_more;
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
            after: pages::activity(&request.cursor)?,
            limit: args::limit(request.limit, PAGE_DEFAULT, MAX_PAGE),
        };
        let found = self
            .shared
            .db
            .search_conversations(query)
            .await
            .map_err(failed)?;
        let parts = ListParts {
            last_message: true,
            sender: true,
        };
        let line = |entry| convert::list_entry(entry, parts, &[]);
        let mut conversations: Vec<_> = found.entries.iter().map(line).collect();
        let has_more = pages::bound(&mut conversations) || found.has_more;
        Ok(SearchConversationsResponse {
            next_cursor: next(&found.entries, conversations.len(), has_more),
            conversations,
            has_more,
        })
    }
}

/// The cursor behind the first `shown` entries; empty at the end.
fn next(entries: &[ConversationEntry], shown: usize, has_more: bool) -> String {
    let last = shown.checked_sub(1).and_then(|last| entries.get(last));
    let cursor = last.filter(|_| has_more).map(|last| Cursor::Activity {
        at: last.conversation.updated_at,
        id: last.conversation.id,
    });
    cursor.map(|cursor| cursor.to_string()).unwrap_or_default()
}
