use proptest::prelude::*;

use super::*;

const OWNER: Standing = Standing::Member(Role::Owner);
const ADMIN: Standing = Standing::Member(Role::Admin);
const MEMBER: Standing = Standing::Member(Role::Member);

fn user(n: u64) -> UserId {
    UserId::new(n).unwrap()
}

fn group(member_count: u32) -> GroupFacts {
    GroupFacts {
        member_count,
        settings: GroupSettings::default(),
        dissolved: false,
    }
}

fn small_group(member_count: u32, max_members: u32) -> GroupFacts {
    let settings = GroupSettings {
        max_members,
        ..GroupSettings::default()
    };
    GroupFacts {
        member_count,
        settings,
        dissolved: false,
    }
}

fn candidate(n: u64) -> Candidate {
    Candidate {
        id: user(n),
        active: true,
        is_guest: false,
        is_member: false,
    }
}

fn codes(failed: &[FailedUser]) -> Vec<(u64, ErrorCode)> {
    failed
        .iter()
        .map(|f| (f.user.get(), f.error.code))
        .collect()
}

fn create(is_guest: bool, members: &[Candidate]) -> Result<CreatePlan> {
    decide_create(
        user(1),
        is_guest,
        "Tea",
        "",
        &GroupSettings::default(),
        members,
    )
}

#[test]
fn creating_tells_everybody_and_invites_the_members() {
    let plan = create(
        false,
        &[candidate(3), candidate(2), candidate(3), candidate(1)],
    )
    .unwrap();
    assert_eq!(plan.members, [user(2), user(3)]);
    assert_eq!(
        plan.events,
        [
            GroupEvent::Created {
                members: vec![user(1), user(2), user(3)]
            },
            GroupEvent::Invited {
                user: user(2),
                by: user(1)
            },
            GroupEvent::Invited {
                user: user(3),
                by: user(1)
            },
        ]
    );
}

#[test]
fn guests_create_no_groups_and_are_not_put_into_them() {
    assert_eq!(
        create(true, &[]).unwrap_err().code,
        ErrorCode::GuestNotAllowed
    );
    let guest = Candidate {
        is_guest: true,
        ..candidate(2)
    };
    assert_eq!(
        create(false, &[guest]).unwrap_err().code,
        ErrorCode::GuestNotAllowed
    );
}

#[test]
fn a_group_never_starts_beyond_its_capacity() {
    let settings = GroupSettings {
        max_members: 2,
        ..GroupSettings::default()
    };
    let make = |n: u64| {
        let members: Vec<_> = (2..2 + n).map(candidate).collect();
        decide_create(user(1), false, "Tea", "", &settings, &members)
    };
    assert!(make(1).is_ok());
    assert_eq!(make(2).unwrap_err().code, ErrorCode::ConversationFull);
}

#[test]
fn each_candidate_is_refused_for_their_own_reason() {
    let plan = decide_add(
        &small_group(3, 5),
        ADMIN,
        Role::Member,
        &[
            Candidate {
                is_member: true,
                ..candidate(1)
            },
            Candidate {
                active: false,
                ..candidate(2)
            },
            Candidate {
                is_guest: true,
                ..candidate(3)
            },
            candidate(4),
            candidate(4),
            candidate(5),
            candidate(6),
        ],
    )
    .unwrap();
    assert_eq!(plan.admit, [user(4), user(5)]);
    assert_eq!(
        codes(&plan.failed),
        [
            (1, ErrorCode::UserAlreadyInConversation),
            (2, ErrorCode::UserNotFound),
            (3, ErrorCode::GuestNotAllowed),
            (6, ErrorCode::ConversationFull),
        ]
    );
}

#[test]
fn only_who_was_really_added_is_told_about() {
    let candidates = [candidate(4), candidate(5)];
    let plan = decide_add(&group(3), ADMIN, Role::Member, &candidates).unwrap();
    let (events, failed) = plan.settle(&[user(4)], &[], user(1));
    assert_eq!(
        events,
        [
            GroupEvent::Joined {
                users: vec![user(4)],
                by: user(1)
            },
            GroupEvent::MembersAdded {
                added: vec![user(4)],
                by: user(1)
            },
            GroupEvent::Invited {
                user: user(4),
                by: user(1)
            },
        ]
    );
    assert_eq!(codes(&failed), [(5, ErrorCode::ConversationFull)]);
}

#[test]
fn a_full_group_refuses_the_whole_command() {
    let refusal = decide_add(&small_group(5, 5), OWNER, Role::Member, &[candidate(9)]);
    assert_eq!(refusal.unwrap_err().code, ErrorCode::ConversationFull);
}

#[test]
fn members_invite_only_while_the_group_says_so() {
    let mut facts = group(3);
    assert!(decide_add(&facts, MEMBER, Role::Member, &[candidate(9)]).is_ok());
    facts.settings.invite_enabled = false;
    let refusal = decide_add(&facts, MEMBER, Role::Member, &[candidate(9)]).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::InsufficientPermission);
    assert!(decide_add(&facts, ADMIN, Role::Member, &[candidate(9)]).is_ok());
}

#[test]
fn only_the_owner_adds_admins_and_nobody_adds_owners() {
    let add = |standing, role| decide_add(&group(3), standing, role, &[candidate(9)]);
    assert!(add(OWNER, Role::Admin).is_ok());
    assert_eq!(
        add(ADMIN, Role::Admin).unwrap_err().code,
        ErrorCode::InsufficientPermission
    );
    assert_eq!(
        add(OWNER, Role::Owner).unwrap_err().code,
        ErrorCode::InvalidParams
    );
}

#[test]
fn joining_needs_an_open_group() {
    let mut facts = group(3);
    assert!(decide_join(&facts, user(9), Standing::Outsider).is_ok());
    facts.settings.join_approval_required = true;
    let refusal = decide_join(&facts, user(9), Standing::Outsider).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::InsufficientPermission);
}

#[test]
fn admins_remove_members_but_neither_admins_nor_the_owner() {
    let targets = [
        (user(2), Some(Role::Member)),
        (user(3), Some(Role::Admin)),
        (user(4), Some(Role::Owner)),
        (user(5), None),
    ];
    let plan = decide_remove(&group(9), user(1), ADMIN, &targets).unwrap();
    assert_eq!(plan.remove, [(user(2), Departure::Removed)]);
    assert_eq!(
        codes(&plan.failed),
        [
            (3, ErrorCode::InsufficientPermission),
            (4, ErrorCode::InsufficientPermission),
            (5, ErrorCode::NotConversationMember),
        ]
    );
}

#[test]
fn a_single_refused_target_refuses_the_command() {
    let remove = |standing, target| {
        decide_remove(&group(9), user(1), standing, &[target])
            .unwrap_err()
            .code
    };
    assert_eq!(
        remove(MEMBER, (user(2), Some(Role::Member))),
        ErrorCode::InsufficientPermission
    );
    assert_eq!(
        remove(ADMIN, (user(2), Some(Role::Owner))),
        ErrorCode::InsufficientPermission
    );
    assert_eq!(
        remove(OWNER, (user(1), Some(Role::Owner))),
        ErrorCode::CannotLeaveConversation
    );
}

#[test]
fn removing_oneself_is_leaving() {
    let myself = [(user(1), Some(Role::Member))];
    let plan = decide_remove(&group(9), user(1), MEMBER, &myself).unwrap();
    assert_eq!(plan.remove, [(user(1), Departure::Left)]);
}

#[test]
fn the_owner_can_not_leave() {
    assert_eq!(
        decide_leave(&group(3), user(1), OWNER).unwrap_err().code,
        ErrorCode::CannotLeaveConversation
    );
    let events = decide_leave(&group(3), user(1), ADMIN).unwrap();
    let names: Vec<_> = events.iter().map(GroupEvent::event_type).collect();
    assert_eq!(names, ["group.member.left", "conversation.member.removed"]);
}

#[test]
fn handing_over_makes_the_old_owner_an_admin() {
    let target = (user(2), Some(Role::Member));
    let change = decide_role(&group(3), (user(1), OWNER), target, Role::Owner).unwrap();
    assert_eq!(
        change.changes,
        [
            (user(2), Role::Member, Role::Owner),
            (user(1), Role::Owner, Role::Admin)
        ]
    );
    assert_eq!(change.events(user(1)).len(), 2);
}

#[test]
fn roles_are_the_owners_business_and_the_owner_can_not_be_demoted() {
    let change = |standing, target, new| {
        decide_role(&group(3), (user(1), standing), target, new).map_err(|e| e.code)
    };
    let member = (user(2), Some(Role::Member));
    assert_eq!(
        change(ADMIN, member, Role::Admin),
        Err(ErrorCode::InsufficientPermission)
    );
    assert_eq!(
        change(OWNER, (user(2), None), Role::Admin),
        Err(ErrorCode::UserNotFound)
    );
    let myself = (user(1), Some(Role::Owner));
    assert_eq!(
        change(OWNER, myself, Role::Member),
        Err(ErrorCode::InsufficientPermission)
    );
    assert_eq!(
        change(OWNER, member, Role::Member),
        Ok(RoleChange::default()),
        "no change"
    );
}

#[test]
fn mutes_go_down_the_ranks_and_end_in_the_future() {
    let mute = |standing, role, mute| {
        decide_mute(&group(3), standing, (user(2), Some(role)), mute, 100).map_err(|e| e.code)
    };
    assert!(mute(ADMIN, Role::Member, Mute::Until(101)).is_ok());
    assert!(mute(OWNER, Role::Admin, Mute::Forever).is_ok());
    assert_eq!(
        mute(ADMIN, Role::Admin, Mute::Forever),
        Err(ErrorCode::InsufficientPermission)
    );
    assert_eq!(
        mute(ADMIN, Role::Member, Mute::Until(100)),
        Err(ErrorCode::InvalidParams)
    );
}

#[test]
fn a_dissolved_group_refuses_everything() {
    let facts = GroupFacts {
        dissolved: true,
        ..group(3)
    };
    let member = (user(2), Some(Role::Member));
    let refusals = [
        decide_add(&facts, OWNER, Role::Member, &[candidate(9)]).unwrap_err(),
        decide_join(&facts, user(9), Standing::Outsider).unwrap_err(),
        decide_remove(&facts, user(1), OWNER, &[member]).unwrap_err(),
        decide_leave(&facts, user(1), MEMBER).unwrap_err(),
        decide_role(&facts, (user(1), OWNER), member, Role::Admin).unwrap_err(),
        decide_mute(&facts, OWNER, member, Mute::Forever, 0).unwrap_err(),
        decide_dissolve(&facts, OWNER).unwrap_err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code, ErrorCode::ConversationDissolved);
    }
}

#[test]
fn commands_name_a_bounded_number_of_users() {
    let crowd: Vec<_> = (0..=USERS_PER_COMMAND as u64).map(candidate).collect();
    for candidates in [&crowd[..], &[]] {
        let refusal = decide_add(&group(3), OWNER, Role::Member, candidates).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::InvalidParams);
    }
}

proptest! {
    #[test]
    fn adding_never_exceeds_capacity_and_forgets_nobody(
        count in 0u32..12, max in 2u32..12, ids in prop::collection::vec((1u64..20, any::<bool>(), any::<bool>()), 1..30)
    ) {
        let facts = small_group(count, max);
        let candidates: Vec<_> = ids.iter()
            .map(|(n, active, is_member)| Candidate { active: *active, is_member: *is_member, ..candidate(*n) })
            .collect();
        if let Ok(plan) = decide_add(&facts, OWNER, Role::Member, &candidates) {
            prop_assert!(plan.admit.is_empty() || count as usize + plan.admit.len() <= max as usize);
            let distinct: BTreeSet<_> = candidates.iter().map(|c| c.id).collect();
            prop_assert_eq!(plan.admit.len() + plan.failed.len(), distinct.len());
        }
    }
}
