//! Name, description and avatar of a conversation, and how they change.

use super::{Settings, check_announcement};
use crate::account::check_avatar_url;
use crate::error::{Error, ErrorCode, Result};
use crate::ids::ConversationKind;
use crate::membership::{Action, Standing};
use crate::text;

/// Longest name, in characters.
const NAME_MAX_CHARS: usize = 100;
/// Longest description, in characters.
const DESCRIPTION_MAX_CHARS: usize = 1_000;

/// Checks the name of a group, as [`text::title`] gives it: 1 to 100 characters, and what
/// [`text::check_title`] asks for. Refuses with `INVALID_CONVERSATION_NAME`.
pub fn check_name(name: &str) -> Result<()> {
    let fits = name.len() <= 4 * NAME_MAX_CHARS && name.chars().count() <= NAME_MAX_CHARS;
    if fits && text::check_title(name) {
        Ok(())
    } else {
        Err(ErrorCode::InvalidConversationName.into())
    }
}

/// Checks a description: at most 1000 characters. Refuses with `INVALID_PARAMS`.
pub fn check_description(text: &str) -> Result<()> {
    if text.chars().count() <= DESCRIPTION_MAX_CHARS {
        Ok(())
    } else {
        Err(Error::new(
            ErrorCode::InvalidParams,
            "A description has at most 1000 characters.",
        ))
    }
}

/// What is shown about a group and can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Name.
    pub name: String,
    /// Address of the avatar; may be empty.
    pub avatar_url: String,
    /// Description; may be empty.
    pub description: String,
    /// Settings.
    pub settings: Settings,
    /// Text of the announcement; may be empty.
    pub announcement: String,
}

/// A wished change; `None` leaves a field alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InfoPatch {
    /// New name.
    pub name: Option<String>,
    /// New avatar address.
    pub avatar_url: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New settings. An announcement in them is meant when there is none beside them.
    pub settings: Option<Settings>,
    /// New announcement; the empty text removes it.
    pub announcement: Option<String>,
}

/// An accepted change, reduced to the fields that really differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InfoUpdate {
    /// Changed fields: name, value before, value after.
    pub fields: Vec<(&'static str, String, String)>,
}

impl InfoUpdate {
    /// Whether the wish changes nothing, so that nothing needs to be written or told.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The new value of a field, if it changes.
    pub fn new_value(&self, field: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, ..)| *name == field)
            .map(|(_, _, new)| new.as_str())
    }

    /// Names of the changed fields.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.fields.iter().map(|(name, ..)| *name)
    }

    fn note(&mut self, name: &'static str, old: &str, new: &str) {
        if old != new {
            self.fields.push((name, old.to_owned(), new.to_owned()));
        }
    }
}

/// Decides a change of a conversation's info. Groups only, admins and the owner only.
///
/// The version is judged where the change is written, by [`decide_edit`](super::decide_edit).
pub fn decide_update(
    kind: ConversationKind,
    standing: Standing,
    current: &Info,
    patch: &InfoPatch,
) -> Result<InfoUpdate> {
    if kind != ConversationKind::Group {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "Only groups can be changed.",
        ));
    }
    standing.may(Action::UpdateInfo)?;
    if patch.settings.is_some() {
        standing.may(Action::UpdateSettings)?;
    }
    let mut update = InfoUpdate::default();
    if let Some(name) = &patch.name {
        let name = text::title(name);
        check_name(&name)?;
        update.note("name", &current.name, &name);
    }
    if let Some(url) = &patch.avatar_url {
        check_avatar_url(url)?;
        update.note("avatar_url", &current.avatar_url, url);
    }
    if let Some(text) = &patch.description {
        let text = text::optional(text.clone());
        check_description(&text)?;
        update.note("description", &current.description, &text);
    }
    let mut announcement = patch.announcement.clone();
    if let Some(mut settings) = patch.settings.clone() {
        if settings.kind() != kind {
            return Err(ErrorCode::InvalidParams.into());
        }
        settings = settings.keeping(&current.settings);
        announcement = announcement.or(settings.take_announcement());
        update.note("settings", &current.settings.to_json(), &settings.to_json());
    }
    if let Some(text) = announcement {
        let text = text::optional(text);
        check_announcement(&text)?;
        update.note("announcement", &current.announcement, &text);
    }
    Ok(update)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ConversationKind::{Group, World};
    use crate::membership::Role;

    const ADMIN: Standing = Standing::Member(Role::Admin);

    fn current() -> Info {
        Info {
            name: "Tea".into(),
            avatar_url: String::new(),
            description: String::new(),
            settings: Settings::defaults(Group),
            announcement: String::new(),
        }
    }

    #[test]
    fn settings_of_a_client_that_knows_no_system_messages_leave_them_as_they_are() {
        let settings = |json: &str| {
            let json = format!(r#"{{"group_settings":{json}}}"#);
            Settings::parse(Group, &json).unwrap()
        };
        let quiet = Info {
            settings: settings(r#"{"system_messages":false}"#),
            ..current()
        };
        let change = |json: &str| {
            let patch = InfoPatch {
                settings: Some(settings(json)),
                ..InfoPatch::default()
            };
            let update = decide_update(Group, ADMIN, &quiet, &patch).unwrap();
            let new = update.new_value("settings")?;
            Some(Settings::parse(Group, new).unwrap().system_messages())
        };
        assert_eq!(change("{}"), None, "nothing changes");
        assert_eq!(change(r#"{"mute_all":true}"#), Some(false));
        assert_eq!(change(r#"{"system_messages":true}"#), Some(true));
    }

    fn rename(name: &str) -> InfoPatch {
        InfoPatch {
            name: Some(name.into()),
            ..InfoPatch::default()
        }
    }

    #[test]
    fn an_admin_renames_and_the_update_names_old_and_new() {
        let update = decide_update(Group, ADMIN, &current(), &rename("Coffee")).unwrap();
        assert_eq!(
            update.fields,
            [("name", "Tea".to_owned(), "Coffee".to_owned())]
        );
    }

    #[test]
    fn the_same_value_is_no_change() {
        assert!(
            decide_update(Group, ADMIN, &current(), &rename("Tea"))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn members_and_strangers_change_nothing_and_the_world_never_changes() {
        let member = Standing::Member(Role::Member);
        let code = |kind, standing| {
            decide_update(kind, standing, &current(), &rename("x"))
                .unwrap_err()
                .code
        };
        assert_eq!(code(Group, member), ErrorCode::InsufficientPermission);
        assert_eq!(
            code(Group, Standing::Outsider),
            ErrorCode::NotConversationMember
        );
        assert_eq!(
            code(World, Standing::Member(Role::Owner)),
            ErrorCode::Forbidden
        );
    }

    #[test]
    fn an_announcement_is_set_beside_the_settings_or_as_older_clients_do_in_them() {
        let settings = |json: &str| Settings::parse(Group, json).unwrap();
        let old = settings(r#"{"group_settings":{"mute_all":true,"announcement":"Tea"}}"#);
        let muted = settings(r#"{"group_settings":{"mute_all":true}}"#).to_json();
        let patch = |announcement: Option<&str>, settings: Option<&Settings>| InfoPatch {
            announcement: announcement.map(str::to_owned),
            settings: settings.cloned(),
            ..InfoPatch::default()
        };
        let decided = |patch| decide_update(Group, ADMIN, &current(), &patch).unwrap();
        let within = decided(patch(None, Some(&old)));
        assert_eq!(within.new_value("announcement"), Some("Tea"));
        assert_eq!(within.new_value("settings"), Some(&*muted));
        let beside = decided(patch(Some("Coffee"), Some(&old)));
        assert_eq!(beside.new_value("announcement"), Some("Coffee"));
        assert!(decided(patch(Some(""), None)).is_empty());
        // Settings without one leave it alone.
        let others = decided(patch(None, Some(&settings(&muted))));
        assert_eq!(others.new_value("announcement"), None);
        let long = "x".repeat(2_001);
        let refused = decide_update(Group, ADMIN, &current(), &patch(Some(&long), None));
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidParams);
    }

    #[test]
    fn names_have_1_to_100_characters() {
        assert!(check_name(&"ß".repeat(100)).is_ok());
        for bad in [
            "",
            "   ",
            "a\u{7}b",
            "\u{200b}\u{200b}",
            "\u{202e}gnp.exe",
            &"x".repeat(101),
        ] {
            assert_eq!(
                check_name(bad).unwrap_err().code,
                ErrorCode::InvalidConversationName
            );
        }
    }
}
