//! `conversation.created`, `.info.updated`, `.invited`, `group.announcement` → members.

use gochat_core::audience::Roster;
use gochat_core::ids::SeqId;
use gochat_core::own_state::OwnState;
use gochat_core::session::frame::{
    AnnouncementText, ConversationChange, ConversationState, ConversationUpdated, GroupInvitation,
    HiddenMessage,
};
use gochat_core::signal::Signal;
use gochat_proto::common::v1::{Announcement, Conversation};
use serde::Deserialize;

use super::event::Event;
use super::{Events, Reaction};
use crate::repo::roster;

#[derive(Deserialize)]
struct Updated {
    #[serde(default)]
    updated_fields: Vec<String>,
}

#[derive(Deserialize)]
struct Invitation {
    invitation_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    expires_at: i64,
}

#[derive(Deserialize)]
struct OwnStateChanged {
    my: OwnState,
    #[serde(default)]
    hidden: Option<Gone>,
    #[serde(default)]
    announcement_read: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gone {
    message_id: String,
    seq_id: SeqId,
}

impl Events {
    /// Everybody in it sees a new conversation.
    pub(super) async fn created(&self, event: &Event) -> Reaction {
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(());
        };
        let payload = updated(event, &["created"], whole(&conversation));
        self.tell_members(
            event,
            Signal::ConversationUpdated,
            &payload,
            &event.conversation_id,
        )
        .await
    }

    /// Members see the new values.
    pub(super) async fn info_updated(&self, event: &Event) -> Reaction {
        let Updated { updated_fields } = event.payload()?;
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(());
        };
        let fields: Vec<&str> = updated_fields.iter().map(String::as_str).collect();
        let mut change = whole(&conversation);
        for (field, value) in [
            ("name", &mut change.name),
            ("avatar_url", &mut change.avatar_url),
            ("description", &mut change.description),
            ("owner_id", &mut change.owner_id),
        ] {
            if !fields.contains(&field) {
                *value = None;
            }
        }
        let announced = conversation.announcement.as_ref();
        let is_announced = fields.contains(&"announcement");
        change.announcement = announced.filter(|_| is_announced).map(announcement);
        let fields: Vec<&str> = fields.into_iter().map(camel).collect();
        let payload = updated(event, &fields, change);
        self.tell_members(
            event,
            Signal::ConversationUpdated,
            &payload,
            &event.conversation_id,
        )
        .await
    }

    /// The invited user sees a conversation that is new to them.
    pub(super) async fn invited(&self, event: &Event) -> Reaction {
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(());
        };
        let payload = updated(event, &["created"], whole(&conversation));
        // Somebody may have removed the user again.
        let (id, target) = (&event.conversation_id, &event.target_user_id);
        let asked = [(id.clone(), vec![target.clone()])];
        let facts = self.repo.facts_now(asked, 0).await?;
        let roster = facts
            .first()
            .map(roster)
            .unwrap_or_else(|| Roster::loaded([]));
        let audience = roster.among(target.parse().ok());
        self.tell(event, Signal::ConversationUpdated, &payload, &audience)
            .await
    }

    /// The user who is asked for consent.
    pub(super) async fn invitation(&self, event: &Event) -> Reaction {
        let told: Invitation = event.payload()?;
        let payload = GroupInvitation {
            invitation_id: told.invitation_id.into(),
            conversation_id: event.conversation_id.as_str().into(),
            name: told.name.into(),
            inviter_id: event.operator_id.as_str().into(),
            expires_at: told.expires_at,
        };
        let user = &event.target_user_id;
        self.tell_own(event, Signal::GroupInvitation, &payload, user)
            .await
    }

    /// The user's own devices, about what the user keeps about a conversation alone.
    pub(super) async fn own_state_changed(&self, event: &Event) -> Reaction {
        let changed: OwnStateChanged = event.payload()?;
        let payload = ConversationState {
            conversation_id: event.conversation_id.as_str().into(),
            my: changed.my,
            hidden: changed.hidden.map(|gone| HiddenMessage {
                message_id: gone.message_id.into(),
                seq_id: gone.seq_id,
            }),
            announcement_read: changed.announcement_read,
        };
        let user = &event.target_user_id;
        self.tell_own(event, Signal::ConversationState, &payload, user)
            .await
    }

    /// Members are told to look at the settings again.
    pub(super) async fn announced(&self, event: &Event) -> Reaction {
        let change = ConversationChange {
            id: event.conversation_id.as_str().into(),
            ..Default::default()
        };
        let payload = updated(event, &["announcement"], change);
        self.tell_members(
            event,
            Signal::ConversationUpdated,
            &payload,
            &event.conversation_id,
        )
        .await
    }
}

pub(super) fn updated<'a>(
    event: &'a Event,
    fields: &[&'a str],
    conversation: ConversationChange<'a>,
) -> ConversationUpdated<'a> {
    ConversationUpdated {
        conversation_id: event.conversation_id.as_str().into(),
        updated_fields: fields.iter().map(|field| (*field).into()).collect(),
        conversation,
        operator_id: event.operator_id.as_str().into(),
    }
}

/// All a client draws of a conversation that doesn't depend on who looks.
fn whole(conversation: &Conversation) -> ConversationChange<'_> {
    let text = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned().into());
    ConversationChange {
        id: conversation.id.as_str().into(),
        kind: Some(conversation.r#type),
        name: text(&conversation.name),
        avatar_url: text(&conversation.avatar_url),
        description: text(&conversation.description),
        owner_id: text(&conversation.owner_id),
        member_count: Some(conversation.member_count.into()),
        updated_at: Some(conversation.updated_at),
        announcement: None,
    }
}

fn announcement(announced: &Announcement) -> AnnouncementText<'_> {
    AnnouncementText {
        text: announced.text.as_str().into(),
        updated_at: announced.updated_at,
        operator_id: announced.operator_id.as_str().into(),
        version: u64::try_from(announced.version).unwrap_or(0),
    }
}

/// Field names as clients know them.
fn camel(field: &str) -> &str {
    match field {
        "avatar_url" => "avatarUrl",
        "owner_id" => "ownerId",
        other => other,
    }
}
