use proptest::prelude::*;

use super::*;
use crate::conversation::GroupSettings;
use crate::membership::told;
use crate::message::SystemMessage;

/// Whether a command changed anything, and the system message it gives.
type Told = (bool, Option<(UserId, SystemMessage)>);

/// A group as a store keeps it, and the store's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    owner: Option<UserId>,
    members: BTreeMap<UserId, Role>,
    mutes: BTreeMap<UserId, Mute>,
    dissolved: bool,
    max_members: u32,
}

fn user(n: u64) -> UserId {
    UserId::new(n).unwrap()
}

impl Stored {
    /// User 1 is the owner, user 2 admin, users 3 and 4 are members.
    fn new(max_members: u32) -> Self {
        let roles = [
            (1, Role::Owner),
            (2, Role::Admin),
            (3, Role::Member),
            (4, Role::Member),
        ];
        Self {
            owner: Some(user(1)),
            members: roles.map(|(n, role)| (user(n), role)).into(),
            mutes: BTreeMap::new(),
            dissolved: false,
            max_members,
        }
    }

    fn load(&self, command: &GroupCommand) -> GroupState {
        let named = command.names();
        let role = |user: &UserId| Some((*user, *self.members.get(user)?));
        GroupState {
            facts: GroupFacts {
                member_count: u32::try_from(self.members.len()).unwrap(),
                settings: GroupSettings {
                    max_members: self.max_members,
                    ..GroupSettings::default()
                },
                dissolved: self.dissolved,
            },
            roles: named.iter().filter_map(role).collect(),
            mutes: self.mutes.clone(),
            deleted: BTreeSet::new(),
        }
    }

    fn write(&mut self, decision: &GroupDecision) {
        for write in &decision.writes {
            match write {
                GroupWrite::Insert(users, role) => {
                    self.members.extend(users.iter().map(|user| (*user, *role)));
                }
                GroupWrite::Delete(user, _) => {
                    assert!(self.members.remove(user).is_some(), "the row was there");
                    self.mutes.remove(user);
                }
                GroupWrite::Role(user, old, new) => {
                    assert_eq!(self.members.insert(*user, *new), Some(*old));
                }
                GroupWrite::Owner(user) => self.owner = Some(*user),
                GroupWrite::Mute(user, mute) => {
                    assert!(self.members.contains_key(user));
                    assert_ne!(self.mutes.insert(*user, *mute).unwrap_or_default(), *mute);
                }
                GroupWrite::Dissolve => self.dissolved = true,
            }
        }
    }

    /// Runs a command and says what it tells; `None` when it is refused.
    fn tells(&mut self, command: &GroupCommand) -> Option<Told> {
        let decision = decide(&self.load(command), command, 1_000).ok()?;
        self.write(&decision);
        let told = told(command, &decision, None);
        Some((!decision.writes.is_empty(), told))
    }

    fn run(&mut self, command: &GroupCommand) -> bool {
        match decide(&self.load(command), command, 1_000) {
            Ok(decision) => {
                self.write(&decision);
                true
            }
            Err(_) => false,
        }
    }

    /// I14; a dissolved group may lose everybody.
    fn has_exactly_one_owner(&self) -> bool {
        if self.dissolved {
            return true;
        }
        let owners = self
            .members
            .iter()
            .filter(|(_, role)| **role == Role::Owner);
        owners.map(|(user, _)| Some(*user)).eq([self.owner])
    }
}

fn a_user() -> impl Strategy<Value = UserId> {
    (1_u64..=6).prop_map(user)
}

fn a_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

fn an_act() -> impl Strategy<Value = GroupAct> {
    prop_oneof![
        3 => (prop::collection::vec(a_user(), 1..4), a_role()).prop_map(|(users, role)| {
            GroupAct::Add { users, role, capacity: None }
        }),
        1 => Just(GroupAct::Join),
        3 => a_user().prop_map(GroupAct::Remove),
        5 => (a_user(), a_role()).prop_map(|(user, role)| GroupAct::SetRole(user, role)),
        1 => a_user().prop_map(|user| GroupAct::Mute(user, Mute::Forever)),
        1 => Just(GroupAct::Dissolve),
    ]
}

fn a_command() -> impl Strategy<Value = GroupCommand> {
    let by = prop_oneof![
        6 => a_user().prop_map(Operator::User),
        1 => Just(Operator::System),
    ];
    (by, an_act()).prop_map(|(by, act)| GroupCommand { by, act })
}

fn transfer(from: u64, to: u64) -> GroupCommand {
    GroupCommand::of(user(from), GroupAct::SetRole(user(to), Role::Owner))
}

fn leave(who: u64) -> GroupCommand {
    GroupCommand::of(user(who), GroupAct::Remove(user(who)))
}

proptest! {
    /// I14, and the capacity, whatever is asked by whom in whatever order.
    #[test]
    fn a_group_has_exactly_one_owner_after_any_commands(
        commands in prop::collection::vec(a_command(), 1..40), max in 2_u32..7
    ) {
        let mut group = Stored::new(max);
        for command in &commands {
            let before = group.members.len();
            let dissolved = group.dissolved;
            group.run(command);
            prop_assert!(group.has_exactly_one_owner(), "{command:?} → {group:?}");
            let room = usize::try_from(max).unwrap().max(before);
            prop_assert!(group.members.len() <= room, "{command:?} → {group:?}");
            prop_assert!(!dissolved || group.dissolved, "nothing revives a group");
        }
    }

    /// Every command of a user that changes a group gives exactly one system message, written in
    /// the user's name, and its repeat gives none; dissolving is the one exception.
    #[test]
    fn a_command_that_changes_something_tells_it_once(
        commands in prop::collection::vec(a_command(), 1..30),
    ) {
        let mut group = Stored::new(5);
        for command in &commands {
            let Some((changed, told)) = group.tells(command) else { continue };
            let speaks = changed && command.act != GroupAct::Dissolve;
            match (command.by, &told) {
                (Operator::User(by), Some((author, _))) => prop_assert!(speaks && by == *author),
                (Operator::User(_), None) => prop_assert!(!speaks, "{command:?}"),
                (Operator::System, told) => prop_assert!(told.is_none()),
            }
            let again = group.tells(command);
            prop_assert!(!matches!(again, Some((_, Some(_)))), "{again:?}");
        }
    }

    /// Commands that were all allowed by one state, and are judged again by the state that each of
    /// them meets, leave one owner, whichever comes first.
    #[test]
    fn concurrent_commands_of_managers_keep_the_owner(
        mut acts in prop::collection::vec((1_u64..=4, an_act()), 2..6), first in 0_usize..6
    ) {
        let mut group = Stored::new(5);
        let from = first % acts.len();
        acts.rotate_left(from);
        for (by, act) in acts {
            group.run(&GroupCommand::of(user(by), act));
            prop_assert!(group.has_exactly_one_owner(), "{group:?}");
        }
    }
}

/// The defect that judging under the lock mends: decisions of one moment, written one after the
/// other, leave a group without an owner.
#[test]
fn decisions_written_without_judging_again_lose_the_owner() {
    let start = Stored::new(5);
    let (hand_over, leaving) = (transfer(1, 3), leave(3));
    let stale = [&hand_over, &leaving].map(|c| decide(&start.load(c), c, 0).unwrap());
    let mut group = start.clone();
    group.write(&stale[0]);
    let leaving = stale[1].writes.clone();
    assert!(matches!(leaving[..], [GroupWrite::Delete(..)]));
    group.members.remove(&user(3));
    assert!(!group.has_exactly_one_owner());
}

#[test]
fn the_second_of_two_racing_commands_is_judged_by_the_first() {
    let cases: [(GroupCommand, GroupCommand, ErrorCode); 5] = [
        (transfer(1, 3), leave(3), ErrorCode::CannotLeaveConversation),
        (leave(3), transfer(1, 3), ErrorCode::UserNotFound),
        (
            transfer(1, 3),
            transfer(1, 4),
            ErrorCode::InsufficientPermission,
        ),
        (
            transfer(1, 3),
            GroupCommand::of(user(2), GroupAct::Remove(user(3))),
            ErrorCode::InsufficientPermission,
        ),
        (
            GroupCommand::of(user(1), GroupAct::Dissolve),
            GroupCommand::of(
                user(2),
                GroupAct::Add {
                    users: vec![user(5)],
                    role: Role::Member,
                    capacity: None,
                },
            ),
            ErrorCode::ConversationDissolved,
        ),
    ];
    for (first, second, code) in cases {
        let mut group = Stored::new(5);
        assert!(group.run(&first));
        let refusal = decide(&group.load(&second), &second, 0).unwrap_err();
        assert_eq!(refusal.code, code, "{first:?} then {second:?}");
    }
}

#[test]
fn the_system_is_held_to_the_structure_of_a_group() {
    let code = |act| {
        let command = GroupCommand::system(act);
        decide(&Stored::new(5).load(&command), &command, 0)
            .unwrap_err()
            .code
    };
    let owner = user(1);
    assert_eq!(
        code(GroupAct::Remove(owner)),
        ErrorCode::CannotLeaveConversation
    );
    assert_eq!(
        code(GroupAct::SetRole(owner, Role::Member)),
        ErrorCode::InsufficientPermission
    );
    assert_eq!(
        code(GroupAct::SetRole(user(3), Role::Owner)),
        ErrorCode::InvalidParams
    );
    assert_eq!(
        code(GroupAct::SetRole(user(9), Role::Admin)),
        ErrorCode::NotConversationMember
    );
}

#[test]
fn dissolving_again_changes_nothing() {
    let mut group = Stored::new(5);
    let dissolve = GroupCommand::of(user(1), GroupAct::Dissolve);
    assert!(group.run(&dissolve));
    let again = decide(&group.load(&dissolve), &dissolve, 0).unwrap();
    assert_eq!(again, GroupDecision::default());
}

#[test]
fn a_command_names_its_operator_and_its_users_once() {
    let add = GroupAct::Add {
        users: vec![user(4), user(2), user(4)],
        role: Role::Member,
        capacity: None,
    };
    let names = GroupCommand::of(user(2), add).names();
    assert_eq!(names, [user(2), user(4)]);
}

#[test]
fn a_deleted_account_becomes_no_member() {
    let fixture = Stored::new(10);
    let add = GroupAct::Add {
        users: vec![user(8), user(9)],
        role: Role::Member,
        capacity: None,
    };
    for command in [
        GroupCommand::of(user(1), add.clone()),
        GroupCommand::system(add),
    ] {
        let mut state = fixture.load(&command);
        state.deleted.insert(user(9));
        let decision = decide(&state, &command, 0).unwrap();
        assert_eq!(decision.added(), [user(8)]);
        let failed = &decision.failed[0];
        assert_eq!(
            (failed.user, failed.error.code),
            (user(9), ErrorCode::UserNotFound)
        );
    }
    let join = GroupCommand::of(user(9), GroupAct::Join);
    let mut state = fixture.load(&join);
    state.deleted.insert(user(9));
    let refusal = decide(&state, &join, 0).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::UserNotFound);
}
