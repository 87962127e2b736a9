//! Group commands, judged where they are written.
//!
//! A store holds the group, loads the [`GroupState`] that [`GroupCommand::names`] asks for, calls
//! [`decide`] and writes the [`GroupDecision`], all in one transaction. So every command is judged
//! by the outcome of the one before, and concurrent commands end as one of their orders would.
//!
//! Invariant (I14): a living group has exactly one owner, who is a member. No command that
//! [`decide`] accepts breaks it, not even one of the system.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{
    Candidate, FailedUser, GroupFacts, decide_dissolve, decide_join, decide_mute, decide_remove,
    decide_role, may_add, sort_out,
};
use super::{Departure, Mute, Role, Standing};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{UnixMillis, UserId};

/// Who gives a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// A user, judged by the user's role in the group.
    User(UserId),
    /// A part of the system. Permissions aren't judged, the structure of the group is.
    System,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupAct {
    /// Adds users with a role other than owner.
    Add {
        /// Users to add; the caller has checked that the accounts may be members of groups.
        users: Vec<UserId>,
        /// Role of the new members.
        role: Role,
        /// Capacity that the system enforces instead of the group's own; `None` for users.
        capacity: Option<u32>,
    },
    /// Adds the operator, where the group is open.
    Join,
    /// Removes a member. Naming the operator is leaving.
    Remove(UserId),
    /// Gives a member a role. [`Role::Owner`] hands the group over.
    SetRole(UserId, Role),
    /// Mutes a member or lifts the mute.
    Mute(UserId, Mute),
    /// Ends the group.
    Dissolve,
}

/// A command with the one who gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCommand {
    /// Who gives the command.
    pub by: Operator,
    /// What the command does.
    pub act: GroupAct,
}

impl GroupCommand {
    /// A command of a user.
    pub const fn of(user: UserId, act: GroupAct) -> Self {
        Self {
            by: Operator::User(user),
            act,
        }
    }

    /// A command of the system.
    pub const fn system(act: GroupAct) -> Self {
        Self {
            by: Operator::System,
            act,
        }
    }

    /// Users whose roles the judgement relies on: the operator and all users named.
    pub fn names(&self) -> Vec<UserId> {
        let mut names = match &self.act {
            GroupAct::Add { users, .. } => users.clone(),
            GroupAct::Remove(user) | GroupAct::SetRole(user, _) | GroupAct::Mute(user, _) => {
                vec![*user]
            }
            GroupAct::Join | GroupAct::Dissolve => Vec::new(),
        };
        if let Operator::User(user) = self.by {
            names.push(user);
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether the command may make members of users. Their accounts are held until the command is
    /// written, so that none of them is deleted in between.
    pub const fn admits(&self) -> bool {
        matches!(self.act, GroupAct::Add { .. } | GroupAct::Join)
    }
}

/// What a store loads, under the lock of the group, before a command is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// The group.
    pub facts: GroupFacts,
    /// Roles of the members among the [named](GroupCommand::names) users.
    pub roles: BTreeMap<UserId, Role>,
    /// Mutes of those of these members who have one.
    pub mutes: BTreeMap<UserId, Mute>,
    /// Deleted accounts among the named users, loaded for commands that
    /// [admit](GroupCommand::admits) users: a deleted account becomes no member.
    pub deleted: BTreeSet<UserId>,
}

impl GroupState {
    fn role(&self, user: UserId) -> Option<Role> {
        self.roles.get(&user).copied()
    }

    /// The change that gives a member this mute; none when the member has it already, so that a
    /// repeat changes nothing.
    fn muting(&self, user: UserId, mute: Mute) -> GroupDecision {
        let current = self.mutes.get(&user).copied().unwrap_or_default();
        match current == mute {
            true => GroupDecision::default(),
            false => GroupDecision::of(vec![GroupWrite::Mute(user, mute)]),
        }
    }
}

/// One change of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupWrite {
    /// Insert members with a role.
    Insert(Vec<UserId>, Role),
    /// Delete a member.
    Delete(UserId, Departure),
    /// Change a role: user, role before, role after.
    Role(UserId, Role, Role),
    /// Name the owner in the group's row.
    Owner(UserId),
    /// Write a mute.
    Mute(UserId, Mute),
    /// Mark the group as dissolved.
    Dissolve,
}

/// An accepted command: changes to write in the given order, and users it failed for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupDecision {
    /// Changes to write, in this order. Empty when the group is as the command wants it.
    pub writes: Vec<GroupWrite>,
    /// Users the command couldn't be carried out for.
    pub failed: Vec<FailedUser>,
}

impl GroupDecision {
    fn of(writes: Vec<GroupWrite>) -> Self {
        Self {
            writes,
            failed: Vec::new(),
        }
    }

    /// Users that become members.
    pub fn added(&self) -> &[UserId] {
        let inserted = self.writes.iter().find_map(|write| match write {
            GroupWrite::Insert(users, _) => Some(users.as_slice()),
            _ => None,
        });
        inserted.unwrap_or_default()
    }

    /// Changes of roles: user, role before, role after.
    pub fn role_changes(&self) -> Vec<(UserId, Role, Role)> {
        let changes = self.writes.iter().filter_map(|write| match write {
            GroupWrite::Role(user, old, new) => Some((*user, *old, *new)),
            _ => None,
        });
        changes.collect()
    }
}

/// Judges a command by the state it meets.
///
/// # Errors
/// The refusals of the permission matrix and of the group's state.
pub fn decide(
    state: &GroupState,
    command: &GroupCommand,
    now: UnixMillis,
) -> Result<GroupDecision> {
    match command.by {
        Operator::User(user) => decide_for_user(state, user, &command.act, now),
        Operator::System => decide_for_system(state, &command.act),
    }
}

fn candidates(state: &GroupState, users: &[UserId]) -> Vec<Candidate> {
    let candidate = |user: &UserId| Candidate {
        id: *user,
        active: !state.deleted.contains(user),
        is_guest: false,
        is_member: state.role(*user).is_some(),
    };
    users.iter().map(candidate).collect()
}

fn insert(users: Vec<UserId>, role: Role, failed: Vec<FailedUser>) -> GroupDecision {
    let writes = match users.is_empty() {
        true => Vec::new(),
        false => vec![GroupWrite::Insert(users, role)],
    };
    GroupDecision { writes, failed }
}

fn decide_for_user(
    state: &GroupState,
    by: UserId,
    act: &GroupAct,
    now: UnixMillis,
) -> Result<GroupDecision> {
    let (group, standing) = (&state.facts, Standing::new(state.role(by), false));
    match act {
        GroupAct::Add { users, role, .. } => {
            may_add(group, standing, *role, users.len())?;
            let plan = sort_out(group, group.settings.max_members, &candidates(state, users));
            if plan.is_full() {
                return Err(ErrorCode::ConversationFull.into());
            }
            Ok(insert(plan.admit, *role, plan.failed))
        }
        GroupAct::Join if state.deleted.contains(&by) => Err(ErrorCode::UserNotFound.into()),
        GroupAct::Join => {
            let plan = decide_join(group, by, standing)?;
            Ok(insert(plan.admit, Role::Member, plan.failed))
        }
        GroupAct::Remove(user) => {
            let target = [(*user, state.role(*user))];
            let plan = decide_remove(group, by, standing, &target)?;
            let gone = |(user, departure)| GroupWrite::Delete(user, departure);
            Ok(GroupDecision {
                writes: plan.remove.into_iter().map(gone).collect(),
                failed: plan.failed,
            })
        }
        GroupAct::SetRole(user, role) => {
            let target = (*user, state.role(*user));
            let change = decide_role(group, (by, standing), target, *role)?;
            // The old owner steps back first: no moment of the transaction has two owners.
            let roles = change.changes.into_iter().rev();
            let mut writes: Vec<_> = roles
                .map(|(user, old, new)| GroupWrite::Role(user, old, new))
                .collect();
            if *role == Role::Owner && !writes.is_empty() {
                writes.push(GroupWrite::Owner(*user));
            }
            Ok(GroupDecision::of(writes))
        }
        GroupAct::Mute(user, mute) => {
            let target = (*user, state.role(*user));
            let change = decide_mute(group, standing, target, *mute, now)?;
            Ok(state.muting(change.user, change.mute))
        }
        // The repeat of a lost answer meets a group that is dissolved already.
        GroupAct::Dissolve if group.dissolved && standing == Standing::Member(Role::Owner) => {
            Ok(GroupDecision::default())
        }
        GroupAct::Dissolve => {
            decide_dissolve(group, standing)?;
            Ok(GroupDecision::of(vec![GroupWrite::Dissolve]))
        }
    }
}

/// The system is held to the structure only: no owner leaves or loses the role without a successor,
/// and nobody becomes owner beside the owner.
fn decide_for_system(state: &GroupState, act: &GroupAct) -> Result<GroupDecision> {
    let stranger = || Error::from(ErrorCode::NotConversationMember);
    match act {
        GroupAct::Add {
            users,
            role,
            capacity,
        } => {
            if state.facts.dissolved {
                return Err(ErrorCode::ConversationDissolved.into());
            }
            refuse_owner(*role)?;
            let capacity = capacity.unwrap_or(state.facts.settings.max_members);
            let plan = sort_out(&state.facts, capacity, &candidates(state, users));
            Ok(insert(plan.admit, *role, plan.failed))
        }
        GroupAct::Join => Err(ErrorCode::InvalidParams.into()),
        GroupAct::Remove(user) => match state.role(*user) {
            None => Ok(GroupDecision::default()),
            Some(Role::Owner) if !state.facts.dissolved => {
                Err(ErrorCode::CannotLeaveConversation.into())
            }
            Some(_) => Ok(GroupDecision::of(vec![GroupWrite::Delete(
                *user,
                Departure::Removed,
            )])),
        },
        GroupAct::SetRole(user, role) => {
            refuse_owner(*role)?;
            match state.role(*user).ok_or_else(stranger)? {
                Role::Owner => Err(ErrorCode::InsufficientPermission.into()),
                old if old == *role => Ok(GroupDecision::default()),
                old => Ok(GroupDecision::of(vec![GroupWrite::Role(*user, old, *role)])),
            }
        }
        GroupAct::Mute(user, mute) => {
            state.role(*user).ok_or_else(stranger)?;
            Ok(state.muting(*user, *mute))
        }
        GroupAct::Dissolve if state.facts.dissolved => Ok(GroupDecision::default()),
        GroupAct::Dissolve => Ok(GroupDecision::of(vec![GroupWrite::Dissolve])),
    }
}

fn refuse_owner(role: Role) -> Result<()> {
    match role {
        Role::Owner => Err(Error::new(
            ErrorCode::InvalidParams,
            "Ownership is handed over by the owner.",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
