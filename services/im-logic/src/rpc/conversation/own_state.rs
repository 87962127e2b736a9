//! Own state of a conversation.

use gochat_core::error::Result;
use gochat_core::session::frame::HiddenMessage;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::visible;
use crate::app::App;
use crate::repo::present;

/// `UpdateOwnState`: members only. Only a state that changed is told to the user's devices.
pub(super) async fn update(
    app: &App,
    request: pb::UpdateOwnStateRequest,
) -> Result<pb::UpdateOwnStateResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    app.repo.facts(id, &[user]).await?.readable_by(user)?;
    let change = repo::ChangeOwnStateRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        change: request.change,
    };
    let done = app.repo.change_own_state(change).await?;
    let my = present(done.my)?;
    if done.changed {
        app.events.own_state(id, user, &my, None).await;
    }
    Ok(pb::UpdateOwnStateResponse { my: Some(my) })
}

/// `HideMessage`: members only, of messages that they may read. One that was cleared away before
/// stays so.
pub(super) async fn hide(
    app: &App,
    request: pb::HideMessageRequest,
) -> Result<pb::HideMessageResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let message = parse::message(&request.message_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?;
    let stored = visible::stored(app, &facts, id, message, user).await?;
    let hiding = repo::HideMessageRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        message_id: stored.id.clone(),
        seq_id: stored.seq_id,
    };
    let done = app.repo.hide_message(hiding).await?;
    let my = present(done.my)?;
    if done.changed {
        let gone = HiddenMessage {
            message_id: stored.id.into(),
            seq_id: parse::seq(stored.seq_id)?,
        };
        app.events.own_state(id, user, &my, Some(gone)).await;
    }
    Ok(pb::HideMessageResponse {
        seq_id: stored.seq_id,
        rev: stored.rev,
        my: Some(my),
    })
}

/// `ClearHistory`: members only. What goes is read, and the members learn of that as of any read
/// pointer.
pub(super) async fn clear(
    app: &App,
    request: pb::ClearHistoryRequest,
) -> Result<pb::ClearHistoryResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    parse::seq(request.up_to_seq_id)?;
    app.repo.facts(id, &[user]).await?.readable_by(user)?;
    // The newest is what was acknowledged, not what has a row already.
    app.facts.rows_written_soon(id).await;
    let up_to_seq_id = match request.up_to_seq_id {
        // A number is named once: a call that is repeated must not clear what came in between.
        0 => super::history::wide(app.repo.facts(id, &[user]).await?.head),
        seq => seq,
    };
    if up_to_seq_id == 0 {
        // Nothing was said yet.
        let my = super::view::own_state(app, id, user).await?;
        return Ok(pb::ClearHistoryResponse { my: Some(my) });
    }
    let clearing = repo::ClearHistoryRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        up_to_seq_id,
    };
    let done = app.repo.clear_history(clearing).await?;
    let (my, read) = (present(done.my)?, present(done.read)?);
    if read.changed {
        let from = parse::seq(read.previous_read_seq_id)?;
        let to = parse::seq(read.last_read_seq_id)?;
        app.events.read(id, user, from, to).await;
    }
    if done.changed {
        app.events.own_state(id, user, &my, None).await;
    }
    Ok(pb::ClearHistoryResponse { my: Some(my) })
}

/// `ListHidden`: members only.
pub(super) async fn hidden(
    app: &App,
    request: pb::ListHiddenRequest,
) -> Result<pb::ListHiddenResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    parse::seq(request.after_version)?;
    app.repo.facts(id, &[user]).await?.readable_by(user)?;
    let query = repo::ListHiddenRequest {
        user_id: user.to_string(),
        conversation_id: id.to_string(),
        after_version: request.after_version,
        limit: request.limit,
    };
    let page = app.repo.list_hidden(query).await?;
    Ok(pb::ListHiddenResponse {
        messages: page.messages,
        has_more: page.has_more,
    })
}
