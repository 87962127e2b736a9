//! Groups as core judges them, and its refusals as the port says them.

use gochat_core::conversation::{Announcement, Seen, Settings};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{
    Action, Entry, FailedUser, GroupAct, GroupCommand, GroupFacts, GroupState, JoinStatus, Mute,
    Role, Standing,
};

use crate::port::db::{ConversationPatch, ConversationRow, DbError, GroupOutcome, LinkRow};

/// A refusal of core, as the port says it.
pub(crate) fn refused(e: Error) -> DbError {
    match e.code {
        ErrorCode::NotConversationMember | ErrorCode::UserNotFound => DbError::not_found(e.code),
        ErrorCode::VersionConflict => DbError::conflict(),
        code => DbError::refused(code),
    }
}

/// The state of a group: its row, the members among the users a command names, and those of them
/// whose accounts are deleted.
pub(crate) fn state(
    row: &ConversationRow,
    roles: Vec<(UserId, i32)>,
    deleted: Vec<UserId>,
) -> GroupState {
    let kind = row.kind();
    let settings = Settings::parse(kind, &row.settings).unwrap_or_else(|error| {
        tracing::warn!(conversation = %row.id, %error, "stored settings can't be read: defaults rule");
        Settings::defaults(kind)
    });
    let roles = roles.into_iter();
    GroupState {
        facts: GroupFacts {
            member_count: row.member_count,
            settings: settings.group(),
            dissolved: row.dissolved,
        },
        roles: roles
            .filter_map(|(user, role)| Some((user, Role::from_i32(role)?)))
            .collect(),
        deleted: deleted.into_iter().collect(),
    }
}

/// Standing in the group of a user that a loaded state names.
pub(crate) fn standing(state: &GroupState, user: UserId) -> Standing {
    Standing::new(state.roles.get(&user).copied(), false)
}

/// Lets those pass who join by a link at once; the others have to ask.
pub(crate) fn direct(verdict: Result<Entry>) -> std::result::Result<(), DbError> {
    match verdict.map_err(refused)? {
        Entry::Join => Ok(()),
        Entry::Ask => Err(DbError::refused(ErrorCode::InsufficientPermission)),
    }
}

/// Lets a link pass that leads to this group, whoever it admits at once.
pub(crate) fn leads_to(
    id: ConversationId,
    (link, verdict): (LinkRow, Result<Entry>),
) -> std::result::Result<(), DbError> {
    verdict.map_err(refused)?;
    match link.conversation_id == id {
        true => Ok(()),
        false => Err(DbError::not_found(ErrorCode::InvitationNotFound)),
    }
}

/// State of a request after the command that was to admit the asker: open while the asker can't be
/// a member.
pub(crate) fn join_status(done: &GroupOutcome) -> JoinStatus {
    let failed = done.decision.failed.first();
    let is_member = |f: &FailedUser| f.error.code == ErrorCode::UserAlreadyInConversation;
    match failed.is_none_or(is_member) {
        true => JoinStatus::Accepted,
        false => JoinStatus::Open,
    }
}

/// The columns of a mute.
pub(crate) fn mute_columns(mute: Mute) -> (bool, Option<u64>) {
    let (muted, until) = mute.to_columns();
    (muted, (until > 0).then_some(until))
}

/// Judges whether somebody with this role may make an edit.
pub(crate) fn may_edit(patch: &ConversationPatch, role: Option<i32>) -> Result<()> {
    let standing = Standing::new(role.and_then(Role::from_i32), false);
    standing.may(Action::UpdateInfo)?;
    match patch.settings {
        Some(_) => standing.may(Action::UpdateSettings),
        None => Ok(()),
    }
}

/// The announcement after an edit.
pub(crate) fn announced(
    current: Announcement,
    patch: &ConversationPatch,
    now: UnixMillis,
) -> Announcement {
    match &patch.announcement {
        Some(text) => current.after(text.clone(), patch.by, now),
        None => current,
    }
}

/// The state an edit was made on.
pub(crate) fn seen(patch: &ConversationPatch) -> Seen {
    Seen {
        version: patch.expected_version,
        changed_at: patch.expected_updated_at,
    }
}

/// The command that an accepted invitation is: the group's own capacity counts.
pub(crate) fn acceptance(user: UserId) -> GroupCommand {
    GroupCommand::system(GroupAct::Add {
        users: vec![user],
        role: Role::Member,
        capacity: None,
    })
}
