//! Which reactions are the caller's own.

use gochat_core::error::Result;
use gochat_core::ids::UserId;
use gochat_proto::common::v1::Message;
use gochat_proto::im::repo::v1 as repo;
use hashbrown::HashSet;

use crate::app::App;

/// Marks the reactions of `user` in messages of one conversation. Costs nothing when nobody reacted
/// to them.
pub(crate) async fn mark(app: &App, user: UserId, messages: &mut [Message]) -> Result<()> {
    let reacted = messages.iter().filter(|m| !m.reactions.is_empty());
    let message_ids: Vec<String> = reacted.map(|m| m.id.clone()).collect();
    if message_ids.is_empty() {
        return Ok(());
    }
    let request = repo::ListOwnReactionsRequest {
        conversation_id: messages[0].conversation_id.clone(),
        user_id: user.to_string(),
        message_ids,
    };
    let own = app.repo.own_reactions(request).await?.reactions;
    let own: HashSet<(&str, &str)> = own.iter().map(|r| (&*r.message_id, &*r.emoji)).collect();
    for message in messages {
        for reaction in &mut message.reactions {
            reaction.mine = own.contains(&(&*message.id, &*reaction.emoji));
        }
    }
    Ok(())
}
