//! Messages that the system writes into the timeline of a group: what happened, in a form that
//! clients word in their own language.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{MessageId, SeqId, UnixMillis, UserId};
use crate::membership::{Mute, Role};

/// Beginning of the client ids of system messages. Clients may not choose such an id.
pub const SYSTEM_ID_PREFIX: &str = "system:";
/// Maximum number of users that one system message lists; `count` says how many there are.
pub const SYSTEM_USERS_MAX: usize = 50;
/// Maximum size of the content of a system message in bytes: below what any message may have.
pub const SYSTEM_BYTES_MAX: usize = 2_048;
/// Maximum length of a title in a system message, in characters: that of a group's name.
const TITLE_CHARS_MAX: usize = 100;

/// The client id of the message that an owed row is written as. The same row always gives the same
/// id, so sending it again makes no second message. The time keeps ids apart when a database that
/// was restored counts its rows anew.
pub fn system_client_id(row: u64, owed_at: UnixMillis) -> String {
    format!("{SYSTEM_ID_PREFIX}{row}-{owed_at}")
}

/// How new members came into a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entrance {
    /// The author added them.
    Added,
    /// The author came in by themselves: the group is open.
    Open,
    /// The author came by an invitation link.
    Link,
    /// The new members had asked to join, and the author let them in.
    Request,
    /// The author accepted an invitation.
    Invitation,
    /// A way that this version doesn't know.
    #[serde(other)]
    Other,
}

/// Content of a message of type [`System`](super::MessageType::System): JSON with the tag `kind`.
/// Who did it is the message's author.
///
/// ```
/// use gochat_core::message::SystemMessage;
/// let content = r#"{"kind":"renamed","title":"Hikers"}"#;
/// let renamed = SystemMessage::Renamed { title: "Hikers".into() };
/// assert_eq!(SystemMessage::parse(content), Some(renamed.clone()));
/// assert_eq!(renamed.to_content(), content);
/// assert_eq!(SystemMessage::parse(r#"{"kind":"later","x":1}"#), Some(SystemMessage::Other));
/// assert_eq!(SystemMessage::parse("hello"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum SystemMessage {
    /// The author made the group.
    Created {
        /// Name of the group.
        title: String,
        /// First members beside the author, at most [`SYSTEM_USERS_MAX`].
        users: Vec<UserId>,
        /// Number of first members beside the author.
        count: u32,
    },
    /// Users became members.
    Joined {
        /// New members, at most [`SYSTEM_USERS_MAX`].
        users: Vec<UserId>,
        /// Number of new members.
        count: u32,
        /// How they came in.
        how: Entrance,
    },
    /// The author left.
    Left,
    /// The author removed members.
    Removed {
        /// Former members, at most [`SYSTEM_USERS_MAX`].
        users: Vec<UserId>,
        /// Number of former members.
        count: u32,
    },
    /// The group has another name.
    Renamed {
        /// The new name.
        title: String,
    },
    /// The group has another avatar.
    Avatar {
        /// True if it has none any more.
        #[serde(default, skip_serializing_if = "is_false")]
        removed: bool,
    },
    /// The group has another announcement.
    Announcement {
        /// True if it has none any more.
        #[serde(default, skip_serializing_if = "is_false")]
        removed: bool,
    },
    /// A member has another role.
    Role {
        /// The member.
        user: UserId,
        /// The role from now on.
        #[serde(serialize_with = "role_word", deserialize_with = "role_of_word")]
        role: Role,
    },
    /// The author handed the group over.
    Owner {
        /// The new owner.
        user: UserId,
    },
    /// A member may not write, or, without a user, only admins and the owner may.
    Muted {
        /// The member; absent when all members are muted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
        /// End of the mute, Unix seconds; 0 is no end.
        until: u64,
    },
    /// A member, or everybody, may write again.
    Unmuted {
        /// The member; absent when all members may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<UserId>,
    },
    /// The description or settings that have no kind of their own were changed.
    Settings {
        /// Names of what was changed, ascending: `description`, and those of the settings.
        changed: Vec<String>,
    },
    /// The author pinned a message that wasn't pinned before.
    Pinned {
        /// Identifier of the message.
        message_id: MessageId,
        /// Position of the message.
        seq_id: SeqId,
    },
    /// A kind that this version doesn't know.
    #[serde(other)]
    Other,
}

impl SystemMessage {
    /// Reads the content of a system message; `None` when it is none.
    pub fn parse(content: &str) -> Option<Self> {
        serde_json::from_str(content).ok()
    }

    /// The content to write.
    pub fn to_content(&self) -> String {
        serde_json::to_string(self).expect("plain structs with string keys always serialise")
    }

    /// A new group and its first members beside the author.
    pub fn created(title: &str, users: &[UserId]) -> Self {
        let (title, (users, count)) = (short(title), listed(users));
        Self::Created {
            title,
            users,
            count,
        }
    }

    /// New members.
    pub fn joined(users: &[UserId], how: Entrance) -> Self {
        let (users, count) = listed(users);
        Self::Joined { users, count, how }
    }

    /// Former members that the author removed.
    pub fn removed(users: &[UserId]) -> Self {
        let (users, count) = listed(users);
        Self::Removed { users, count }
    }

    /// A new name.
    pub fn renamed(title: &str) -> Self {
        Self::Renamed {
            title: short(title),
        }
    }

    /// A mute that begins or ends; without a user it is that of the whole group.
    pub fn muted(user: Option<UserId>, mute: Mute) -> Self {
        match mute {
            Mute::None => Self::Unmuted { user },
            Mute::Forever => Self::Muted { user, until: 0 },
            Mute::Until(until) => Self::Muted {
                user,
                until: until.div_ceil(1_000),
            },
        }
    }
}

/// As many users as a message lists, and how many there are.
fn listed(users: &[UserId]) -> (Vec<UserId>, u32) {
    let count = u32::try_from(users.len()).unwrap_or(u32::MAX);
    let shown = users.iter().take(SYSTEM_USERS_MAX);
    (shown.copied().collect(), count)
}

fn short(title: &str) -> String {
    title.chars().take(TITLE_CHARS_MAX).collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn role_word<S: Serializer>(role: &Role, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(role.as_str())
}

fn role_of_word<'de, D: Deserializer<'de>>(from: D) -> Result<Role, D::Error> {
    let word = String::deserialize(from)?;
    let roles = [Role::Member, Role::Admin, Role::Owner];
    let found = roles.into_iter().find(|role| role.as_str() == word);
    found.ok_or_else(|| serde::de::Error::custom("no such role"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::{Draft, DraftLimits, Writer};

    fn a_user() -> impl Strategy<Value = UserId> {
        (1..=i64::MAX as u64).prop_map(|n| UserId::new(n).unwrap())
    }

    fn users() -> impl Strategy<Value = Vec<UserId>> {
        prop::collection::vec(a_user(), 1..200)
    }

    fn an_entrance() -> impl Strategy<Value = Entrance> {
        prop_oneof![
            Just(Entrance::Added),
            Just(Entrance::Open),
            Just(Entrance::Link),
            Just(Entrance::Request),
            Just(Entrance::Invitation),
        ]
    }

    fn a_mute() -> impl Strategy<Value = Mute> {
        prop_oneof![
            Just(Mute::None),
            Just(Mute::Forever),
            any::<u64>().prop_map(Mute::Until),
        ]
    }

    fn a_message() -> impl Strategy<Value = SystemMessage> {
        let role = prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)];
        let names = prop::collection::vec("[a-z_]{3,30}", 1..12);
        prop_oneof![
            (".{0,300}", users()).prop_map(|(title, users)| SystemMessage::created(&title, &users)),
            (users(), an_entrance()).prop_map(|(users, how)| SystemMessage::joined(&users, how)),
            Just(SystemMessage::Left),
            users().prop_map(|users| SystemMessage::removed(&users)),
            ".{0,300}".prop_map(|title| SystemMessage::renamed(&title)),
            any::<bool>().prop_map(|removed| SystemMessage::Avatar { removed }),
            any::<bool>().prop_map(|removed| SystemMessage::Announcement { removed }),
            (a_user(), role).prop_map(|(user, role)| SystemMessage::Role { user, role }),
            a_user().prop_map(|user| SystemMessage::Owner { user }),
            (prop::option::of(a_user()), a_mute())
                .prop_map(|(user, mute)| SystemMessage::muted(user, mute)),
            names.prop_map(|changed| SystemMessage::Settings { changed }),
            (1..=i64::MAX as u64, any::<u64>()).prop_map(|(id, seq_id)| SystemMessage::Pinned {
                message_id: MessageId::new(id).unwrap(),
                seq_id,
            }),
        ]
    }

    proptest! {
        /// Whatever happened, its message is short, has the form of a message and is read again as
        /// what it is.
        #[test]
        fn a_system_message_is_bounded_and_survives_its_content(message in a_message()) {
            let content = message.to_content();
            prop_assert!(content.len() <= SYSTEM_BYTES_MAX, "{} bytes", content.len());
            let id = system_client_id(u64::MAX, UnixMillis::MAX);
            let limits = DraftLimits { content_chars: 1, ..DraftLimits::default() };
            let draft = Draft::check(4, &content, &id, "", Writer::Server, &limits);
            prop_assert!(draft.is_ok(), "{draft:?}");
            prop_assert_eq!(SystemMessage::parse(&content), Some(message));
        }

        #[test]
        fn more_users_than_a_message_lists_are_counted(users in users()) {
            let SystemMessage::Joined { users: shown, count, .. } =
                SystemMessage::joined(&users, Entrance::Added) else { panic!() };
            prop_assert_eq!(count as usize, users.len());
            prop_assert_eq!(&shown[..], &users[..users.len().min(SYSTEM_USERS_MAX)]);
        }
    }

    #[test]
    fn the_content_is_that_of_the_contract() {
        let user = |n| UserId::new(n).unwrap();
        let joined = SystemMessage::joined(&[user(5)], Entrance::Link);
        let expected = r#"{"kind":"joined","users":["5"],"count":1,"how":"link"}"#;
        assert_eq!(joined.to_content(), expected);
        let muted = SystemMessage::muted(Some(user(5)), Mute::Until(7_000));
        assert_eq!(
            muted.to_content(),
            r#"{"kind":"muted","user":"5","until":7}"#
        );
        let all = SystemMessage::muted(None, Mute::Forever);
        assert_eq!(all.to_content(), r#"{"kind":"muted","until":0}"#);
        assert_eq!(SystemMessage::Left.to_content(), r#"{"kind":"left"}"#);
        let role = SystemMessage::Role {
            user: user(5),
            role: Role::Admin,
        };
        assert_eq!(
            role.to_content(),
            r#"{"kind":"role","user":"5","role":"admin"}"#
        );
    }
}
