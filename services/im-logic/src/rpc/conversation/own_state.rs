//! Own state of a conversation.

use gochat_core::error::Result;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
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
        app.events.own_state(id, user, &my).await;
    }
    Ok(pb::UpdateOwnStateResponse { my: Some(my) })
}
