use proptest::prelude::*;

use super::*;
use crate::conversation::GroupSettings;

const NOW: UnixMillis = 1_000_000;

fn group(settings: GroupSettings, member_count: u32, dissolved: bool) -> GroupFacts {
    GroupFacts {
        member_count,
        settings,
        dissolved,
    }
}

fn link(max_uses: u32, used: u32, expires_at: UnixMillis) -> Link {
    Link {
        creator: UserId::new(1).unwrap(),
        terms: LinkTerms {
            max_uses,
            expires_at,
        },
        used,
    }
}

fn standings() -> impl Strategy<Value = Standing> {
    prop::sample::select(&Standing::ALL[..])
}

fn settings() -> impl Strategy<Value = GroupSettings> {
    (any::<bool>(), any::<bool>(), 2..6u32).prop_map(|(approval, invite, max)| GroupSettings {
        join_approval_required: approval,
        invite_enabled: invite,
        max_members: max,
        ..GroupSettings::default()
    })
}

proptest! {
    #[test]
    fn who_joins_by_a_link_is_a_stranger_and_the_maker_could_have_added_them(
        settings in settings(),
        members in 0..6u32,
        dissolved: bool,
        creator in standings(),
        user in standings(),
        (max_uses, used, end) in (0..3u32, 0..3u32, NOW - 2..NOW + 2),
    ) {
        let group = group(settings.clone(), members, dissolved);
        let used_link = link(max_uses, used, end);
        if let Ok(entry) = decide_link_use(&group, &used_link, creator, user, NOW) {
            prop_assert_eq!(user, Standing::Outsider);
            prop_assert!(!dissolved && members < settings.max_members);
            prop_assert!(used_link.is_open(NOW));
            let action = match settings.invite_enabled {
                true => Action::AddMembersWhenOpen,
                false => Action::AddMembers,
            };
            let is_admin = creator.may(Action::AddMembers).is_ok();
            prop_assert_eq!(entry == Entry::Ask, settings.join_approval_required && !is_admin);
            prop_assert!(creator.may(action).is_ok());
        }
    }

    #[test]
    fn a_link_is_used_no_more_often_than_its_terms_say(max_uses in 1..5u32, tries in 0..10u32) {
        let group = group(GroupSettings::default(), 1, false);
        let (creator, user) = (Standing::Member(Role::Owner), Standing::Outsider);
        let mut used = 0;
        for _ in 0..tries {
            if decide_link_use(&group, &link(max_uses, used, NOW + 1), creator, user, NOW).is_ok() {
                used += 1;
            }
        }
        prop_assert_eq!(used, tries.min(max_uses));
    }

    #[test]
    fn terms_and_numbers_of_links_are_bounded(
        creator in standings(),
        settings in settings(),
        (max_uses, life) in (0..LINK_USES_MAX * 2, 0..LINK_LIFE_MAX_MS * 2),
        (open, cap) in (0..4u32, 0..4u32),
    ) {
        let group = group(settings, 1, false);
        let terms = LinkTerms { max_uses, expires_at: NOW + life };
        if decide_link(&group, creator, terms, (open, cap), NOW).is_ok() {
            prop_assert!(max_uses <= LINK_USES_MAX);
            prop_assert!(life > 0 && life <= LINK_LIFE_MAX_MS);
            prop_assert!(open < cap && creator.role().is_some());
        }
    }
}

#[test]
fn a_link_ends_with_the_permission_of_its_maker() {
    let group = group(GroupSettings::default(), 1, false);
    let use_of = |creator| {
        let link = link(0, 0, NOW + 1);
        decide_link_use(&group, &link, creator, Standing::Outsider, NOW).map_err(|e| e.code)
    };
    assert_eq!(use_of(Standing::Member(Role::Member)), Ok(Entry::Join));
    assert_eq!(
        use_of(Standing::Outsider),
        Err(ErrorCode::InvitationNotFound)
    );
}

#[test]
fn members_revoke_their_own_links_and_admins_all() {
    let (one, two) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
    let member = Standing::Member(Role::Member);
    assert!(decide_revoke(one, member, one).is_ok());
    assert!(decide_revoke(one, member, two).is_err());
    assert!(decide_revoke(one, Standing::Member(Role::Admin), two).is_ok());
    assert!(decide_revoke(one, Standing::Outsider, one).is_err());
}

#[test]
fn a_code_is_thirty_two_hexadecimal_digits() {
    assert!(is_link_code("0123456789abcdef0123456789abcdef"));
    for other in ["", "0123", "0123456789ABCDEF0123456789abcdef", "é"] {
        assert!(!is_link_code(other));
    }
}
