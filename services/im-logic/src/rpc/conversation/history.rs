//! Reading messages.

use gochat_core::error::Result;
use gochat_core::ids::SeqId;
use gochat_proto::common::v1::{Message, UserInfo};
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::{around, mine, visible};
use crate::app::App;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 100;

/// `GetMessages`: members only. Recalled messages keep their place and have no content.
pub(super) async fn get(
    app: &App,
    request: pb::GetMessagesRequest,
) -> Result<pb::GetMessagesResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    parse::seq(request.start_seq_id)?;
    parse::seq(request.end_seq_id)?;
    let told = parse::seq(request.at_least_seq_id)?;
    let around = parse::seq(request.around_seq_id)?;
    parse::seq(request.at_least_rev)?;
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    if around > 0 {
        let limit = parse::page(1, request.limit, LIMIT_DEFAULT, LIMIT_MAX).1;
        let wish = around::Wish {
            id,
            seq: around,
            limit: limit.unsigned_abs(),
            head: told.max(facts.head),
            rev: request.at_least_rev,
            reader: user,
            since: visible::since(app, &facts, id, user).await?,
        };
        let mut answer = around::read(app, wish).await?.answer(wish.head);
        visible::hide_quotes(wish.since, &mut answer.messages);
        mine::mark(app, user, &mut answer.messages).await?;
        return Ok(answer);
    }
    let range = repo::GetConversationMessagesRequest {
        conversation_id: id.to_string(),
        start_seq_id: request.start_seq_id,
        end_seq_id: request.end_seq_id,
        limit: parse::page(1, request.limit, LIMIT_DEFAULT, LIMIT_MAX).1,
        ascending: request.ascending,
        // The head was read from the primary a moment ago: a replica must not be behind it either.
        at_least_seq_id: wide(told.max(facts.head)),
        at_least_rev: request.at_least_rev,
        reader_id: user.to_string(),
    };
    let since = visible::since(app, &facts, id, user).await?;
    let page = match since {
        None => app.repo.get_messages(range).await?,
        Some(since) => visible::page(app, range, since).await?,
    };
    let edges = page
        .messages
        .first()
        .zip(page.messages.last())
        .map(|(a, b)| (a.seq_id, b.seq_id));
    let (next, prev) = neighbours(edges, request.ascending, page.has_more, facts.head);
    let wanted = |m: &repo::RepoMessage| {
        request.type_filter.is_empty() || request.type_filter.contains(&m.message_type)
    };
    let messages = page.messages.into_iter().filter(wanted);
    let mut messages: Vec<_> = messages.map(message).collect();
    visible::hide_quotes(since, &mut messages);
    mine::mark(app, user, &mut messages).await?;
    Ok(pb::GetMessagesResponse {
        messages,
        has_more: page.has_more,
        next_seq_id: next,
        prev_seq_id: prev,
        behind: page.behind,
        head_seq_id: wide(told.max(facts.head)),
    })
}

pub(crate) fn wide(seq: SeqId) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// Where a reader of a page goes on, and where one who turns round does; 0 = nothing there.
fn neighbours(
    edges: Option<(i64, i64)>,
    ascending: bool,
    has_more: bool,
    head: SeqId,
) -> (i64, i64) {
    let Some((first, last)) = edges else {
        return (0, 0);
    };
    let head = wide(head);
    let (next, prev) = if ascending {
        (last + 1, first - 1)
    } else {
        (last - 1, first + 1)
    };
    let prev = if prev <= head { prev } else { 0 };
    (if has_more { next } else { 0 }, prev)
}

/// A stored message as clients get it.
pub(crate) fn message(stored: repo::RepoMessage) -> Message {
    let sender = stored.sender.unwrap_or_else(|| UserInfo {
        id: stored.sender_id,
        ..Default::default()
    });
    let blank = |text| if stored.deleted { String::new() } else { text };
    let mention_ids = match stored.deleted {
        true => Vec::new(),
        false => stored.mention_ids,
    };
    Message {
        id: stored.id,
        conversation_id: stored.conversation_id,
        sender: Some(sender),
        r#type: stored.message_type,
        content: blank(stored.content),
        seq_id: stored.seq_id,
        client_msg_id: stored.client_msg_id,
        deleted: stored.deleted,
        extra: blank(stored.extra),
        created_at: stored.created_at,
        updated_at: stored.updated_at,
        rev: stored.rev,
        edited_at: stored.edited_at,
        edit_count: stored.edit_count,
        reactions: stored.reactions,
        pinned: stored.pinned,
        reply_to: stored.reply_to.filter(|_| !stored.deleted),
        mention_ids,
        mention_all: stored.mention_all && !stored.deleted,
        forwarded_from: stored.forwarded_from.filter(|_| !stored.deleted),
        hidden: stored.hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lead_on_and_back() {
        // Newest first: 10, 9, 8 of 12, more below.
        assert_eq!(neighbours(Some((10, 8)), false, true, 12), (7, 11));
        // Oldest first: 8, 9, 10 of 12.
        assert_eq!(neighbours(Some((8, 10)), true, true, 12), (11, 7));
    }

    #[test]
    fn at_the_ends_nothing_follows() {
        assert_eq!(neighbours(Some((12, 1)), false, false, 12), (0, 0));
        assert_eq!(neighbours(Some((1, 12)), true, false, 12), (0, 0));
        assert_eq!(neighbours(None, true, false, 12), (0, 0));
    }

    #[test]
    fn a_recalled_message_has_no_content() {
        let stored = repo::RepoMessage {
            content: "secret".into(),
            extra: "{}".into(),
            deleted: true,
            ..Default::default()
        };
        let shown = message(stored);
        assert_eq!((shown.content.as_str(), shown.extra.as_str()), ("", ""));
    }
}
