use proptest::prelude::*;

use super::*;
use crate::conversation::GroupSettings;
use crate::membership::Role;

const NOW: UnixMillis = 1_000_000;
const STATUSES: [JoinStatus; 3] = [JoinStatus::Open, JoinStatus::Accepted, JoinStatus::Rejected];

fn group(open: Option<bool>, member_count: u32, dissolved: bool) -> GroupFacts {
    GroupFacts {
        member_count,
        settings: GroupSettings {
            allow_join_requests: open,
            max_members: 3,
            ..GroupSettings::default()
        },
        dissolved,
    }
}

fn request(status: JoinStatus) -> JoinRequest {
    JoinRequest {
        status,
        changed_at: NOW - 10,
        expires_at: NOW + 10,
    }
}

fn limits(of_user: (u32, u32), of_group: (u32, u32)) -> AskLimits {
    AskLimits {
        of_user,
        of_group,
        cooldown: 100,
    }
}

proptest! {
    #[test]
    fn only_strangers_ask_where_it_is_allowed_and_within_the_limits(
        standing in prop::sample::select(&Standing::ALL[..]),
        open in prop::option::of(any::<bool>()),
        (by_link, dissolved) in any::<(bool, bool)>(),
        members in 0..5u32,
        status in prop::option::of(prop::sample::select(&STATUSES[..])),
        of_user in (0..3u32, 0..3u32),
        of_group in (0..3u32, 0..3u32),
    ) {
        let current = status.map(request);
        let group = group(open, members, dissolved);
        let limits = limits(of_user, of_group);
        match decide_ask(&group, standing, by_link, current.as_ref(), &limits, NOW) {
            Ok(ask) => {
                prop_assert_eq!(standing, Standing::Outsider);
                prop_assert!(!dissolved && (by_link || open == Some(true)));
                prop_assert_eq!(ask == Ask::Keep, status == Some(JoinStatus::Open));
                if ask == Ask::Make {
                    prop_assert!(of_user.0 < of_user.1 && of_group.0 < of_group.1);
                    prop_assert!(members < 3 && status != Some(JoinStatus::Rejected));
                }
            }
            Err(error) => prop_assert!(error.code != ErrorCode::Internal),
        }
    }

    #[test]
    fn an_answer_stands_however_often_it_is_repeated(accept: bool, then: bool) {
        let (group, admin) = (group(None, 1, false), Standing::Member(Role::Admin));
        let answer = |status, accept| {
            decide_join_answer(&group, admin, Some(&request(status)), accept, NOW)
        };
        let first = answer(JoinStatus::Open, accept).unwrap();
        prop_assert_eq!(first == JoinAnswer::Admit, accept);
        let after = if accept { JoinStatus::Accepted } else { JoinStatus::Rejected };
        let expected = if accept == then {
            Ok(JoinAnswer::Nothing)
        } else {
            Err(ErrorCode::JoinRequestHandled)
        };
        prop_assert_eq!(answer(after, then).map_err(|e| e.code), expected);
    }
}

#[test]
fn admins_answer_and_others_do_not() {
    let group = group(None, 1, false);
    for standing in Standing::ALL {
        let open = request(JoinStatus::Open);
        let answer = decide_join_answer(&group, standing, Some(&open), true, NOW);
        let may = standing.role().is_some_and(|role| role >= Role::Admin);
        assert_eq!(answer.is_ok(), may, "{standing:?}");
    }
}

#[test]
fn who_was_refused_waits_before_asking_again() {
    let ask = |now| {
        let refused = request(JoinStatus::Rejected);
        let limits = limits((0, 1), (0, 1));
        let group = group(Some(true), 1, false);
        decide_ask(
            &group,
            Standing::Outsider,
            false,
            Some(&refused),
            &limits,
            now,
        )
    };
    let error = ask(NOW).unwrap_err();
    assert_eq!(
        (error.code, error.retry_after_ms),
        (ErrorCode::RateLimited, 90)
    );
    assert_eq!(ask(NOW + 90), Ok(Ask::Make));
}

#[test]
fn an_open_request_ends_by_itself() {
    let open = request(JoinStatus::Open);
    assert!(open.is_open(NOW + 9) && !open.is_open(NOW + 10));
    let admin = Standing::Member(Role::Owner);
    let late = decide_join_answer(&group(None, 1, false), admin, Some(&open), true, NOW + 10);
    assert_eq!(
        late.map_err(|e| e.code),
        Err(ErrorCode::JoinRequestNotFound)
    );
}
