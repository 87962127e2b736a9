//! History around a number: where a reader jumps to, with what was said before and after it.

use gochat_core::error::Result;
use gochat_core::history;
use gochat_core::ids::{ConversationId, SeqId, UserId};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::history::{message, wide};
use super::visible;
use crate::app::App;

/// Message to read around.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) id: ConversationId,
    pub(super) seq: SeqId,
    pub(super) limit: u32,
    /// The newest number known of.
    pub(super) head: SeqId,
    /// A `rev` the reader was told of; 0 = none.
    pub(super) rev: i64,
    pub(super) reader: UserId,
    /// First Unix second whose messages the reader may see; `None` when all are open.
    pub(super) since: Option<i64>,
}

/// Both halves of the page.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Oldest first.
    pub(super) messages: Vec<repo::RepoMessage>,
    /// The first number before the page; 0 when there is none that the reader may see.
    pub(super) prev: i64,
    /// The first number behind the page; 0 when there is none.
    pub(super) next: i64,
    pub(super) behind: bool,
    /// The first number that the reader has not cleared away.
    first: SeqId,
}

impl Page {
    pub(super) fn answer(self, head: SeqId) -> pb::GetMessagesResponse {
        pb::GetMessagesResponse {
            messages: self.messages.into_iter().map(message).collect(),
            has_more: self.next > 0,
            next_seq_id: self.next,
            prev_seq_id: self.prev,
            behind: self.behind,
            head_seq_id: wide(head),
        }
    }
}

/// Reads the page. Messages at its beginning that the reader doesn't see make room for more at its
/// end.
pub(super) async fn read(app: &App, wish: Wish) -> Result<Page> {
    let mut page = between(app, wish, 1).await?;
    if page.first > 1 {
        page = between(app, wish, page.first).await?;
    }
    let Some(since) = wish.since else {
        return Ok(page);
    };
    let is_hidden = |m: &repo::RepoMessage| m.created_at < since;
    let hidden = page.messages.iter().take_while(|m| is_hidden(m)).count();
    if hidden == 0 {
        return Ok(page);
    }
    let first = match page.messages.get(hidden) {
        Some(first) => first.seq_id,
        None => visible::first_since(app, &range(wish, 1, 0, true), since).await?,
    };
    between(app, wish, page.first.max(seq_of(first))).await
}

/// Reads around the number among those from `first` on: from the number upwards and downwards from
/// the one before it, so that a page that is cut by its bytes is cut at its ends.
async fn between(app: &App, wish: Wish, first: SeqId) -> Result<Page> {
    let Some((from, to)) = history::around(wish.seq, wish.limit, first, wish.head) else {
        return Ok(Page::default());
    };
    let middle = wish.seq.clamp(from, to);
    let up = app.repo.get_messages(range(wish, middle, to, true));
    let down = async {
        if middle == from {
            return Ok(repo::GetConversationMessagesResponse::default());
        }
        app.repo
            .get_messages(range(wish, from, middle - 1, false))
            .await
    };
    let (up, down) = tokio::try_join!(up, down)?;
    let first = first.max(seq_of(up.first_seq_id));
    let mut messages = down.messages;
    messages.reverse();
    messages.extend(up.messages);
    let before = messages.first().map_or(0, |m| m.seq_id - 1);
    let behind = messages.last().map_or(0, |m| m.seq_id + 1);
    Ok(Page {
        prev: if before >= wide(first) { before } else { 0 },
        next: if behind <= wide(wish.head) { behind } else { 0 },
        behind: up.behind || down.behind,
        messages,
        first,
    })
}

fn seq_of(wide: i64) -> SeqId {
    SeqId::try_from(wide).unwrap_or(1)
}

/// A stretch in either direction. Its rows are waited for while they are on their way.
fn range(
    wish: Wish,
    low: SeqId,
    high: SeqId,
    ascending: bool,
) -> repo::GetConversationMessagesRequest {
    let (start, end) = if ascending { (low, high) } else { (high, low) };
    repo::GetConversationMessagesRequest {
        conversation_id: wish.id.to_string(),
        start_seq_id: wide(start),
        end_seq_id: wide(end),
        limit: i32::try_from(wish.limit).unwrap_or(i32::MAX),
        ascending,
        at_least_seq_id: wide(wish.head),
        at_least_rev: wish.rev,
        reader_id: wish.reader.to_string(),
    }
}
