//! `group.member.*` and role changes → members.

use gochat_core::session::frame::{
    ConversationChange, ConversationUpdated, Member, MemberAdded, MemberRemoved,
};
use gochat_core::signal::{Change, Signal};
use gochat_proto::im::repo::v1::GetUsersRequest;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::conversations::updated;
use super::event::Event;
use super::friends::user;
use super::{Events, Reaction};

/// Members listed in one signal; who wants all of them loads the list.
const LISTED_MAX: usize = 100;
/// Role of whoever was just added.
const MEMBER: i32 = 1;

/// Payload of `group.member.changed`: the frame's data, and which frame it is.
#[derive(Serialize)]
struct Changed<T> {
    change: Change,
    #[serde(flatten)]
    data: T,
}

#[derive(Deserialize)]
struct Joined {
    user_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Gone {
    user_id: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct RoleUpdated {
    user_id: String,
    new_role: i32,
}

/// A role change is a `conversation-updated` that names the member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RoleChanged<'a> {
    #[serde(flatten)]
    frame: ConversationUpdated<'a>,
    members: [Member<'a>; 1],
}

impl Events {
    pub(super) async fn joined(&self, event: &Event) -> Reaction {
        let Joined { mut user_ids } = event.payload()?;
        user_ids.truncate(LISTED_MAX);
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(());
        };
        let request = GetUsersRequest {
            user_ids: user_ids.clone(),
        };
        let users: HashMap<_, _> = self
            .repo
            .users(request)
            .await?
            .users
            .into_iter()
            .map(|user| (user.id.clone(), user))
            .collect();
        let member = |id: &'_ String| Member {
            user_id: id.clone().into(),
            conversation_id: event.conversation_id.as_str().into(),
            role: MEMBER,
            muted: false,
            joined_at: event.timestamp,
            user: users.get(id).map(user),
        };
        let data = MemberAdded {
            conversation_id: event.conversation_id.as_str().into(),
            members: user_ids.iter().map(member).collect(),
            operator_id: event.operator_id.as_str().into(),
            member_count: conversation.member_count.into(),
        };
        let payload = Changed {
            change: Change::Joined,
            data,
        };
        self.tell_members(
            event,
            Signal::GroupMemberChanged,
            &payload,
            &event.conversation_id,
        )
        .await
    }

    /// Those who stay, and the one who is gone.
    pub(super) async fn gone(&self, event: &Event) -> Reaction {
        let Gone { user_id, reason } = event.payload()?;
        let left = event.kind == "group.member.left";
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(());
        };
        let reason = match reason.as_str() {
            "" if left => "left",
            "" => "removed",
            told => told,
        };
        let data = MemberRemoved {
            conversation_id: event.conversation_id.as_str().into(),
            user_id: user_id.as_str().into(),
            operator_id: event.operator_id.as_str().into(),
            reason: reason.into(),
            member_count: conversation.member_count.into(),
        };
        let change = if left { Change::Left } else { Change::Removed };
        let payload = Changed { change, data };
        self.tell_own(event, Signal::GroupMemberChanged, &payload, &user_id)
            .await?;
        self.tell_members(
            event,
            Signal::GroupMemberChanged,
            &payload,
            &event.conversation_id,
        )
        .await
    }

    pub(super) async fn role_changed(&self, event: &Event) -> Reaction {
        let RoleUpdated { user_id, new_role } = event.payload()?;
        let change = ConversationChange {
            id: event.conversation_id.as_str().into(),
            ..Default::default()
        };
        let member = Member {
            user_id: user_id.as_str().into(),
            conversation_id: event.conversation_id.as_str().into(),
            role: new_role,
            ..Default::default()
        };
        let frame = updated(event, &["members"], change);
        let payload = Changed {
            change: Change::Role,
            data: RoleChanged {
                frame,
                members: [member],
            },
        };
        self.tell_members(
            event,
            Signal::GroupMemberChanged,
            &payload,
            &event.conversation_id,
        )
        .await
    }
}
