//! Reading conversations: one, many, and the list of a user.

use gochat_core::error::Result;
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_infra::port::db::{
    ConversationEntry, ListPage, ListQuery, MAX_PAGE, MAX_REMOVED, SearchQuery,
};
use gochat_proto::common::v1::Pagination;
use gochat_proto::im::repo::v1::*;
use hashbrown::HashMap;

use super::ConversationApi;
use crate::convert::ListParts;
use crate::heads::Head;
use crate::rpc::failed;
use crate::{args, convert, pages};

/// Conversations of a page when the caller names no size.
const PAGE_DEFAULT: u32 = 20;
/// Most ids of one GetUserConversations.
const IDS_MAX: u32 = 1_000;
/// Unread mentions are counted in so many of the newest messages of a conversation, which bounds
/// what a list costs.
const MENTIONS_WITHIN: SeqId = 10_000;

impl ConversationApi {
    pub(crate) async fn get_conversation(
        &self,
        request: GetConversationRequest,
    ) -> Result<GetConversationResponse> {
        let id = args::conversation(&request.conversation_id)?;
        let at_least = args::seq(request.at_least_seq_id, "at_least_seq_id")?;
        let changed = args::seq(request.at_least_rev, "at_least_rev")?;
        let (mut conversation, _) = self.shared.conversations.one(id).await?;
        let lacks_change = convert::wide(changed) > conversation.last_rev;
        if convert::wide(at_least) > conversation.last_seq_id || lacks_change {
            let heads = &self.shared.heads;
            let late = heads.reach(None, vec![(id, at_least)]).await?;
            // Nobody waits twice.
            let is_changed = late.is_empty() && heads.reach_rev(id, changed).await?;
            // A copy may have been filled before the row came.
            self.shared.conversations.forget(&[id]).await;
            (conversation, _) = self.shared.conversations.one(id).await?;
            conversation.awaited_seq_id = match late.first() {
                Some((_, seq)) => convert::wide(*seq),
                None if is_changed => 0,
                None => conversation.last_seq_id,
            };
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
        // In the order of the ids.
        let mut conversations = self.shared.conversations.many(&ids).await?;
        let mut left = Vec::new();
        if pages::bound(&mut conversations) {
            let last = conversations.last().and_then(|last| last.id.parse().ok());
            left = ids;
            left.retain(|id| Some(*id) > last);
            left.sort_unstable();
            left.dedup();
        }
        Ok(BatchGetConversationsResponse {
            conversations,
            left_ids: left.iter().map(ToString::to_string).collect(),
        })
    }

    pub(super) async fn get_user_conversations_with_details(
        &self,
        request: GetUserConversationsWithDetailsRequest,
    ) -> Result<GetUserConversationsWithDetailsResponse> {
        let wanted = request.pagination.unwrap_or_default();
        let page = args::limit(wanted.page, 1, u32::MAX);
        let limit = args::limit(wanted.page_size, PAGE_DEFAULT, MAX_PAGE);
        let offset = (page - 1).saturating_mul(limit);
        let start = pages::ListStart::of(&request.cursor)?;
        let told = args::heads(&request.at_least)?;
        let told: Vec<_> = told.into_iter().filter(|(_, seq)| *seq > 0).collect();
        let user = args::user(&request.user_id, "user_id")?;
        let query = ListQuery {
            user,
            kind: args::kind_filter(request.type_filter)?,
            updated_after: args::changed_since(request.last_sync_time),
            after: start.entry,
            offset,
            limit: if start.has_entries { limit } else { 0 },
            removed_limit: if start.has_removed { MAX_REMOVED } else { 0 },
            removed_after: start.removed,
            heads_of: told.iter().map(|(id, _)| *id).collect(),
        };
        // An entry may be as it was: a change of its last message can't be seen missing on the page.
        let changes = args::changes(&request.at_least)?;
        let is_changed = self.shared.heads.reach_revs(Some(user), &changes).await?;
        let (list, late) = self.list_reaching(&query, told, is_changed).await?;
        let parts = ListParts {
            last_message: request.include_last_message,
            sender: request.include_sender_info,
        };
        let mentions = self.mentions(user, &list.entries).await?;
        let line = |entry| convert::list_entry(entry, parts, &mentions, &late);
        let mut conversations: Vec<_> = list.entries.iter().map(line).collect();
        let has_more_entries = pages::bound(&mut conversations) || list.has_more;
        // A later page that is named by its number tells the same removed ones as the first.
        let is_numbered = offset > 0 && request.cursor.is_empty();
        let has_more = has_more_entries || (list.has_more_removed && !is_numbered);
        let last = conversations.len().checked_sub(1);
        let end = pages::ListEnd {
            entry: last.and_then(|last| list.entries.get(last)),
            has_more_entries,
            removed: list.removed.last().copied(),
            has_more_removed: list.has_more_removed,
        };
        Ok(GetUserConversationsWithDetailsResponse {
            next_cursor: end.cursor(query.updated_after.is_some()),
            conversations,
            behind: !late.is_empty() || !is_changed,
            pagination: Some(Pagination {
                page: convert::narrow(page),
                page_size: convert::narrow(limit),
                total: convert::wide(list.total),
                has_more,
            }),
            removed_ids: list.removed.iter().map(ToString::to_string).collect(),
        })
    }

    /// A page of the list that shows what its reader was told of, and the numbers that stayed away.
    /// A page that lacks nothing is one statement; else the rows are waited for, within bounds, and
    /// it is read again, unless its reader `may_wait` no longer.
    async fn list_reaching(
        &self,
        query: &ListQuery,
        told: Vec<Head>,
        may_wait: bool,
    ) -> Result<(ListPage, Vec<Head>)> {
        let page = || self.shared.db.list_for_user(query.clone());
        let list = page().await.map_err(failed)?;
        let late = lacking(told, &list.heads);
        if late.is_empty() || !may_wait {
            return Ok((list, late));
        }
        let told = late.clone();
        self.shared.heads.wait(late).await;
        let list = page().await.map_err(failed)?;
        let late = lacking(told, &list.heads);
        Ok((list, late))
    }

    /// Unread mentions of the conversations of a page that have any. Where nothing is unread nothing
    /// is looked for, and a page that was read costs no statement.
    async fn mentions(
        &self,
        user: UserId,
        entries: &[ConversationEntry],
    ) -> Result<HashMap<ConversationId, u64>> {
        let unread = entries.iter().filter(|entry| entry.unread > 0);
        // Of a list that was never read only the newest messages are looked through.
        let from = |entry: &ConversationEntry| {
            let oldest = entry
                .conversation
                .last_seq_id
                .saturating_sub(MENTIONS_WITHIN);
            entry.last_read_seq_id.max(oldest)
        };
        let read = unread.map(|entry| (entry.conversation.id, from(entry)));
        let read: Vec<(ConversationId, SeqId)> = read.collect();
        if read.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.shared.db.unread_mentions(user, &read).await;
        Ok(found.map_err(failed)?.into_iter().collect())
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
                kind,
                offset: offset.saturating_add(found),
                ..ListQuery::first(user, (limit - found).min(MAX_PAGE))
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
        let user = args::user(&request.user_id, "user_id")?;
        let query = SearchQuery {
            user,
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
        let mentions = self.mentions(user, &found.entries).await?;
        let line = |entry| convert::list_entry(entry, parts, &mentions, &[]);
        let mut conversations: Vec<_> = found.entries.iter().map(line).collect();
        let has_more = pages::bound(&mut conversations) || found.has_more;
        let last = conversations.len().checked_sub(1);
        let end = pages::ListEnd {
            entry: last.and_then(|last| found.entries.get(last)),
            has_more_entries: has_more,
            ..Default::default()
        };
        Ok(SearchConversationsResponse {
            next_cursor: end.cursor(false),
            conversations,
            has_more,
        })
    }
}

/// Numbers that conversations of the reader have not reached.
fn lacking(told: Vec<Head>, heads: &[Head]) -> Vec<Head> {
    let heads: HashMap<ConversationId, SeqId> = heads.iter().copied().collect();
    let is_late = |(id, seq): &Head| heads.get(id).is_some_and(|head| head < seq);
    told.into_iter().filter(is_late).collect()
}
