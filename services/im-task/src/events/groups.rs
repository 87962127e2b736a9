//! `group.member.*` and role changes → members.

use gochat_core::audience::Audience;
use gochat_core::membership::Role;
use gochat_core::session::frame::{
    ConversationChange, ConversationUpdated, IDS_MAX, JoinRequest, JoinRequestAnswered, Member,
    MemberAdded, MemberRemoved, PROFILES_MAX,
};
use gochat_core::signal::{Change, Signal};
use gochat_proto::im::repo::v1::{GetConversationMembersRequest, GetUsersRequest};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::conversations::updated;
use super::event::Event;
use super::friends::user;
use super::{Events, Reaction};
use crate::repo::roster_of_page;

/// Maximum number of admins who are told of a request to join; the others find it in the list.
const ADMINS_TOLD: i32 = 100;
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

#[derive(Deserialize)]
struct Muted {
    user_id: String,
    role: i32,
    muted: bool,
    muted_until: i64,
}

#[derive(Deserialize)]
struct JoinRequested {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct JoinAnswered {
    #[serde(default)]
    name: String,
    accepted: bool,
}

/// A change of one member is a `conversation-updated` that names the member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberChanged<'a> {
    #[serde(flatten)]
    frame: ConversationUpdated<'a>,
    members: [Member<'a>; 1],
}

impl Events {
    pub(super) async fn joined(&self, event: &Event) -> Reaction {
        let Joined { mut user_ids } = event.payload()?;
        let added = user_ids.len();
        user_ids.truncate(IDS_MAX);
        let shown = &user_ids[..user_ids.len().min(PROFILES_MAX)];
        let Some(conversation) = self.conversation(&event.conversation_id).await? else {
            return Ok(());
        };
        let request = GetUsersRequest {
            user_ids: shown.to_vec(),
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
            muted_until: None,
            joined_at: event.timestamp,
            user: users.get(id).map(user),
        };
        let data = MemberAdded {
            conversation_id: event.conversation_id.as_str().into(),
            members: shown.iter().map(member).collect(),
            user_ids: user_ids.iter().map(|id| id.as_str().into()).collect(),
            added: i64::try_from(added).unwrap_or(i64::MAX),
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
            data: MemberChanged {
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

    /// The group learns that the member may not write, or may again; the member learns until when as
    /// well. The signal carries no `change`: a gateway that knows no mutes shows it all the same.
    pub(super) async fn muted(&self, event: &Event) -> Reaction {
        let told: Muted = event.payload()?;
        let payload = |muted_until| {
            let change = ConversationChange {
                id: event.conversation_id.as_str().into(),
                ..Default::default()
            };
            MemberChanged {
                frame: updated(event, &["members"], change),
                members: [Member {
                    user_id: told.user_id.as_str().into(),
                    conversation_id: event.conversation_id.as_str().into(),
                    role: told.role,
                    muted: told.muted,
                    muted_until,
                    ..Default::default()
                }],
            }
        };
        let (signal, id) = (Signal::GroupMemberChanged, &event.conversation_id);
        self.tell_members(event, signal, &payload(None), id).await?;
        let own = payload(told.muted.then_some(told.muted_until));
        self.tell_own(event, signal, &own, &told.user_id).await
    }

    /// Admins and the owner learn that somebody asks to join; [`ADMINS_TOLD`] admins at most.
    pub(super) async fn join_requested(&self, event: &Event) -> Reaction {
        let told: JoinRequested = event.payload()?;
        let payload = JoinRequest {
            conversation_id: event.conversation_id.as_str().into(),
            user_id: event.operator_id.as_str().into(),
            message: told.message.into(),
            created_at: event.timestamp,
        };
        let mut audience = Audience::NOBODY;
        for role in [Role::Owner, Role::Admin] {
            let request = GetConversationMembersRequest {
                conversation_id: event.conversation_id.clone(),
                limit: ADMINS_TOLD,
                role_filter: role as i32,
                ..Default::default()
            };
            match self.repo.members(request).await {
                Err(error) if super::is_gone(&error) => return Ok(()),
                page => audience = audience.and(roster_of_page(&page?).everyone()),
            }
        }
        self.tell(event, Signal::JoinRequested, &payload, &audience)
            .await
    }

    /// The asker learns the outcome.
    pub(super) async fn join_answered(&self, event: &Event) -> Reaction {
        let told: JoinAnswered = event.payload()?;
        let payload = JoinRequestAnswered {
            conversation_id: event.conversation_id.as_str().into(),
            name: told.name.into(),
            accepted: told.accepted,
        };
        let user = &event.target_user_id;
        self.tell_own(event, Signal::JoinAnswered, &payload, user)
            .await
    }
}
