//! What happened to conversations, as records.

use gochat_core::ids::{ConversationId, UserId};
use gochat_core::membership::{Departure, EventTopic, GroupEvent, Mute, Role};
use gochat_infra::port::mq::OutRecord;
use gochat_infra::topics;
use gochat_proto::mq::v1::{ConversationEvent, NotificationEvent};
use serde_json::{Value, json};

use super::event_id;
use crate::audit::{Act, OK};
use crate::clock;

/// What is said of a conversation in its events.
pub(crate) struct Subject<'a> {
    pub(crate) id: ConversationId,
    pub(crate) name: &'a str,
    pub(crate) avatar_url: &'a str,
    pub(crate) description: &'a str,
    pub(crate) owner_id: &'a str,
}

/// The audit record of an event, for those that take or give power over others.
pub(super) fn act(subject: &Subject<'_>, by: UserId, event: &GroupEvent) -> Option<Act> {
    let (action, user, detail) = match event {
        GroupEvent::RoleUpdated {
            user,
            new: Role::Owner,
            ..
        } => ("group.ownership_transferred", Some(user), json!({})),
        GroupEvent::RoleUpdated { user, old, new, .. } => (
            "group.role_changed",
            Some(user),
            json!({ "old": word(*old), "new": word(*new) }),
        ),
        GroupEvent::Muted {
            user,
            mute: Mute::None,
            ..
        } => ("group.member_unmuted", Some(user), json!({})),
        GroupEvent::Muted { user, mute, .. } => (
            "group.member_muted",
            Some(user),
            json!({ "until": mute.to_columns().1 / 1_000 }),
        ),
        GroupEvent::MemberRemoved {
            user,
            departure: Departure::Removed,
            ..
        } => ("group.member_removed", Some(user), json!({})),
        GroupEvent::InfoUpdated { fields, .. } if fields.iter().any(is_end) => {
            ("group.dissolved", None, json!({}))
        }
        _ => return None,
    };
    let mut detail = detail;
    if let Some(user) = user {
        detail["user"] = json!(user.to_string());
    }
    Some(Act {
        actor: by.to_string(),
        action,
        target: subject.id.to_string(),
        outcome: OK,
        detail: Some(detail),
        ..Act::default()
    })
}

/// Whether a change of a field is the end of the group.
fn is_end((field, _, new): &(&'static str, String, String)) -> bool {
    *field == "dissolved" && new == "true"
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

/// The record of an event.
pub(super) fn record(subject: &Subject<'_>, by: UserId, event: &GroupEvent) -> OutRecord {
    let conversation_id = subject.id.to_string();
    let payload = payload_of(subject, event).to_string();
    match event.topic() {
        EventTopic::Conversation => {
            let event = ConversationEvent {
                event_id: event_id(),
                event_type: event.event_type().to_owned(),
                timestamp: clock::now_s(),
                conversation_id: conversation_id.clone(),
                operator_id: by.to_string(),
                payload,
            };
            super::record(
                topics::CONVERSATION_EVENTS,
                "ConversationEvent",
                conversation_id,
                &event,
            )
        }
        EventTopic::Notification => {
            let target = match event {
                GroupEvent::Invited { user, .. } => user.to_string(),
                _ => String::new(),
            };
            let event = NotificationEvent {
                event_id: event_id(),
                event_type: event.event_type().to_owned(),
                timestamp: clock::now_s(),
                target_user_id: target,
                conversation_id: conversation_id.clone(),
                operator_id: by.to_string(),
                payload,
            };
            super::record(
                topics::NOTIFICATIONS,
                "NotificationEvent",
                conversation_id,
                &event,
            )
        }
    }
}

fn payload_of(subject: &Subject<'_>, event: &GroupEvent) -> Value {
    let id = subject.id.to_string();
    let texts = |users: &[UserId]| users.iter().map(ToString::to_string).collect::<Vec<_>>();
    match event {
        GroupEvent::Created { members } => json!({
            "id": id,
            "type": subject.id.kind() as i32,
            "name": subject.name,
            "avatar_url": subject.avatar_url,
            "description": subject.description,
            "owner_id": subject.owner_id,
            "member_ids": texts(members),
        }),
        GroupEvent::MembersAdded { added, by } => {
            json!({ "added_user_ids": texts(added), "added_by": by.to_string() })
        }
        GroupEvent::MemberRemoved {
            user,
            by,
            departure,
        } => json!({
            "removed_user_id": user.to_string(),
            "removed_by": by.to_string(),
            "reason": departure.as_str(),
        }),
        GroupEvent::RoleUpdated { user, old, new, .. } => json!({
            "user_id": user.to_string(),
            "old_role": *old as i32,
            "new_role": *new as i32,
        }),
        GroupEvent::Muted {
            user, role, mute, ..
        } => {
            let (muted, until) = mute.to_columns();
            json!({
                "user_id": user.to_string(),
                "role": *role as i32,
                "muted": muted,
                "muted_until": until / 1_000,
            })
        }
        GroupEvent::InfoUpdated { fields, .. } => {
            let names: Vec<_> = fields.iter().map(|(name, ..)| *name).collect();
            let old: serde_json::Map<_, _> = fields
                .iter()
                .map(|(n, old, _)| ((*n).to_owned(), json!(old)))
                .collect();
            let new: serde_json::Map<_, _> = fields
                .iter()
                .map(|(n, _, new)| ((*n).to_owned(), json!(new)))
                .collect();
            json!({ "updated_fields": names, "old_values": old, "new_values": new })
        }
        GroupEvent::Joined { users, by } => json!({
            "group_id": id,
            "group_name": subject.name,
            "user_ids": texts(users),
            "operator_id": by.to_string(),
        }),
        GroupEvent::Gone {
            user,
            by,
            departure,
        } => json!({
            "group_id": id,
            "user_id": user.to_string(),
            "operator_id": by.to_string(),
            "reason": departure.as_str(),
        }),
        GroupEvent::Invited { by, .. } => json!({
            "conversation_id": id,
            "conversation_name": subject.name,
            "conversation_type": subject.id.kind() as i32,
            "inviter_id": by.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use gochat_core::ids::GroupId;
    use gochat_core::membership::Departure;

    use prost::Message as _;

    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn subject() -> Subject<'static> {
        Subject {
            id: ConversationId::Group(GroupId::new(5).unwrap()),
            name: "Tea",
            avatar_url: "",
            description: "",
            owner_id: "1",
        }
    }

    #[test]
    fn a_removal_is_a_notification_and_a_fact_under_the_conversations_key() {
        let events = GroupEvent::gone(user(2), user(1), Departure::Removed);
        let records: Vec<_> = events
            .iter()
            .map(|e| record(&subject(), user(1), e))
            .collect();
        assert_eq!(&*records[0].topic, topics::NOTIFICATIONS);
        assert_eq!(&*records[1].topic, topics::CONVERSATION_EVENTS);
        assert!(records.iter().all(|r| r.record.key == "g_5"));
        let told = NotificationEvent::decode(records[0].record.value.clone()).unwrap();
        assert_eq!(told.event_type, "group.member.removed");
        assert_eq!(told.target_user_id, "", "the whole group hears it");
        let payload: Value = serde_json::from_str(&told.payload).unwrap();
        assert_eq!(
            payload,
            json!({ "group_id": "g_5", "user_id": "2", "operator_id": "1", "reason": "removed" })
        );
    }

    #[test]
    fn an_invitation_goes_to_the_invited_user() {
        let event = GroupEvent::Invited {
            user: user(2),
            by: user(1),
        };
        let record = record(&subject(), user(1), &event);
        let told = NotificationEvent::decode(record.record.value).unwrap();
        assert_eq!(
            (told.target_user_id.as_str(), told.operator_id.as_str()),
            ("2", "1")
        );
    }
}
