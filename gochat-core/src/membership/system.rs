//! Which change of a group gives which system message.

use std::collections::BTreeSet;

use super::{Departure, GroupAct, GroupCommand, GroupDecision, GroupWrite, Mute, Operator};
use crate::conversation::{GroupSettings, Info};
use crate::ids::UserId;
use crate::message::{Entrance, SystemMessage};

/// Settings that have a system message of their own.
const OWN_KIND: [&str; 2] = ["mute_all", "announcement"];

/// The system message of a command that is written, and its author; `None` when it gives none.
/// `brought` says who brings users in and how, where a command of the system stands for that.
///
/// * A command that changed nothing gives none, so a repeat gives no second one.
/// * A command of the system itself gives none: it has no author.
/// * Dissolving gives none: a dissolved group takes no message.
///
/// ```
/// use gochat_core::ids::UserId;
/// use gochat_core::membership::{GroupAct, GroupCommand, GroupDecision, GroupWrite, Role, told};
/// use gochat_core::message::{Entrance, SystemMessage};
/// let [ann, ben] = [1, 2].map(|id| UserId::new(id).unwrap());
/// let users = vec![ben];
/// let add = GroupAct::Add { users: users.clone(), role: Role::Member, capacity: None };
/// let written = GroupDecision {
///     writes: vec![GroupWrite::Insert(users.clone(), Role::Member)],
///     failed: vec![],
/// };
/// let joined = SystemMessage::joined(&users, Entrance::Added);
/// assert_eq!(told(&GroupCommand::of(ann, add), &written, None), Some((ann, joined)));
/// ```
pub fn told(
    command: &GroupCommand,
    decision: &GroupDecision,
    brought: Option<(UserId, Entrance)>,
) -> Option<(UserId, SystemMessage)> {
    let (author, how) = match (command.by, brought) {
        (Operator::User(user), _) if matches!(command.act, GroupAct::Join) => {
            (user, Entrance::Open)
        }
        (Operator::User(user), _) => (user, Entrance::Added),
        (Operator::System, Some(brought)) => brought,
        (Operator::System, None) => return None,
    };
    let writes = &decision.writes;
    // Handing a group over changes two roles, and is one thing that happened.
    let owner = writes.iter().find_map(|write| match write {
        GroupWrite::Owner(user) => Some(SystemMessage::Owner { user: *user }),
        _ => None,
    });
    let message = owner.or_else(|| writes.iter().find_map(|write| of_write(write, how)))?;
    Some((author, message))
}

fn of_write(write: &GroupWrite, how: Entrance) -> Option<SystemMessage> {
    match write {
        GroupWrite::Insert(users, _) => Some(SystemMessage::joined(users, how)),
        GroupWrite::Delete(_, Departure::Left) => Some(SystemMessage::Left),
        GroupWrite::Delete(user, Departure::Removed) => Some(SystemMessage::removed(&[*user])),
        GroupWrite::Role(user, _, role) => Some(SystemMessage::Role {
            user: *user,
            role: *role,
        }),
        GroupWrite::Owner(user) => Some(SystemMessage::Owner { user: *user }),
        GroupWrite::Mute(user, mute) => Some(SystemMessage::muted(Some(*user), *mute)),
        GroupWrite::Dissolve => None,
    }
}

/// System messages of an edit of a group's info and settings: one for each thing that really
/// differs, and one for all settings that have no kind of their own.
pub fn told_of_edit(before: &Info, after: &Info) -> Vec<SystemMessage> {
    let (old, new) = (before.settings.group(), after.settings.group());
    let mut told = Vec::new();
    if before.name != after.name {
        told.push(SystemMessage::renamed(&after.name));
    }
    if before.avatar_url != after.avatar_url {
        told.push(SystemMessage::Avatar {
            removed: after.avatar_url.is_empty(),
        });
    }
    if before.announcement != after.announcement {
        told.push(SystemMessage::Announcement {
            removed: after.announcement.is_empty(),
        });
    }
    match (old.mute_all, new.mute_all) {
        (false, true) => told.push(SystemMessage::muted(None, Mute::Forever)),
        (true, false) => told.push(SystemMessage::muted(None, Mute::None)),
        _ => {}
    }
    let mut changed = changed_settings(&old, &new);
    if before.description != after.description {
        changed.insert("description".to_owned());
    }
    if !changed.is_empty() {
        told.push(SystemMessage::Settings {
            changed: changed.into_iter().collect(),
        });
    }
    told
}

/// Names of settings that differ and have no kind of their own.
fn changed_settings(old: &GroupSettings, new: &GroupSettings) -> BTreeSet<String> {
    let keys = |settings: &GroupSettings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(keys)) => keys,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (keys(old), keys(new));
    let names = old.keys().chain(new.keys());
    let differs = |name: &&String| old.get(*name) != new.get(*name);
    names
        .filter(|name| !OWN_KIND.contains(&name.as_str()))
        .filter(differs)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
