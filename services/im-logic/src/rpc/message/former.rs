//! What messages said before they were edited.

use gochat_core::error::Result;
use gochat_core::membership::Action;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::conversation::history::wide;
use super::super::conversation::visible;
use super::super::parse;
use crate::app::App;

/// `ListFormerTexts`: admins and the owner of the group. A message that was recalled has none, nor
/// has one for who deleted it for themselves; what was kept stays readable when the group stops
/// keeping.
pub(super) async fn list(
    app: &App,
    request: pb::ListFormerTextsRequest,
) -> Result<pb::ListFormerTextsResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let message = parse::message(&request.message_id)?;
    let told = parse::seq(request.at_least_rev)?;
    let facts = app.repo.facts(id, &[user]).await?;
    facts.readable_by(user)?.may(Action::ReadFormerTexts)?;
    let message = visible::message(app, &facts, id, message, user).await?;
    if message.hidden {
        return Ok(pb::ListFormerTextsResponse::default());
    }
    let query = repo::ListFormerTextsRequest {
        conversation_id: id.to_string(),
        seq_id: message.seq_id,
        // The head was read from the primary a moment ago.
        at_least_rev: wide(told.max(facts.head_rev)),
    };
    let kept = app.repo.former_texts(query).await?;
    Ok(pb::ListFormerTextsResponse {
        texts: kept.texts,
        behind: kept.behind,
    })
}
