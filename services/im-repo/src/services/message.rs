//! MessageService: history.

mod changes;
mod former;
mod reactions;
mod references;
mod save;
mod sight;

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::history::{Held, Stretch};
use gochat_core::ids::SeqId;
use gochat_infra::port::db::{Direction, MessagePage, RangeQuery};
use gochat_proto::im::repo::v1::{message_service_server::MessageService, *};
use hashbrown::HashSet;

use crate::claims;
use crate::rpc::{failed, serve};
use crate::services::api;
use crate::{args, convert, pages};

/// Longest client id in characters.
const CLIENT_ID_MAX: usize = 64;
/// Most conversations of one GetLatestMessages.
const LATEST_CONVERSATIONS: usize = 100;
/// Most messages of one GetLatestMessages.
const LATEST_MESSAGES: u32 = 1_000;

api!(
    /// History.
    MessageApi
);

serve!(impl MessageService => MessageApi {
    save_message(SaveMessageRequest) -> SaveMessageResponse;
    batch_save_messages(BatchSaveMessagesRequest) -> BatchSaveMessagesResponse;
    get_message(GetMessageRequest) -> GetMessageResponse;
    get_conversation_messages(GetConversationMessagesRequest) -> GetConversationMessagesResponse;
    check_message_idempotency(CheckMessageIdempotencyRequest) -> CheckMessageIdempotencyResponse;
    list_changes(ListChangesRequest) -> ListChangesResponse;
    list_reactions(ListReactionsRequest) -> ListReactionsResponse;
    list_own_reactions(ListOwnReactionsRequest) -> ListOwnReactionsResponse;
    list_pins(ListPinsRequest) -> ListPinsResponse;
    list_former_texts(ListFormerTextsRequest) -> ListFormerTextsResponse;
    get_latest_messages(GetLatestMessagesRequest) -> GetLatestMessagesResponse;
    delete_message(DeleteMessageRequest) -> DeleteMessageResponse;
    generate_seq_id(GenerateSeqIdRequest) -> GenerateSeqIdResponse;
    list_message_authors(ListMessageAuthorsRequest) -> ListMessageAuthorsResponse;
    await_readers(AwaitReadersRequest) -> AwaitReadersResponse;
});

/// Bounds of the request as lower and upper seq; 0 means none.
fn bounds(start: SeqId, end: SeqId, ascending: bool) -> (Option<SeqId>, Option<SeqId>) {
    let given = |seq: SeqId| (seq != 0).then_some(seq);
    if ascending {
        (given(start), given(end))
    } else {
        (given(end), given(start))
    }
}

/// The number that a page lacks although its reader knows of `at_least`.
fn lacking(query: &RangeQuery, page: &MessagePage, at_least: SeqId) -> Option<SeqId> {
    let stretch = Stretch {
        from: query.from.unwrap_or(1),
        to: query.to.unwrap_or(SeqId::MAX),
        ascending: query.direction == Direction::Ascending,
    };
    let edge = if stretch.ascending {
        page.messages.last()
    } else {
        page.messages.first()
    };
    let held = Held {
        newest: edge.map(|entry| entry.message.seq_id),
        has_more: page.has_more,
    };
    stretch.lacks(at_least, held)
}

impl MessageApi {
    async fn get_message(&self, request: GetMessageRequest) -> Result<GetMessageResponse> {
        let id = args::message(&request.message_id)?;
        let place = match request.conversation_id.as_str() {
            "" => None,
            text => Some(args::conversation(text)?),
        };
        let entry = self.shared.db.message(id, place).await.map_err(failed)?;
        let entry = entry.ok_or(Error::from(ErrorCode::MessageNotFound))?;
        let place = entry.message.conversation_id;
        let shown = self.shown_one(entry).await?;
        let reader = self.reader(place, &request.reader_id).await?;
        let seen = self.seen_by(&reader, vec![shown]).await?.pop();
        Ok(GetMessageResponse {
            message: Some(seen.ok_or(Error::from(ErrorCode::MessageNotFound))?),
        })
    }

    async fn get_conversation_messages(
        &self,
        request: GetConversationMessagesRequest,
    ) -> Result<GetConversationMessagesResponse> {
        let start = args::seq(request.start_seq_id, "start_seq_id")?;
        let end = args::seq(request.end_seq_id, "end_seq_id")?;
        let (from, to) = bounds(start, end, request.ascending);
        let conversation = args::conversation(&request.conversation_id)?;
        let reader = self.reader(conversation, &request.reader_id).await?;
        let first = reader.first_seq();
        // Rows that are there may be as they were: a change can't be seen missing on the page.
        let changed = args::seq(request.at_least_rev, "at_least_rev")?;
        let is_changed = match changed {
            0 => true,
            rev => self.shared.heads.reach_rev(conversation, rev).await?,
        };
        let query = RangeQuery {
            conversation,
            from: Some(from.unwrap_or(1).max(first)),
            to,
            direction: if request.ascending {
                Direction::Ascending
            } else {
                Direction::Descending
            },
            limit: args::limit(request.limit, 20, 100),
            types: Vec::new(),
            fresh: changed > 0,
        };
        // Who waited in vain for a change doesn't wait again; the answer says that it is behind.
        let at_least = match args::seq(request.at_least_seq_id, "at_least_seq_id")? {
            seq if is_changed => seq,
            _ => 0,
        };
        let (page, behind) = self.page_reaching(query, at_least).await?;
        let seqs: Vec<SeqId> = page.messages.iter().map(|m| m.message.seq_id).collect();
        let messages = self.shown(conversation, page.messages, changed > 0).await?;
        let mut messages = self.seen_by(&reader, messages).await?;
        let mut next = page.next_seq_id;
        if pages::bound(&mut messages) {
            next = seqs.get(messages.len()).copied();
        }
        Ok(GetConversationMessagesResponse {
            behind: behind || !is_changed,
            has_more: next.is_some(),
            next_seq_id: next.map_or(0, convert::wide),
            messages,
            first_seq_id: convert::wide(first),
        })
    }

    /// A page of history that holds what its reader was told of, and whether a row stayed away. A
    /// page that lacks nothing costs nothing more; else the row is waited for, within bounds.
    async fn page_reaching(
        &self,
        query: RangeQuery,
        at_least: SeqId,
    ) -> Result<(MessagePage, bool)> {
        let page = self
            .shared
            .db
            .messages(query.clone())
            .await
            .map_err(failed)?;
        let Some(owed) = lacking(&query, &page, at_least) else {
            return Ok((page, false));
        };
        let owed = vec![(query.conversation, owed)];
        let late = self.shared.heads.reach(None, owed).await?;
        let query = RangeQuery {
            fresh: true,
            ..query
        };
        let page = self.shared.db.messages(query).await.map_err(failed)?;
        Ok((page, !late.is_empty()))
    }

    async fn check_message_idempotency(
        &self,
        request: CheckMessageIdempotencyRequest,
    ) -> Result<CheckMessageIdempotencyResponse> {
        let client_id = args::text(&request.client_msg_id, "client_msg_id", CLIENT_ID_MAX)?;
        let sender = args::user(&request.sender_id, "sender_id")?;
        let place = args::conversation(&request.conversation_id)?;
        let key = format!("msg_dedup:{place}:{sender}:{client_id}");
        let note = claims::Note {
            message_id: request.message_id,
            conversation_id: request.conversation_id,
            seq_id: request.seq_id,
        };
        let ttl = claims::ttl(request.ttl_seconds);
        let claimed = claims::claim(&*self.shared.once, &key, note, ttl).await?;
        Ok(CheckMessageIdempotencyResponse {
            exists: !claimed.first,
            existing_message_id: claimed.note.message_id,
            existing_seq_id: claimed.note.seq_id,
            state: claimed.state as i32,
        })
    }

    async fn get_latest_messages(
        &self,
        request: GetLatestMessagesRequest,
    ) -> Result<GetLatestMessagesResponse> {
        let ids = args::conversations(&request.conversation_ids, LATEST_CONVERSATIONS)?;
        if ids.is_empty() {
            return Ok(GetLatestMessagesResponse::default());
        }
        let fair_share = LATEST_MESSAGES / ids.len() as u32;
        let each = args::limit(request.limit_per_conversation, 1, fair_share.min(100));
        let entries = self
            .shared
            .db
            .latest_messages(&ids, each)
            .await
            .map_err(failed)?;
        let entries = entries.into_iter();
        let mut messages: Vec<_> = entries.map(convert::repo_message_entry).collect();
        let left_ids = cut_latest(&mut messages, request.conversation_ids);
        Ok(GetLatestMessagesResponse { messages, left_ids })
    }

    /// Recalls, for an im-logic that knows no changes. Whether the operator may was decided by the
    /// caller.
    async fn delete_message(&self, request: DeleteMessageRequest) -> Result<DeleteMessageResponse> {
        let id = args::message(&request.message_id)?;
        let operator = args::user(&request.operator_id, "operator_id")?;
        let place = match request.conversation_id.as_str() {
            "" => {
                let entry = self.shared.db.message(id, None).await.map_err(failed)?;
                entry
                    .ok_or(Error::from(ErrorCode::MessageNotFound))?
                    .message
                    .conversation_id
            }
            text => args::conversation(text)?,
        };
        let now = self.shared.now();
        let db = self.shared.db.clone();
        let recalling = async move { db.recall(place, id, now).await };
        let outcome = self
            .shared
            .conversations
            .change(vec![place], recalling)
            .await;
        let outcome = outcome.map_err(failed)?;
        if outcome.newly {
            tracing::info!(message = %id, conversation = %place, %operator, "message recalled");
        }
        let message = convert::repo_message(outcome.message, None);
        Ok(DeleteMessageResponse {
            success: true,
            message: Some(message),
        })
    }

    async fn generate_seq_id(
        &self,
        request: GenerateSeqIdRequest,
    ) -> Result<GenerateSeqIdResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let seq_id = claims::next_seq(&self.shared, place, 1).await?;
        Ok(GenerateSeqIdResponse {
            seq_id: convert::wide(seq_id),
        })
    }

    async fn list_message_authors(
        &self,
        request: ListMessageAuthorsRequest,
    ) -> Result<ListMessageAuthorsResponse> {
        let place = args::conversation(&request.conversation_id)?;
        let after = args::seq(request.after_seq_id, "after_seq_id")?;
        let to = args::seq(request.up_to_seq_id, "up_to_seq_id")?;
        let limit = args::limit(request.limit, 100, 1_000);
        let authors = self
            .shared
            .db
            .authors_between(place, after, to, limit)
            .await
            .map_err(failed)?;
        let user_ids = authors.iter().map(ToString::to_string).collect();
        Ok(ListMessageAuthorsResponse { user_ids })
    }

    async fn await_readers(&self, request: AwaitReadersRequest) -> Result<AwaitReadersResponse> {
        let seen = self.shared.heads.another_reader(request.seen).await;
        Ok(AwaitReadersResponse { seen })
    }
}

/// Cuts newest messages to the size of a page, behind a conversation where one ends. Returns the
/// asked conversations that are left, in the order of their ids' text.
fn cut_latest(messages: &mut Vec<RepoMessage>, mut asked: Vec<String>) -> Vec<String> {
    let all: Vec<String> = messages.iter().map(|m| m.conversation_id.clone()).collect();
    if !pages::bound(messages) {
        return Vec::new();
    }
    let shown = messages.len();
    let is_whole = |id: &String| !all[shown..].contains(id);
    let first = all[0].clone();
    messages.retain(|m| is_whole(&m.conversation_id) || m.conversation_id == first);
    let told: HashSet<&str> = messages
        .iter()
        .map(|m| m.conversation_id.as_str())
        .collect();
    asked.retain(|id| !told.contains(id.as_str()) && all.contains(id));
    asked.sort_unstable();
    asked.dedup();
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(conversation: &str, bytes: usize) -> RepoMessage {
        RepoMessage {
            conversation_id: conversation.into(),
            content: "x".repeat(bytes),
            ..Default::default()
        }
    }

    #[test]
    fn newest_messages_are_cut_behind_a_conversation_and_the_rest_is_named() {
        let asked = || ["g_1", "g_2", "g_3", "g_4"].map(String::from).to_vec();
        let ids = |messages: &[RepoMessage]| -> Vec<String> {
            messages.iter().map(|m| m.conversation_id.clone()).collect()
        };
        let mut small = vec![message("g_1", 10), message("g_2", 10)];
        assert!(cut_latest(&mut small, asked()).is_empty() && small.len() == 2);

        let of = |id| message(id, 300 << 10);
        let mut large = vec![of("g_1"), of("g_1"), of("g_2"), of("g_2"), of("g_3")];
        assert_eq!(cut_latest(&mut large, asked()), ["g_2", "g_3"]);
        assert_eq!(ids(&large), ["g_1", "g_1"]);

        let mut one = vec![of("g_1"); 5];
        assert!(cut_latest(&mut one, asked()).is_empty());
        assert_eq!(one.len(), 3, "one conversation is shown as far as it fits");
    }
}
