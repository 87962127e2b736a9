//! Changing and deleting conversations.

use gochat_core::conversation::{
    Deletion, Info, InfoPatch, Settings, decide_delete, decide_update,
};
use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, ConversationKind};
use gochat_core::membership::{GroupEvent, decide_dissolve};
use gochat_proto::common::v1::Conversation;
use gochat_proto::im::logic::v1 as pb;
use gochat_proto::im::repo::v1 as repo;

use super::super::parse;
use super::view;
use crate::app::App;
use crate::events::Subject;
use crate::repo::present;

/// What events say of a stored conversation.
pub(super) fn subject(id: ConversationId, conversation: &Conversation) -> Subject<'_> {
    Subject {
        id,
        name: &conversation.name,
        avatar_url: &conversation.avatar_url,
        description: &conversation.description,
        owner_id: &conversation.owner_id,
    }
}

/// `UpdateConversation`: admins and the owner, of groups.
pub(crate) async fn update(
    app: &App,
    request: pb::UpdateConversationRequest,
) -> Result<pb::UpdateConversationResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    let standing = facts.readable_by(user)?;
    let current = view::stored(app, id).await?;
    let patch = patch(&request)?;
    let info = Info {
        name: current.name.clone(),
        avatar_url: current.avatar_url.clone(),
        description: current.description.clone(),
        settings: Settings::parse(facts.kind, &current.settings)
            .unwrap_or_else(|_| Settings::defaults(facts.kind)),
        announcement: current.announcement.clone().unwrap_or_default().text,
    };
    let update = decide_update(facts.kind, standing, &info, &patch)?;
    if update.is_empty() {
        // Nothing is written that could be judged with its version.
        if request
            .expected_version
            .is_some_and(|seen| seen != current.version)
        {
            return Err(ErrorCode::VersionConflict.into());
        }
        let conversation = view::seen_by(app, current, id, user).await?;
        return Ok(pb::UpdateConversationResponse {
            conversation: Some(conversation),
        });
    }
    app.budgets.edit(user, facts.group.member_count).await?;
    let new = |field| update.new_value(field).unwrap_or_default().to_owned();
    let write = repo::UpdateConversationRequest {
        conversation_id: id.to_string(),
        name: new("name"),
        avatar_url: new("avatar_url"),
        description: new("description"),
        settings: new("settings"),
        announcement: new("announcement"),
        update_mask: update.names().map(str::to_owned).collect(),
        expected_updated_at: request.expected_updated_at,
        expected_version: request.expected_version,
        operator_id: user.to_string(),
    };
    let conversation = present(app.repo.update_conversation(write).await?.conversation)?;
    let rules_changed = update.new_value("settings").is_some();
    let events = [GroupEvent::InfoUpdated {
        fields: update.fields,
        by: user,
    }];
    app.events
        .conversation(&subject(id, &conversation), user, &events)
        .await;
    let announced = match rules_changed {
        true => app.facts.announce(id).await,
        false => Ok(()),
    };
    app.owed.settle(id);
    announced?;
    // The edit is done: a refusal because its author has left the group meanwhile would deny it.
    let conversation = match view::seen_by(app, conversation.clone(), id, user).await {
        Err(error) if !error.is_retryable() => conversation,
        seen => seen?,
    };
    Ok(pb::UpdateConversationResponse {
        conversation: Some(conversation),
    })
}

/// The version isn't judged here: im-repo compares it in the same transaction as the write.
fn patch(request: &pb::UpdateConversationRequest) -> Result<InfoPatch> {
    let mask = &request.update_mask;
    let settings = parse::masked(mask, &["settings", "settings_json"], &request.settings_json)
        .map(|json| Settings::parse(ConversationKind::Group, &json))
        .transpose()?;
    Ok(InfoPatch {
        name: parse::masked(mask, &["name"], &request.name),
        avatar_url: parse::masked(mask, &["avatar_url", "avatarUrl"], &request.avatar_url),
        description: parse::masked(mask, &["description"], &request.description),
        settings,
        announcement: parse::masked(mask, &["announcement"], &request.announcement),
    })
}

/// `DeleteConversation`: the owner dissolves a group, anybody hides a single chat.
pub(super) async fn delete(
    app: &App,
    request: pb::DeleteConversationRequest,
) -> Result<pb::DeleteConversationResponse> {
    let user = parse::user(&request.user_id)?;
    let id = parse::conversation(&request.conversation_id)?;
    let facts = app.repo.facts(id, &[user]).await?;
    match decide_delete(facts.kind, facts.role_of(user))? {
        Deletion::Hide => {
            let hide = repo::HideConversationRequest {
                user_id: user.to_string(),
                conversation_id: id.to_string(),
            };
            app.repo.hide_conversation(hide).await?;
        }
        Deletion::Dissolve => {
            decide_dissolve(&facts.group, facts.standing(user))?;
            let current = view::stored(app, id).await?;
            let dissolve = repo::DeleteConversationRequest {
                conversation_id: id.to_string(),
                operator_id: user.to_string(),
            };
            app.repo.delete_conversation(dissolve).await?;
            let field = ("dissolved", "false".to_owned(), "true".to_owned());
            let events = [GroupEvent::InfoUpdated {
                fields: vec![field],
                by: user,
            }];
            app.events
                .conversation(&subject(id, &current), user, &events)
                .await;
            app.facts.announce(id).await?;
        }
    }
    Ok(pb::DeleteConversationResponse { success: true })
}
