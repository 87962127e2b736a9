//! Whether commands that were given at once ended as one of their orders would.

use std::collections::{BTreeMap, BTreeSet};

use gochat_core::conversation::{GroupSettings, Revision, Seen, decide_edit};
use gochat_core::ids::UserId;
use gochat_core::membership::{
    Action, GroupAct, GroupCommand, GroupFacts, GroupState, GroupWrite, Role, Standing, decide,
};

use crate::check::observe::Crew;

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Add(UserId),
    Remove(UserId),
    SetRole(UserId, Role),
    /// The version that was seen, and the new name.
    Rename(u64, String),
    Dissolve,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) by: UserId,
    pub(super) what: What,
}

/// What the caller was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Refused,
    /// Turned away before it was judged: a rate limit, an expired token.
    NotRun,
    /// No answer: carried out or not, now or later.
    Unknown,
}

/// How many commands came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::check) struct Outcomes {
    pub(in crate::check) done: u64,
    pub(in crate::check) refused: u64,
    pub(in crate::check) not_run: u64,
    pub(in crate::check) unknown: u64,
}

impl Outcomes {
    pub(super) fn count(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            *match outcome {
                Outcome::Done => &mut self.done,
                Outcome::Refused => &mut self.refused,
                Outcome::NotRun => &mut self.not_run,
                Outcome::Unknown => &mut self.unknown,
            } += 1;
        }
    }

    pub(in crate::check) const fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.not_run += other.not_run;
        self.unknown += other.unknown;
    }
}

/// Whether some order of the commands gives these outcomes and leads from `before` to `after`.
pub(super) fn explain(
    before: &Crew,
    commands: &[Command],
    outcomes: &[Outcome],
    after: &Crew,
) -> bool {
    let mut open: Vec<(&Command, Outcome)> = commands
        .iter()
        .zip(outcomes.iter().copied())
        .filter(|(_, outcome)| *outcome != Outcome::NotRun)
        .collect();
    search(before.clone(), &mut open, after)
}

fn search(now: Crew, open: &mut Vec<(&Command, Outcome)>, after: &Crew) -> bool {
    if open.is_empty() {
        return now == *after;
    }
    for at in 0..open.len() {
        let (command, outcome) = open.swap_remove(at);
        let then = carry_out(&now, command);
        let fits = then.is_some() == (outcome == Outcome::Done);
        let found = fits && search(then.unwrap_or_else(|| now.clone()), open, after);
        open.push((command, outcome));
        let last = open.len() - 1;
        open.swap(at, last);
        if found {
            return true;
        }
    }
    false
}

/// The group after a command; `None` when it is refused.
fn carry_out(crew: &Crew, command: &Command) -> Option<Crew> {
    // Nobody is left who could do anything.
    if crew.is_dissolved {
        return None;
    }
    let act = match &command.what {
        What::Rename(version, name) => return rename(crew, command.by, *version, name),
        // Who is a member already is a failure of the one addition.
        What::Add(user) if crew.members.contains_key(user) => return None,
        What::Add(user) => GroupAct::Add {
            users: vec![*user],
            role: Role::Member,
            capacity: None,
        },
        What::Remove(user) => GroupAct::Remove(*user),
        What::SetRole(user, role) => GroupAct::SetRole(*user, *role),
        What::Dissolve => GroupAct::Dissolve,
    };
    let command = GroupCommand::of(command.by, act);
    let state = GroupState {
        facts: GroupFacts {
            member_count: u32::try_from(crew.members.len()).ok()?,
            settings: GroupSettings::default(),
            dissolved: false,
        },
        roles: crew.members.clone(),
        mutes: BTreeMap::new(),
        deleted: BTreeSet::new(),
    };
    let decision = decide(&state, &command, 0).ok()?;
    let mut then = crew.clone();
    if decision.writes.contains(&GroupWrite::Dissolve) {
        return Some(Crew::dissolved());
    }
    for write in decision.writes {
        apply(&mut then.members, &mut then.owner, write);
    }
    then.count = then.members.len() as u64;
    Some(then)
}

fn apply(members: &mut BTreeMap<UserId, Role>, owner: &mut Option<UserId>, write: GroupWrite) {
    match write {
        GroupWrite::Insert(users, role) => {
            members.extend(users.into_iter().map(|user| (user, role)));
        }
        GroupWrite::Delete(user, _) => drop(members.remove(&user)),
        GroupWrite::Role(user, _, role) => drop(members.insert(user, role)),
        GroupWrite::Owner(user) => *owner = Some(user),
        GroupWrite::Mute(..) | GroupWrite::Dissolve => {}
    }
}

fn rename(crew: &Crew, by: UserId, version: u64, name: &str) -> Option<Crew> {
    let standing = Standing::new(crew.members.get(&by).copied(), false);
    standing.may(Action::UpdateInfo).ok()?;
    let current = Revision {
        version: crew.version,
        changed_at: 0,
    };
    let seen = Seen {
        version: Some(version),
        changed_at: None,
    };
    let next = decide_edit(current, seen, 0).ok()?;
    let mut then = crew.clone();
    if then.name != name {
        then.name = name.to_owned();
        then.version = next.version;
    }
    Some(then)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn crew(roles: &[(u64, Role)], owner: u64) -> Crew {
        Crew {
            owner: Some(user(owner)),
            members: roles.iter().map(|(n, role)| (user(*n), *role)).collect(),
            count: roles.len() as u64,
            name: "club".into(),
            version: 3,
            is_dissolved: false,
        }
    }

    fn hand_over() -> [Command; 2] {
        [
            Command {
                by: user(1),
                what: What::SetRole(user(2), Role::Owner),
            },
            Command {
                by: user(2),
                what: What::Remove(user(2)),
            },
        ]
    }

    const BEFORE: [(u64, Role); 3] = [(1, Role::Owner), (2, Role::Member), (3, Role::Member)];

    #[test]
    fn either_order_is_an_explanation() {
        use Outcome::{Done, Refused};
        let before = crew(&BEFORE, 1);
        let handed = crew(&[(1, Role::Admin), (2, Role::Owner), (3, Role::Member)], 2);
        assert!(explain(&before, &hand_over(), &[Done, Refused], &handed));
        let left = crew(&[(1, Role::Owner), (3, Role::Member)], 1);
        assert!(explain(&before, &hand_over(), &[Refused, Done], &left));
    }

    #[test]
    fn a_group_without_an_owner_has_no_explanation() {
        use Outcome::Done;
        let before = crew(&BEFORE, 1);
        let lost = crew(&[(1, Role::Admin), (3, Role::Member)], 2);
        assert!(!explain(&before, &hand_over(), &[Done, Done], &lost));
    }

    #[test]
    fn of_two_renames_of_one_version_one_is_explained() {
        use Outcome::{Done, Refused};
        let before = crew(&BEFORE, 1);
        let rename = |name: &str| Command {
            by: user(1),
            what: What::Rename(3, name.into()),
        };
        let both = [rename("a"), rename("b")];
        let mut after = before.clone();
        (after.name, after.version) = ("b".into(), 4);
        assert!(explain(&before, &both, &[Refused, Done], &after));
        assert!(!explain(&before, &both, &[Done, Done], &after));
    }

    #[test]
    fn after_the_end_of_a_group_nothing_is_carried_out() {
        use Outcome::{Done, Refused};
        let before = crew(&BEFORE, 1);
        let by = |n: u64, what: What| Command { by: user(n), what };
        let commands = [by(1, What::Dissolve), by(3, What::Remove(user(3)))];
        let ended = Crew::dissolved();
        // Who leaves first has left; afterwards there is nothing to leave.
        assert!(explain(&before, &commands, &[Done, Done], &ended));
        assert!(explain(&before, &commands, &[Done, Refused], &ended));
        assert!(!explain(&before, &commands, &[Refused, Done], &ended));
        let left = crew(&[(1, Role::Owner), (2, Role::Member)], 1);
        assert!(!explain(&before, &commands, &[Done, Done], &left));
        let not_the_owner = [by(2, What::Dissolve)];
        assert!(!explain(&before, &not_the_owner, &[Done], &ended));
        assert!(!explain(
            &ended,
            &[by(1, What::Add(user(4)))],
            &[Done],
            &ended
        ));
    }
}
