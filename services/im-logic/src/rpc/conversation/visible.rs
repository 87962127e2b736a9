//! What a member may read of the time before the member joined.

use gochat_core::conversation::Settings;
use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::membership::Role;
use gochat_proto::common::v1::{Conversation, Message};
use gochat_proto::im::repo::v1 as repo;

use super::super::message::find;
use crate::app::App;
use crate::repo::Facts;

/// Returns the first Unix second whose messages `user` may read; `None` when all are open.
pub(crate) async fn since(
    app: &App,
    facts: &Facts,
    id: ConversationId,
    user: UserId,
) -> Result<Option<i64>> {
    let role = facts.role_of(user).unwrap_or(Role::Member);
    if !facts.settings.hides_earlier_from(role) {
        return Ok(None);
    }
    let request = repo::GetMemberRequest {
        conversation_id: id.to_string(),
        user_id: user.to_string(),
    };
    let member = app.repo.get_member(request).await?.member;
    Ok(member.map(|member| member.joined_at))
}

/// The stored message as `user` sees it.
///
/// # Errors
/// `MESSAGE_NOT_FOUND` when there is none, and for one of before the user may read, or that the user
/// cleared away.
pub(crate) async fn message(
    app: &App,
    facts: &Facts,
    id: ConversationId,
    message: MessageId,
    user: UserId,
) -> Result<repo::RepoMessage> {
    let stored = find(app, message, id.to_string(), Some(user)).await?;
    not_earlier(app, facts, id, user, stored).await
}

/// The message as it is stored, whatever `user` deleted for themselves.
///
/// # Errors
/// `MESSAGE_NOT_FOUND` when there is none, and for one of before the user may read.
pub(super) async fn stored(
    app: &App,
    facts: &Facts,
    id: ConversationId,
    message: MessageId,
    user: UserId,
) -> Result<repo::RepoMessage> {
    let stored = find(app, message, id.to_string(), None).await?;
    not_earlier(app, facts, id, user, stored).await
}

async fn not_earlier(
    app: &App,
    facts: &Facts,
    id: ConversationId,
    user: UserId,
    stored: repo::RepoMessage,
) -> Result<repo::RepoMessage> {
    let since = since(app, facts, id, user).await?;
    match since.is_none_or(|since| stored.created_at >= since) {
        true => Ok(stored),
        false => Err(ErrorCode::MessageNotFound.into()),
    }
}

/// Takes away what is quoted of messages that the reader may not read. That they are answered stays.
pub(crate) fn hide_quotes(since: Option<i64>, messages: &mut [Message]) {
    let Some(since) = since else {
        return;
    };
    for message in messages {
        if let Some(quote) = message.reply_to.as_mut().filter(|q| q.created_at < since) {
            quote.excerpt.clear();
        }
    }
}

/// The same for one message, whose conversation is looked at only when it quotes something.
pub(crate) async fn hide_quote(
    app: &App,
    id: ConversationId,
    user: UserId,
    message: &mut Message,
) -> Result<()> {
    let quotes = message.reply_to.as_ref();
    if quotes.is_some_and(|quote| !quote.excerpt.is_empty()) {
        let facts = app.repo.facts(id, &[user]).await?;
        let since = since(app, &facts, id, user).await?;
        hide_quotes(since, std::slice::from_mut(message));
    }
    Ok(())
}

/// Reads a page without the messages before `since`. Numbers grow with time, so the visible ones
/// are a stretch at the end.
pub(super) async fn page(
    app: &App,
    mut range: repo::GetConversationMessagesRequest,
    since: i64,
) -> Result<repo::GetConversationMessagesResponse> {
    let mut page = app.repo.get_messages(range.clone()).await?;
    let is_hidden = |m: &repo::RepoMessage| m.created_at < since;
    if range.ascending && page.has_more && page.messages.last().is_some_and(is_hidden) {
        range.start_seq_id = first_since(app, &range, since).await?;
        page = app.repo.get_messages(range.clone()).await?;
    }
    let found = page.messages.len();
    page.messages.retain(|m| !is_hidden(m));
    if !range.ascending && page.messages.len() < found {
        page.has_more = false;
    }
    Ok(page)
}

/// The number of the first visible message, found by halving: at most 63 short reads, for a reader
/// that starts long before it joined.
pub(super) async fn first_since(
    app: &App,
    range: &repo::GetConversationMessagesRequest,
    since: i64,
) -> Result<i64> {
    let newest = repo::GetConversationMessagesRequest {
        start_seq_id: 0,
        end_seq_id: 0,
        limit: 1,
        ascending: false,
        at_least_rev: 0,
        // What this reader cleared away makes no difference here, and would cost a look-up each.
        reader_id: String::new(),
        ..range.clone()
    };
    let newest = app.repo.get_messages(newest).await?;
    let (mut low, mut high) = (
        range.start_seq_id.max(1),
        newest.messages.first().map_or(0, |m| m.seq_id) + 1,
    );
    while low < high {
        let middle = low + (high - low) / 2;
        let one = repo::GetConversationMessagesRequest {
            start_seq_id: middle,
            end_seq_id: 0,
            limit: 1,
            ascending: true,
            at_least_rev: 0,
            reader_id: String::new(),
            ..range.clone()
        };
        let found = app
            .repo
            .get_messages(one)
            .await?
            .messages
            .into_iter()
            .next();
        match found {
            Some(message) if message.created_at < since => low = message.seq_id + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Takes away a newest message that the member may not read.
pub(super) fn without_earlier(mut conversation: Conversation) -> Conversation {
    // Settings are rarely there, and parsing them for each row of a list would cost more than the
    // list.
    if !conversation.settings.contains("allow_member_view_history") {
        return conversation;
    }
    let Some(member) = &conversation.my_membership else {
        return conversation;
    };
    let role = Role::from_i32(member.role).unwrap_or(Role::Member);
    let id: Option<ConversationId> = conversation.id.parse().ok();
    let hides = id
        .and_then(|id| Settings::parse(id.kind(), &conversation.settings).ok())
        .is_some_and(|settings| settings.hides_earlier_from(role));
    let joined_at = member.joined_at;
    let newest = conversation.last_message.take();
    conversation.last_message = newest.filter(|m| !hides || m.created_at >= joined_at);
    conversation
}
