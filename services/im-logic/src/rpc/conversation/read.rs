//! Read pointers and unread counts.

use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::ConversationId;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use crate::app::App;

/// `MarkAsRead`: sequence number 0 is the newest. Only a pointer that moved is told.
pub(super) async fn mark(
    app: &App,
    request: pb::MarkAsReadRequest,
) -> Result<pb::MarkAsReadResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    parse::seq(request.seq_id)?;
    parse::seq(request.at_least_seq_id)?;
    app.repo.facts(id, &[user]).await?.readable_by(user)?;
    if request.seq_id == 0 {
        // The newest is what was acknowledged, not what has a row already.
        app.facts.rows_written_soon(id).await;
    }
    let report = repo::UpdateReadPointerRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        seq_id: request.seq_id,
    };
    let mut outcome = app.repo.update_read_pointer(report.clone()).await?;
    let before = outcome.previous_read_seq_id;
    let mut moved = outcome.changed;
    let mut unmarked = outcome.my.take();
    if outcome.last_read_seq_id < request.seq_id {
        // A message can be read before its row is written.
        app.facts.rows_written_soon(id).await;
        outcome = app.repo.update_read_pointer(report).await?;
        moved |= outcome.changed;
        unmarked = outcome.my.take().or(unmarked);
    }
    if moved {
        let (from, to) = (parse::seq(before)?, parse::seq(outcome.last_read_seq_id)?);
        app.events.read(id, user, from, to).await;
    }
    if let Some(my) = unmarked {
        app.events.own_state(id, user, &my, None).await;
    }
    // What the reader was told of and means, as far as that is known to exist.
    let owed = match request.seq_id {
        0 => request.at_least_seq_id,
        seq => seq.min(request.at_least_seq_id),
    };
    let behind = outcome.last_read_seq_id < owed;
    Ok(pb::MarkAsReadResponse {
        behind,
        head_seq_id: if behind { owed } else { 0 },
        success: outcome.last_read_seq_id >= request.seq_id,
        unread_count: outcome.unread_count,
        last_read_seq_id: outcome.last_read_seq_id,
    })
}

/// `GetUnreadCount`: of one conversation, or of all.
pub(super) async fn unread(
    app: &App,
    request: pb::GetUnreadCountRequest,
) -> Result<pb::GetUnreadCountResponse> {
    let user = parse::user(&request.user_id)?;
    let mut conversation_ids = Vec::new();
    if !request.conversation_id.is_empty() {
        let id = parse::conversation(&request.conversation_id)?;
        conversation_ids.push(id.to_string());
    }
    let one = !conversation_ids.is_empty();
    let query = repo::BatchGetUnreadCountsRequest {
        user_id: user.to_string(),
        conversation_ids,
        at_least: request.at_least,
    };
    let answer = app.repo.unread_counts(query).await?;
    let counts = answer.unread_counts;
    // Conversations one isn't in are left out of the answer; everybody is in the world chat.
    if one && counts.is_empty() && request.conversation_id != ConversationId::World.to_string() {
        return Err(ErrorCode::NotConversationMember.into());
    }
    let mut conversations: Vec<_> = counts
        .into_iter()
        .map(|(conversation_id, unread_count)| pb::ConversationUnread {
            conversation_id,
            unread_count,
        })
        .collect();
    conversations.sort_unstable_by(|a, b| a.conversation_id.cmp(&b.conversation_id));
    Ok(pb::GetUnreadCountResponse {
        unread_count: conversations.iter().map(|c| c.unread_count).sum(),
        conversations,
        behind: answer.behind,
    })
}
