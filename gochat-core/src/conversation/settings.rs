//! Settings of a conversation, stored as JSON in one column.

use serde::{Deserialize, Serialize};

use super::check_announcement;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::ConversationKind;
use crate::membership::Role;
use crate::message::Emoji;

/// Members a group may have unless its settings say otherwise.
pub const GROUP_MEMBERS_DEFAULT: u32 = 500;
/// Members a group may have at most.
pub const GROUP_MEMBERS_MAX: u32 = 10_000;
/// Maximum number of seconds that slow mode puts between two messages of a member.
pub const SLOW_MODE_MAX_S: u32 = 3_600;
/// Longest list of allowed reactions.
const REACTIONS_LISTED_MAX: usize = 100;

/// Settings of a group. Absent keys have their defaults, unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupSettings {
    /// Nobody joins without being added.
    pub join_approval_required: bool,
    /// Every member may add members, not only admins.
    pub invite_enabled: bool,
    /// Capacity, 2 to [`GROUP_MEMBERS_MAX`].
    pub max_members: u32,
    /// Only admins and the owner may write.
    pub mute_all: bool,
    /// Members read what was said before they joined; absent means yes. Admins and the owner always
    /// do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_member_view_history: Option<bool>,
    /// True if strangers may ask to join; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_join_requests: Option<bool>,
    /// Every member may pin messages; absent means only admins and the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_pin: Option<bool>,
    /// Every member may name everybody; absent means only admins and the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_mention_all: Option<bool>,
    /// Seconds between two messages of a plain member, at most [`SLOW_MODE_MAX_S`]; absent or 0 is no
    /// slow mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_mode: Option<u32>,
    /// What may be reacted with: emoji, and names of the application's own pictures. Absent means
    /// any emoji and no name, an empty list that nobody reacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reactions: Option<Vec<String>>,
    /// True if the text before an edit is kept for admins and the owner; absent means no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_former_texts: Option<bool>,
    /// The older way to set the [announcement](super::Announcement): an edit takes it out of the
    /// settings that are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announcement: Option<String>,
    /// What happens to the group is written into its timeline; absent means yes. Settings that are
    /// written without it leave it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_messages: Option<bool>,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            join_approval_required: false,
            invite_enabled: true,
            max_members: GROUP_MEMBERS_DEFAULT,
            mute_all: false,
            allow_member_view_history: None,
            allow_join_requests: None,
            members_pin: None,
            members_mention_all: None,
            slow_mode: None,
            reactions: None,
            keep_former_texts: None,
            announcement: None,
            system_messages: None,
        }
    }
}

/// Settings of the world chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorldSettings {
    /// Guests may write.
    pub guest_allowed: bool,
    /// Messages per minute and user.
    pub message_rate_limit: u32,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            guest_allowed: true,
            message_rate_limit: 10,
        }
    }
}

/// Settings of a single chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SingleSettings {
    /// Authors may recall.
    pub allow_recall: bool,
    /// Seconds in which they may; the server's own limit holds as well.
    pub recall_time_limit: u32,
    /// The other side sees what was read.
    pub show_read_status: bool,
}

impl Default for SingleSettings {
    fn default() -> Self {
        Self {
            allow_recall: true,
            recall_time_limit: 120,
            show_read_status: true,
        }
    }
}

/// Settings of any conversation; the JSON names the kind, as in `{"group_settings":{…}}`.
///
/// ```
/// use gochat_core::conversation::Settings;
/// use gochat_core::ids::ConversationKind;
/// let settings = Settings::parse(ConversationKind::Group, r#"{"group_settings":{"mute_all":true}}"#)?;
/// assert!(settings.group().mute_all);
/// assert_eq!(settings.group().max_members, 500);
/// # Ok::<(), gochat_core::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settings {
    /// Of a single chat.
    #[serde(rename = "single_settings")]
    Single(SingleSettings),
    /// Of a group.
    #[serde(rename = "group_settings")]
    Group(GroupSettings),
    /// Of the world chat.
    #[serde(rename = "world_settings")]
    World(WorldSettings),
}

impl Settings {
    /// The defaults of a kind.
    pub fn defaults(kind: ConversationKind) -> Self {
        match kind {
            ConversationKind::Single => Self::Single(SingleSettings::default()),
            ConversationKind::Group => Self::Group(GroupSettings::default()),
            ConversationKind::World => Self::World(WorldSettings::default()),
        }
    }

    /// Reads the stored or presented JSON of a conversation of this kind. Empty text gives
    /// the defaults; refuses other kinds' settings and numbers out of range with `INVALID_PARAMS`.
    pub fn parse(kind: ConversationKind, json: &str) -> Result<Self> {
        if json.trim().is_empty() || json.trim() == "{}" {
            return Ok(Self::defaults(kind));
        }
        let settings: Self = serde_json::from_str(json)
            .map_err(|_| Error::new(ErrorCode::InvalidParams, "These settings can't be read."))?;
        if settings.kind() != kind {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "These settings belong to another kind of conversation.",
            ));
        }
        settings.check()?;
        Ok(settings.normal())
    }

    /// The JSON text to store.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain structs with string keys always serialise")
    }

    /// The kind these settings are for.
    pub fn kind(&self) -> ConversationKind {
        match self {
            Self::Single(_) => ConversationKind::Single,
            Self::Group(_) => ConversationKind::Group,
            Self::World(_) => ConversationKind::World,
        }
    }

    /// The group's settings; the defaults for other kinds.
    pub fn group(&self) -> GroupSettings {
        match self {
            Self::Group(group) => group.clone(),
            _ => GroupSettings::default(),
        }
    }

    /// The same settings with their texts as texts are stored.
    fn normal(mut self) -> Self {
        if let Self::Group(group) = &mut self {
            group.announcement = group.announcement.take().map(crate::text::optional);
        }
        self
    }

    /// How long after sending an author may recall, in milliseconds; `server_ms` is the server's
    /// limit. `None` when nobody may recall here.
    pub fn recall_window(&self, server_ms: u64) -> Option<u64> {
        match self {
            Self::Single(single) if !single.allow_recall => None,
            Self::Single(single) => {
                Some(server_ms.min(u64::from(single.recall_time_limit).saturating_mul(1_000)))
            }
            Self::Group(_) | Self::World(_) => Some(server_ms),
        }
    }

    /// Whether a member of this role reads only what was said since the member joined.
    pub fn hides_earlier_from(&self, role: Role) -> bool {
        matches!(self, Self::Group(group) if group.allow_member_view_history == Some(false))
            && role == Role::Member
    }

    /// These settings, with what their writer may not know left as it is: whether the group tells
    /// what happens to it.
    #[must_use]
    pub fn keeping(mut self, current: &Self) -> Self {
        if let (Self::Group(new), Self::Group(old)) = (&mut self, current) {
            new.system_messages = new.system_messages.or(old.system_messages);
        }
        self
    }

    /// Whether what happens to the group is written into its timeline. Only groups tell.
    pub fn system_messages(&self) -> bool {
        matches!(self, Self::Group(group) if group.system_messages != Some(false))
    }

    /// Whether every member may pin messages, and not only admins and the owner.
    pub fn members_pin(&self) -> bool {
        match self {
            Self::Group(group) => group.members_pin == Some(true),
            Self::Single(_) => true,
            Self::World(_) => false,
        }
    }

    /// Whether every member may name everybody, and not only admins and the owner.
    pub fn members_mention_all(&self) -> bool {
        matches!(self, Self::Group(group) if group.members_mention_all == Some(true))
    }

    /// Whether the text before an edit is kept for admins and the owner.
    pub fn keeps_former_texts(&self) -> bool {
        matches!(self, Self::Group(group) if group.keep_former_texts == Some(true))
    }

    /// Takes an announcement out of the settings: it is stored beside them.
    pub(super) fn take_announcement(&mut self) -> Option<String> {
        match self {
            Self::Group(group) => group.announcement.take(),
            _ => None,
        }
    }

    /// Milliseconds between two messages of a plain member; 0 is no slow mode.
    pub fn slow_mode(&self) -> u64 {
        let Self::Group(group) = self else {
            return 0;
        };
        u64::from(group.slow_mode.unwrap_or(0)) * 1_000
    }

    /// What may be reacted with; `None` is any emoji and no name.
    pub fn reactions(&self) -> Option<Box<[Emoji]>> {
        let Self::Group(group) = self else {
            return None;
        };
        let listed = group.reactions.as_ref()?;
        Some(listed.iter().filter_map(|text| text.parse().ok()).collect())
    }

    fn check(&self) -> Result<()> {
        let Self::Group(group) = self else {
            return Ok(());
        };
        if !(2..=GROUP_MEMBERS_MAX).contains(&group.max_members) {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "A group has room for 2 to 10000 members.",
            ));
        }
        if group.slow_mode.is_some_and(|s| s > SLOW_MODE_MAX_S) {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "Slow mode puts at most 3600 seconds between two messages.",
            ));
        }
        let reactions = group.reactions.as_deref().unwrap_or_default();
        if reactions.len() > REACTIONS_LISTED_MAX
            || reactions.iter().any(|text| text.parse::<Emoji>().is_err())
        {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "A list of reactions has at most 100 emoji and names.",
            ));
        }
        check_announcement(group.announcement.as_deref().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ConversationKind; 3] = [
        ConversationKind::Single,
        ConversationKind::Group,
        ConversationKind::World,
    ];

    #[test]
    fn defaults_survive_a_round_trip() {
        for kind in KINDS {
            let settings = Settings::defaults(kind);
            assert_eq!(Settings::parse(kind, &settings.to_json()), Ok(settings));
        }
    }

    #[test]
    fn a_single_chat_sets_how_long_recalls_are_open() {
        let window = |json: &str| {
            let json = format!(r#"{{"single_settings":{json}}}"#);
            let settings = Settings::parse(ConversationKind::Single, &json).unwrap();
            settings.recall_window(120_000)
        };
        assert_eq!(window("{}"), Some(120_000));
        assert_eq!(window(r#"{"recall_time_limit":30}"#), Some(30_000));
        assert_eq!(window(r#"{"recall_time_limit":600}"#), Some(120_000));
        assert_eq!(window(r#"{"allow_recall":false}"#), None);
        for kind in [ConversationKind::Group, ConversationKind::World] {
            assert_eq!(Settings::defaults(kind).recall_window(7), Some(7));
        }
    }

    #[test]
    fn earlier_messages_are_hidden_from_plain_members_only_where_it_is_set() {
        let group = |json: &str| {
            let json = format!(r#"{{"group_settings":{json}}}"#);
            Settings::parse(ConversationKind::Group, &json).unwrap()
        };
        let hiding = group(r#"{"allow_member_view_history":false}"#);
        assert!(hiding.hides_earlier_from(Role::Member));
        assert!(!hiding.hides_earlier_from(Role::Admin) && !hiding.hides_earlier_from(Role::Owner));
        for open in ["{}", r#"{"allow_member_view_history":true}"#] {
            assert!(!group(open).hides_earlier_from(Role::Member));
        }
    }

    #[test]
    fn groups_tell_what_happens_to_them_unless_they_say_otherwise() {
        let group = |json| Settings::parse(ConversationKind::Group, json).unwrap();
        assert!(group("").system_messages());
        assert!(group(r#"{"group_settings":{"system_messages":true}}"#).system_messages());
        assert!(!group(r#"{"group_settings":{"system_messages":false}}"#).system_messages());
        for kind in [ConversationKind::Single, ConversationKind::World] {
            assert!(!Settings::defaults(kind).system_messages());
        }
    }

    #[test]
    fn a_group_says_who_pins_and_what_is_reacted_with() {
        let group = |json: &str| {
            let json = format!(r#"{{"group_settings":{json}}}"#);
            Settings::parse(ConversationKind::Group, &json)
        };
        let plain = group("{}").unwrap();
        assert_eq!((plain.members_pin(), plain.reactions()), (false, None));
        assert_eq!((plain.slow_mode(), plain.members_mention_all()), (0, false));
        let slow = group(r#"{"slow_mode":3600,"members_mention_all":true}"#).unwrap();
        let found = (slow.slow_mode(), slow.members_mention_all());
        assert_eq!(found, (3_600_000, true));
        assert!(group(r#"{"slow_mode":3601}"#).is_err());
        let open = group(r#"{"members_pin":true,"reactions":["👍","parrot"]}"#).unwrap();
        let listed = ["👍", "parrot"].map(|text| text.parse().unwrap());
        assert_eq!(
            (open.members_pin(), open.reactions()),
            (true, Some(listed.into()))
        );
        let code = |json| group(json).map_err(|error| error.code);
        assert_eq!(
            code(r#"{"reactions":["no way"]}"#),
            Err(ErrorCode::InvalidParams)
        );
        let long = format!(r#"{{"reactions":[{}"a"]}}"#, r#""a","#.repeat(100));
        assert_eq!(code(&long), Err(ErrorCode::InvalidParams));
    }

    #[test]
    fn settings_that_left_the_contract_are_skipped() {
        let json = r#"{"world_settings":{"auto_join_guests":false,"content_filter_enabled":true}}"#;
        let parsed = Settings::parse(ConversationKind::World, json);
        assert_eq!(parsed, Ok(Settings::defaults(ConversationKind::World)));
    }

    #[test]
    fn empty_text_means_defaults() {
        for (kind, text) in KINDS.into_iter().zip(["", "{}", "  "]) {
            assert_eq!(Settings::parse(kind, text), Ok(Settings::defaults(kind)));
        }
    }

    #[test]
    fn the_keys_are_those_of_the_contract() {
        let json = Settings::defaults(ConversationKind::Group).to_json();
        assert_eq!(
            json,
            r#"{"group_settings":{"join_approval_required":false,"invite_enabled":true,"max_members":500,"mute_all":false}}"#
        );
    }

    #[test]
    fn foreign_and_excessive_settings_are_refused() {
        let parse = |json| Settings::parse(ConversationKind::Group, json).map_err(|e| e.code);
        assert_eq!(
            parse(r#"{"world_settings":{}}"#),
            Err(ErrorCode::InvalidParams)
        );
        assert_eq!(
            parse(r#"{"group_settings":{"max_members":10001}}"#),
            Err(ErrorCode::InvalidParams)
        );
        assert_eq!(parse("nonsense"), Err(ErrorCode::InvalidParams));
        assert!(parse(r#"{"group_settings":{"max_members":10000,"later":1}}"#).is_ok());
    }
}
