//! Groups as core judges them, and its refusals as the port says them.

use gochat_core::conversation::{Announcement, Info, Seen, Settings};
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{
    Action, Entry, FailedUser, GroupAct, GroupCommand, GroupDecision, GroupFacts, GroupState,
    JoinStatus, Mute, Role, Standing, told, told_of_edit,
};
use gochat_core::message::{Entrance, SystemMessage};

use crate::port::db::{ConversationPatch, ConversationRow, DbError, GroupOutcome, LinkRow};

/// A refusal of core, as the port says it.
pub(crate) fn refused(e: Error) -> DbError {
    match e.code {
        ErrorCode::NotConversationMember | ErrorCode::UserNotFound => DbError::not_found(e.code),
        ErrorCode::VersionConflict => DbError::conflict(),
        code => DbError::refused(code),
    }
}

/// A member that a command names: user, role, the columns of the mute.
pub(crate) type NamedMember = (UserId, i32, bool, Option<u64>);

fn settings(row: &ConversationRow) -> Settings {
    let kind = row.kind();
    Settings::parse(kind, &row.settings).unwrap_or_else(|error| {
        tracing::warn!(conversation = %row.id, %error, "stored settings can't be read: defaults rule");
        Settings::defaults(kind)
    })
}

/// Who brings users into a group and how, where a command of the system stands for that.
pub(crate) type Brought = Option<(UserId, Entrance)>;

/// What a command owes to the timeline of its group.
pub(crate) fn owed(
    row: &ConversationRow,
    command: &GroupCommand,
    decision: &GroupDecision,
    brought: Brought,
) -> Option<(UserId, SystemMessage)> {
    told(command, decision, brought).filter(|_| settings(row).system_messages())
}

/// What a new group owes to its timeline; `members` are those beside the creator.
pub(crate) fn owed_at_creation(
    row: &ConversationRow,
    creator: UserId,
    members: &[UserId],
) -> Option<(UserId, SystemMessage)> {
    let created = SystemMessage::created(&row.name, members);
    settings(row)
        .system_messages()
        .then_some((creator, created))
}

/// What an edit owes to the timeline of its group. The settings after the edit say whether the
/// group tells; an edit of the system tells nothing.
pub(crate) fn owed_of_edit(
    before: &ConversationRow,
    after: &ConversationRow,
    by: Option<UserId>,
) -> Vec<(UserId, SystemMessage)> {
    let (from, to) = (info(before), info(after));
    match by.filter(|_| to.settings.system_messages()) {
        None => Vec::new(),
        Some(by) => {
            let told = told_of_edit(&from, &to).into_iter();
            told.map(|message| (by, message)).collect()
        }
    }
}

fn info(row: &ConversationRow) -> Info {
    Info {
        name: row.name.clone(),
        avatar_url: row.avatar_url.clone(),
        description: row.description.clone(),
        settings: settings(row),
        announcement: row.announcement.text.clone(),
    }
}

/// The state of a group: its row, the members among the users a command names, and those of them
/// whose accounts are deleted.
pub(crate) fn state(
    row: &ConversationRow,
    members: Vec<NamedMember>,
    deleted: Vec<UserId>,
) -> GroupState {
    let mutes = members.iter().map(|(user, _, muted, until)| {
        let mute = Mute::from_columns(*muted, until.unwrap_or(0));
        (*user, mute)
    });
    GroupState {
        mutes: mutes.filter(|(_, mute)| *mute != Mute::None).collect(),
        facts: GroupFacts {
            member_count: row.member_count,
            settings: settings(row).group(),
            dissolved: row.dissolved,
        },
        roles: members
            .iter()
            .filter_map(|(user, role, ..)| Some((*user, Role::from_i32(*role)?)))
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
