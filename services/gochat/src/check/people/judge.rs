//! Whether commands that were given at once ended as one of their orders would.

use std::collections::BTreeSet;

use gochat_core::conversation::{GroupSettings, Info, Revision, Seen, Settings, decide_edit};
use gochat_core::ids::UserId;
use gochat_core::membership::{
    Action, GroupAct, GroupCommand, GroupFacts, GroupState, GroupWrite, Mute, Role, Standing,
    decide, told, told_of_edit,
};
use gochat_core::message::SystemMessage;

use super::told::Said;
use crate::check::observe::Crew;

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Add(UserId),
    Remove(UserId),
    SetRole(UserId, Role),
    /// Mutes a member without an end, or lifts the mute.
    Mute(UserId, bool),
    /// The version that was seen, and what is to be another.
    Edit(u64, Edit),
    Dissolve,
}

/// What an edit changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    Name(String),
    Announcement(String),
    MuteAll(bool),
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
    let mut open = judged(commands, outcomes);
    search(before, &mut open, &mut Vec::new(), &mut |now, _| {
        now == after
    })
}

/// What the timeline of the group may tell of the commands: one entry for each order that gives
/// these outcomes and, where it is known, leads to `after`. A command without an answer may have
/// been carried out or not.
pub(super) fn tellings(
    before: &Crew,
    commands: &[Command],
    outcomes: &[Outcome],
    after: Option<&Crew>,
) -> BTreeSet<Vec<Said>> {
    let (mut open, mut found) = (judged(commands, outcomes), BTreeSet::new());
    search(before, &mut open, &mut Vec::new(), &mut |now, said| {
        if after.is_none_or(|after| now == after) {
            found.insert(said.to_vec());
        }
        false
    });
    found
}

/// The commands that were judged, or may have been.
fn judged<'a>(commands: &'a [Command], outcomes: &[Outcome]) -> Vec<(&'a Command, Outcome)> {
    let all = commands.iter().zip(outcomes.iter().copied());
    all.filter(|(_, outcome)| *outcome != Outcome::NotRun)
        .collect()
}

/// Tries all orders until one ends as it should.
fn search(
    now: &Crew,
    open: &mut Vec<(&Command, Outcome)>,
    said: &mut Vec<Said>,
    is_it: &mut dyn FnMut(&Crew, &[Said]) -> bool,
) -> bool {
    if open.is_empty() {
        return is_it(now, said);
    }
    for at in 0..open.len() {
        let (command, outcome) = open.swap_remove(at);
        let step = carry_out(now, command);
        let mut found = false;
        if let Some((then, told)) = &step
            && matches!(outcome, Outcome::Done | Outcome::Unknown)
        {
            let before = said.len();
            said.extend(told.iter().map(|message| Said::new(command.by, message)));
            found = search(then, open, said, is_it);
            said.truncate(before);
        }
        let may_be_refused = outcome == Outcome::Refused && step.is_none();
        if !found && (may_be_refused || outcome == Outcome::Unknown) {
            found = search(now, open, said, is_it);
        }
        open.push((command, outcome));
        let last = open.len() - 1;
        open.swap(at, last);
        if found {
            return true;
        }
    }
    false
}

/// The group after a command, and what its timeline tells of it.
type Step = (Crew, Vec<SystemMessage>);

/// The group after a command; `None` when it is refused.
fn carry_out(crew: &Crew, command: &Command) -> Option<Step> {
    // Nobody is left who could do anything.
    if crew.is_dissolved {
        return None;
    }
    let act = match &command.what {
        What::Edit(version, edit) => return edited(crew, command.by, *version, edit),
        // Who is a member already is a failure of the one addition.
        What::Add(user) if crew.members.contains_key(user) => return None,
        What::Add(user) => GroupAct::Add {
            users: vec![*user],
            role: Role::Member,
            capacity: None,
        },
        What::Remove(user) => GroupAct::Remove(*user),
        What::SetRole(user, role) => GroupAct::SetRole(*user, *role),
        What::Mute(user, is_muted) => GroupAct::Mute(*user, mute(*is_muted)),
        What::Dissolve => GroupAct::Dissolve,
    };
    let command = GroupCommand::of(command.by, act);
    let muted = crew.muted.iter().map(|user| (*user, Mute::Forever));
    let state = GroupState {
        facts: GroupFacts {
            member_count: u32::try_from(crew.members.len()).ok()?,
            settings: GroupSettings::default(),
            dissolved: false,
        },
        roles: crew.members.clone(),
        mutes: muted.collect(),
        deleted: BTreeSet::new(),
    };
    let decision = decide(&state, &command, 0).ok()?;
    let message = told(&command, &decision, None).map(|(_, message)| message);
    let message = message.into_iter().collect();
    if decision.writes.contains(&GroupWrite::Dissolve) {
        return Some((Crew::dissolved(), message));
    }
    let mut then = crew.clone();
    for write in decision.writes {
        apply(&mut then, write);
    }
    then.count = then.members.len() as u64;
    Some((then, message))
}

const fn mute(is_muted: bool) -> Mute {
    match is_muted {
        true => Mute::Forever,
        false => Mute::None,
    }
}

fn apply(crew: &mut Crew, write: GroupWrite) {
    match write {
        GroupWrite::Insert(users, role) => {
            let new = users.into_iter().map(|user| (user, role));
            crew.members.extend(new);
        }
        GroupWrite::Delete(user, _) => {
            crew.members.remove(&user);
            crew.muted.remove(&user);
        }
        GroupWrite::Role(user, _, role) => drop(crew.members.insert(user, role)),
        GroupWrite::Owner(user) => crew.owner = Some(user),
        GroupWrite::Mute(user, Mute::None) => drop(crew.muted.remove(&user)),
        GroupWrite::Mute(user, _) => drop(crew.muted.insert(user)),
        GroupWrite::Dissolve => {}
    }
}

fn edited(crew: &Crew, by: UserId, version: u64, edit: &Edit) -> Option<Step> {
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
    match edit {
        Edit::Name(name) => then.name.clone_from(name),
        Edit::Announcement(text) => then.announcement.clone_from(text),
        Edit::MuteAll(mute_all) => then.mute_all = *mute_all,
    }
    if then != *crew {
        then.version = next.version;
    }
    let told = told_of_edit(&info(crew), &info(&then));
    Some((then, told))
}

fn info(crew: &Crew) -> Info {
    let settings = GroupSettings {
        mute_all: crew.mute_all,
        ..GroupSettings::default()
    };
    Info {
        name: crew.name.clone(),
        avatar_url: String::new(),
        description: String::new(),
        settings: Settings::Group(settings),
        announcement: crew.announcement.clone(),
    }
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
            ..Crew::default()
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
            what: What::Edit(3, Edit::Name(name.into())),
        };
        let both = [rename("a"), rename("b")];
        let mut after = before.clone();
        (after.name, after.version) = ("b".into(), 4);
        assert!(explain(&before, &both, &[Refused, Done], &after));
        assert!(!explain(&before, &both, &[Done, Done], &after));
    }

    #[test]
    fn both_orders_may_be_told_and_what_has_no_answer_too() {
        use Outcome::{Done, Unknown};
        let before = crew(&BEFORE, 1);
        let leave = |n| Command {
            by: user(n),
            what: What::Remove(user(n)),
        };
        let both = [leave(2), leave(3)];
        let after = crew(&[(1, Role::Owner)], 1);
        let left = |n| Said::new(user(n), &SystemMessage::Left);
        let orders = [vec![left(2), left(3)], vec![left(3), left(2)]];
        let told = tellings(&before, &both, &[Done, Done], Some(&after));
        assert_eq!(told, BTreeSet::from(orders.clone()));
        let told = tellings(&before, &both, &[Done, Unknown], None);
        let [first, second] = orders;
        assert_eq!(told, BTreeSet::from([vec![left(2)], first, second]));
        // Who was muted is no more muted than before.
        let mute = Command {
            by: user(1),
            what: What::Mute(user(2), true),
        };
        let again = [mute.clone(), mute];
        let told = tellings(&before, &again, &[Done, Done], None);
        assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [1]);
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
