//! Reactions and pins.

use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::message::ChangeKind;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::conversation::history::{self, wide};
use super::super::conversation::{mine, visible};
use super::super::parse;
use super::readable;
use crate::app::{App, ChangeWish};

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 100;

/// By members who may write, within the bounds of the message. Answers with the reactions as they
/// are now, which may show later ones too.
pub(super) async fn react(app: &App, request: pb::ReactRequest) -> Result<pb::ReactResponse> {
    let conversation = parse::conversation(&request.conversation_id)?;
    let operator = parse::user(&request.operator_id)?;
    let wish = ChangeWish {
        conversation,
        target: parse::message(&request.message_id)?,
        operator,
        kind: match request.remove {
            true => ChangeKind::Unreact,
            false => ChangeKind::React,
        },
        content: request.emoji,
        extra: String::new(),
        client_msg_id: request.client_msg_id,
        resend: request.resend,
    };
    let changed = app.sender.change(wish, &crate::trace::current()).await?;
    let stored = readable(app, conversation, changed).await?;
    let mut messages = [history::message(stored)];
    mine::mark(app, operator, &mut messages).await?;
    let [message] = messages;
    Ok(pb::ReactResponse {
        seq_id: wide(changed.seq),
        rev: wide(changed.rev),
        reactions: message.reactions,
    })
}

/// By both sides of a single chat, and by whom the settings of a group allow it.
pub(super) async fn pin(
    app: &App,
    request: pb::PinMessageRequest,
) -> Result<pb::PinMessageResponse> {
    let conversation = parse::conversation(&request.conversation_id)?;
    let wish = ChangeWish {
        conversation,
        target: parse::message(&request.message_id)?,
        operator: parse::user(&request.operator_id)?,
        kind: match request.remove {
            true => ChangeKind::Unpin,
            false => ChangeKind::Pin,
        },
        content: String::new(),
        extra: String::new(),
        client_msg_id: request.client_msg_id,
        resend: request.resend,
    };
    let changed = app.sender.change(wish, &crate::trace::current()).await?;
    // Who asks next finds it done. The pin stands, also when nobody can tell.
    if let Err(error) = readable(app, conversation, changed).await {
        tracing::debug!(%error, "a pin was accepted and can't be read yet");
    }
    // The transaction of the pin wrote down what the group is owed. After a pin by a socket nobody
    // calls this: the next sweep finds it.
    app.owed.settle(conversation);
    Ok(pb::PinMessageResponse {
        seq_id: wide(changed.seq),
        rev: wide(changed.rev),
    })
}

/// `ListReactions`: members only, of messages that the member may read.
pub(super) async fn list(
    app: &App,
    request: pb::ListReactionsRequest,
) -> Result<pb::ListReactionsResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let message = parse::message(&request.message_id)?;
    let after_rev = match request.cursor.as_str() {
        "" => 0,
        cursor => {
            let rev = cursor.parse().ok().filter(|rev| *rev > 0);
            let no_cursor = || Error::new(ErrorCode::InvalidParams, "This is no cursor of ours.");
            rev.ok_or_else(no_cursor)?
        }
    };
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    let stored = visible::message(app, &facts, id, message, user).await?;
    if stored.hidden {
        return Err(ErrorCode::MessageNotFound.into());
    }
    let query = repo::ListReactionsRequest {
        conversation_id: id.to_string(),
        message_id: message.to_string(),
        emoji: request.emoji,
        after_rev,
        limit: parse::page(1, request.limit, LIMIT_DEFAULT, LIMIT_MAX).1,
    };
    let page = app.repo.reactions(query).await?;
    let last = page.reactions.last().filter(|_| page.has_more);
    Ok(pb::ListReactionsResponse {
        next_cursor: last.map(|last| last.rev.to_string()).unwrap_or_default(),
        has_more: page.has_more,
        reactions: page.reactions.into_iter().map(entry).collect(),
    })
}

fn entry(reaction: repo::UserReaction) -> pb::UserReaction {
    pb::UserReaction {
        emoji: reaction.emoji,
        user: reaction.user,
        created_at: reaction.created_at,
    }
}

/// `ListPins`: members only. Messages of before a member may read are left out.
pub(super) async fn pins(app: &App, request: pb::ListPinsRequest) -> Result<pb::ListPinsResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let told = parse::seq(request.at_least_rev)?;
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    let query = repo::ListPinsRequest {
        conversation_id: id.to_string(),
        // The head was read from the primary a moment ago: a replica must not be behind it either.
        at_least_rev: wide(told.max(facts.head_rev)),
        reader_id: user.to_string(),
    };
    let since = visible::since(app, &facts, id, user).await?;
    let page = app.repo.pins(query).await?;
    let is_shown = |m: &repo::RepoMessage| since.is_none_or(|since| m.created_at >= since);
    let messages = page.messages.into_iter().filter(is_shown);
    let mut messages: Vec<_> = messages.map(history::message).collect();
    visible::hide_quotes(since, &mut messages);
    mine::mark(app, user, &mut messages).await?;
    Ok(pb::ListPinsResponse {
        messages,
        behind: page.behind,
    })
}
