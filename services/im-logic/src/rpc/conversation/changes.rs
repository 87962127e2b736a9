//! Catching up on messages that are new or changed.

use gochat_core::error::Result;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::history::message;
use super::{mine, visible};
use crate::app::App;

const LIMIT_DEFAULT: i32 = 50;
const LIMIT_MAX: i32 = 200;

/// `ListChanges`: members only. Messages of before a member may read are left out; the page goes on
/// behind them all the same.
pub(super) async fn list(
    app: &App,
    request: pb::ListChangesRequest,
) -> Result<pb::ListChangesResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    parse::seq(request.after_rev)?;
    let told = parse::seq(request.at_least_rev)?;
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    // The head was read from the primary a moment ago: a replica must not be behind it either.
    let known = super::history::wide(told.max(facts.head_rev));
    let query = repo::ListChangesRequest {
        conversation_id: id.to_string(),
        after_rev: request.after_rev,
        limit: parse::page(1, request.limit, LIMIT_DEFAULT, LIMIT_MAX).1,
        at_least_rev: known,
        reader_id: user.to_string(),
    };
    let since = visible::since(app, &facts, id, user).await?;
    let page = app.repo.list_changes(query).await?;
    let is_shown = |m: &repo::RepoMessage| since.is_none_or(|since| m.created_at >= since);
    let messages = page.messages.into_iter().filter(is_shown);
    let mut messages: Vec<_> = messages.map(message).collect();
    visible::hide_quotes(since, &mut messages);
    mine::mark(app, user, &mut messages).await?;
    Ok(pb::ListChangesResponse {
        messages,
        complete_to: page.complete_to,
        head_rev: page.head_rev.max(known),
        has_more: page.has_more,
        behind: page.behind,
    })
}
