//! Group commands: facts in, decision out.

use std::collections::BTreeSet;

use super::{Action, Departure, GroupEvent, Mute, Role, Standing};
use crate::conversation::{GroupSettings, check_description, check_name};
use crate::error::{Error, ErrorCode, Result};
use crate::ids::{UnixMillis, UserId};

/// Users one command may name.
pub const USERS_PER_COMMAND: usize = 1_000;

/// What must be known about a group to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// Members now.
    pub member_count: u32,
    /// Settings.
    pub settings: GroupSettings,
    /// Whether it was dissolved.
    pub dissolved: bool,
}

impl GroupFacts {
    pub(super) fn alive(&self) -> Result<&Self> {
        if self.dissolved {
            Err(ErrorCode::ConversationDissolved.into())
        } else {
            Ok(self)
        }
    }

    pub(super) fn room(&self) -> usize {
        self.settings.max_members.saturating_sub(self.member_count) as usize
    }
}

/// Somebody who shall become a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub id: UserId,
    /// Whether the account exists and is neither disabled nor deleted.
    pub active: bool,
    /// Guests don't join groups.
    pub is_guest: bool,
    /// Already in.
    pub is_member: bool,
}

impl Candidate {
    fn refusal(&self) -> Option<ErrorCode> {
        if !self.active {
            Some(ErrorCode::UserNotFound)
        } else if self.is_guest {
            Some(ErrorCode::GuestNotAllowed)
        } else if self.is_member {
            Some(ErrorCode::UserAlreadyInConversation)
        } else {
            None
        }
    }
}

/// A user a command couldn't be carried out for, while it was for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedUser {
    /// Who.
    pub user: UserId,
    /// Why.
    pub error: Error,
}

impl FailedUser {
    /// With the code's own sentence.
    pub fn new(user: UserId, code: ErrorCode) -> Self {
        Self {
            user,
            error: code.into(),
        }
    }
}

/// An accepted wish to create a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePlan {
    /// Members besides the owner, without repeats.
    pub members: Vec<UserId>,
    /// To publish once it is written.
    pub events: Vec<GroupEvent>,
}

/// Decides the creation of a group. The creator becomes owner.
///
/// Refuses as a whole when a member can't be one, because the caller of a creation has no
/// group to look at yet.
pub fn decide_create(
    creator: UserId,
    is_guest: bool,
    name: &str,
    description: &str,
    settings: &GroupSettings,
    members: &[Candidate],
) -> Result<CreatePlan> {
    Standing::new(None, is_guest).may(Action::CreateGroup)?;
    check_name(name)?;
    check_description(description)?;
    let mut unique = BTreeSet::new();
    for candidate in members.iter().filter(|c| c.id != creator) {
        if let Some(code) = candidate.refusal() {
            return Err(code.into());
        }
        unique.insert(candidate.id);
    }
    if unique.len() + 1 > settings.max_members as usize {
        return Err(ErrorCode::ConversationFull.into());
    }
    let members: Vec<_> = unique.into_iter().collect();
    let everybody = std::iter::once(creator)
        .chain(members.iter().copied())
        .collect();
    let mut events = vec![GroupEvent::Created { members: everybody }];
    let invited = members.iter().map(|user| GroupEvent::Invited {
        user: *user,
        by: creator,
    });
    events.extend(invited);
    Ok(CreatePlan { members, events })
}

/// Who is to be added and who can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPlan {
    /// Rows to write, if there still is room then.
    pub admit: Vec<UserId>,
    /// The capacity to enforce while writing.
    pub max_members: u32,
    /// Refused ones.
    pub failed: Vec<FailedUser>,
}

impl AddPlan {
    /// Whether the group has no room for anybody, and a newcomer was refused for it.
    pub(super) fn is_full(&self) -> bool {
        let full = |f: &FailedUser| f.error.code == ErrorCode::ConversationFull;
        self.admit.is_empty() && self.failed.iter().any(full)
    }

    /// Events and failures once the store said whom it `added` and whom it `refused`: another
    /// command may have taken the room, or added the same user, between decision and write.
    pub fn settle(
        mut self,
        added: &[UserId],
        refused: &[FailedUser],
        by: UserId,
    ) -> (Vec<GroupEvent>, Vec<FailedUser>) {
        let missed = self.admit.iter().filter(|user| !added.contains(user));
        self.failed.extend(missed.map(|user| {
            let told = refused.iter().find(|failed| failed.user == *user);
            told.cloned()
                .unwrap_or_else(|| FailedUser::new(*user, ErrorCode::ConversationFull))
        }));
        (GroupEvent::joined(added, by), self.failed)
    }
}

/// Decides adding members with a role. Everybody may be refused for a reason of their own;
/// the command as a whole is refused when the operator may not, or when the group is full.
pub fn decide_add(
    group: &GroupFacts,
    operator: Standing,
    role: Role,
    candidates: &[Candidate],
) -> Result<AddPlan> {
    may_add(group, operator, role, candidates.len())?;
    let plan = sort_out(group, group.settings.max_members, candidates);
    if plan.is_full() {
        return Err(ErrorCode::ConversationFull.into());
    }
    Ok(plan)
}

/// Judges the wish to add `count` users with a role, without looking at the users.
pub(super) fn may_add(
    group: &GroupFacts,
    operator: Standing,
    role: Role,
    count: usize,
) -> Result<()> {
    let group = group.alive()?;
    let open = group.settings.invite_enabled;
    operator.may(if open {
        Action::AddMembersWhenOpen
    } else {
        Action::AddMembers
    })?;
    match role {
        Role::Member => {}
        Role::Admin => operator.may(Action::ChangeRole)?,
        Role::Owner => {
            return Err(Error::new(
                ErrorCode::InvalidParams,
                "Nobody joins as owner.",
            ));
        }
    }
    check_size(count)
}

/// Sorts candidates into those who find room and those who can't be members, in the order given;
/// repeats are ignored.
pub(super) fn sort_out(group: &GroupFacts, capacity: u32, candidates: &[Candidate]) -> AddPlan {
    let mut plan = AddPlan {
        admit: Vec::new(),
        max_members: capacity,
        failed: Vec::new(),
    };
    let room = capacity.saturating_sub(group.member_count) as usize;
    let mut seen = BTreeSet::new();
    for candidate in candidates.iter().filter(|c| seen.insert(c.id)) {
        match candidate.refusal() {
            Some(code) => plan.failed.push(FailedUser::new(candidate.id, code)),
            None if plan.admit.len() < room => plan.admit.push(candidate.id),
            None => {
                let full = FailedUser::new(candidate.id, ErrorCode::ConversationFull);
                plan.failed.push(full);
            }
        }
    }
    plan
}

/// Decides joining on one's own.
pub fn decide_join(group: &GroupFacts, user: UserId, standing: Standing) -> Result<AddPlan> {
    let group = group.alive()?;
    let approval = group.settings.join_approval_required;
    standing.may(if approval {
        Action::Join
    } else {
        Action::JoinWhenOpen
    })?;
    if group.room() == 0 {
        return Err(ErrorCode::ConversationFull.into());
    }
    let max_members = group.settings.max_members;
    Ok(AddPlan {
        admit: vec![user],
        max_members,
        failed: Vec::new(),
    })
}

/// Who is to be removed and who can't be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovePlan {
    /// Rows to delete, and why.
    pub remove: Vec<(UserId, Departure)>,
    /// Refused ones.
    pub failed: Vec<FailedUser>,
}

/// Decides removing members. Naming oneself is leaving.
///
/// `targets` come with their roles, `None` for who is no member. Refused as a whole when the
/// operator may remove nobody at all, or when the only target can't be removed.
pub fn decide_remove(
    group: &GroupFacts,
    operator: UserId,
    standing: Standing,
    targets: &[(UserId, Option<Role>)],
) -> Result<RemovePlan> {
    group.alive()?;
    standing.may(Action::Read)?;
    check_size(targets.len())?;
    let (mut plan, mut seen) = (RemovePlan::default(), BTreeSet::new());
    for (user, role) in targets {
        if !seen.insert(*user) {
            continue;
        }
        let (verdict, departure) = match role {
            None => (
                Err(ErrorCode::NotConversationMember.into()),
                Departure::Removed,
            ),
            Some(_) if *user == operator => (standing.may(Action::Leave), Departure::Left),
            Some(role) => (standing.may(Action::remove(*role)), Departure::Removed),
        };
        match verdict {
            Ok(()) => plan.remove.push((*user, departure)),
            Err(error) => plan.failed.push(FailedUser { user: *user, error }),
        }
    }
    let hopeless = plan.remove.is_empty() && standing.may(Action::RemoveMember).is_err();
    if (hopeless || seen.len() == 1) && plan.remove.is_empty() {
        if let Some(first) = plan.failed.into_iter().next() {
            return Err(first.error);
        }
        return Ok(RemovePlan::default());
    }
    Ok(plan)
}

/// Decides leaving. The owner can't; they hand the group over or dissolve it.
pub fn decide_leave(
    group: &GroupFacts,
    user: UserId,
    standing: Standing,
) -> Result<Vec<GroupEvent>> {
    group.alive()?;
    standing.may(Action::Leave)?;
    Ok(GroupEvent::gone(user, user, Departure::Left).into())
}

/// Roles to write in one step: user, role before, role after. Empty when nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleChange {
    /// The changes. A transfer has two: the new owner first, then the old one, now admin.
    pub changes: Vec<(UserId, Role, Role)>,
}

impl RoleChange {
    /// What is told.
    pub fn events(&self, by: UserId) -> Vec<GroupEvent> {
        let event = |(user, old, new): &(UserId, Role, Role)| GroupEvent::RoleUpdated {
            user: *user,
            old: *old,
            new: *new,
            by,
        };
        self.changes.iter().map(event).collect()
    }
}

/// Decides a change of role. Only the owner; making somebody owner hands the group over, and
/// the old owner becomes admin.
pub fn decide_role(
    group: &GroupFacts,
    operator: (UserId, Standing),
    target: (UserId, Option<Role>),
    new: Role,
) -> Result<RoleChange> {
    group.alive()?;
    let action = if new == Role::Owner {
        Action::TransferOwnership
    } else {
        Action::ChangeRole
    };
    operator.1.may(action)?;
    let Some(old) = target.1 else {
        return Err(Error::new(
            ErrorCode::UserNotFound,
            "This user is not a member of the conversation.",
        ));
    };
    if old == new {
        return Ok(RoleChange::default());
    }
    if old == Role::Owner {
        return Err(Error::new(
            ErrorCode::InsufficientPermission,
            "The owner gives up the role by handing the group over.",
        ));
    }
    let mut changes = vec![(target.0, old, new)];
    if new == Role::Owner {
        changes.push((operator.0, Role::Owner, Role::Admin));
    }
    Ok(RoleChange { changes })
}

/// A mute to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MuteChange {
    /// Whom it silences or frees.
    pub user: UserId,
    /// From now on.
    pub mute: Mute,
}

/// Decides muting a member, or freeing them with [`Mute::None`]. A moment that has passed is
/// refused.
pub fn decide_mute(
    group: &GroupFacts,
    operator: Standing,
    target: (UserId, Option<Role>),
    mute: Mute,
    now: UnixMillis,
) -> Result<MuteChange> {
    group.alive()?;
    operator.may(Action::Read)?;
    let Some(role) = target.1 else {
        return Err(Error::new(
            ErrorCode::UserNotFound,
            "This user is not a member of the conversation.",
        ));
    };
    operator.may(Action::mute(role))?;
    if matches!(mute, Mute::Until(until) if until <= now) {
        return Err(Error::new(
            ErrorCode::InvalidParams,
            "A mute ends in the future.",
        ));
    }
    Ok(MuteChange {
        user: target.0,
        mute,
    })
}

/// Decides ending the group. Dissolving twice is the refusal of a dissolved group.
pub fn decide_dissolve(group: &GroupFacts, operator: Standing) -> Result<()> {
    group.alive()?;
    operator.may(Action::Dissolve)
}

fn check_size(users: usize) -> Result<()> {
    if (1..=USERS_PER_COMMAND).contains(&users) {
        Ok(())
    } else {
        Err(Error::new(
            ErrorCode::InvalidParams,
            "Name 1 to 1000 users.",
        ))
    }
}

#[cfg(test)]
mod tests;
