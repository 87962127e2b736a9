use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    repeat_ms: Policy::REPEAT_MS,
    refresh_ttl_ms: 7 * 86_400_000,
};
const T0: UnixMillis = 1_700_000_000_000;

fn session() -> Session {
    Session {
        id: SessionId::new(7),
        user: UserId::new(1).unwrap(),
        device: String::new(),
        client: String::new(),
        address: String::new(),
        created_at: T0,
        last_used_at: T0,
        expires_at: T0 + POLICY.refresh_ttl_ms,
        generation: FIRST_GENERATION,
        rotated_at: T0,
        refresh_hash: String::new(),
        ended: None,
    }
}

/// One request against the row, as an adapter runs it: load, judge, write.
fn present(row: &mut Session, generation: u64, now: UnixMillis) -> RefreshOutcome {
    let outcome = refresh(row, generation, now, &POLICY);
    match outcome {
        RefreshOutcome::Rotated(to) => row.rotate(to, "", &POLICY),
        RefreshOutcome::Reuse => {
            row.end(EndReason::Reuse, now, now + 900_000);
        }
        _ => {}
    }
    outcome
}

fn given(outcome: RefreshOutcome) -> Option<Successor> {
    match outcome {
        RefreshOutcome::Rotated(to) | RefreshOutcome::Repeat(to) => Some(to),
        _ => None,
    }
}

#[test]
fn two_tabs_get_the_same_pair() {
    let mut row = session();
    let first = present(&mut row, 1, T0 + 5_000);
    let second = present(&mut row, 1, T0 + 5_001);
    assert!(matches!(first, RefreshOutcome::Rotated(_)));
    assert!(matches!(second, RefreshOutcome::Repeat(_)));
    assert_eq!(given(first), given(second));
}

#[test]
fn a_token_used_long_ago_ends_the_session() {
    let mut row = session();
    present(&mut row, 1, T0 + 1);
    assert!(given(present(&mut row, 1, T0 + 60_001)).is_some());
    let late = present(&mut row, 1, T0 + 60_002);
    assert_eq!(late, RefreshOutcome::Reuse);
    assert_eq!(
        present(&mut row, 2, T0 + 60_003),
        RefreshOutcome::Ended(EndReason::Reuse)
    );
}

#[test]
fn a_row_behind_its_tokens_follows_them() {
    let mut row = session();
    let outcome = present(&mut row, 9, T0 + 1);
    assert_eq!(given(outcome).unwrap().generation, 10);
    assert_eq!(given(present(&mut row, 9, T0 + 2)), given(outcome));
    assert_eq!(present(&mut row, 3, T0 + 3), RefreshOutcome::Reuse);
}

#[test]
fn an_idle_session_expires_and_a_used_one_slides() {
    let mut row = session();
    let late = T0 + POLICY.refresh_ttl_ms;
    assert!(!row.is_live(late));
    assert_eq!(present(&mut row, 1, late), RefreshOutcome::Expired);
    assert!(given(present(&mut row, 1, late - 1)).is_some());
    assert!(row.is_live(late + POLICY.refresh_ttl_ms - 2));
}

#[test]
fn the_first_end_stays() {
    let mut row = session();
    assert!(row.end(EndReason::Logout, T0 + 1, T0 + 2));
    assert!(!row.end(EndReason::Disabled, T0 + 3, T0 + 4));
    assert_eq!(row.ended.unwrap().reason, EndReason::Logout);
    assert_eq!(row.expires_at, T0 + 2);
}

#[test]
fn beyond_the_cap_the_least_recently_used_sessions_go() {
    let id = SessionId::new;
    let live = [(id(1), 30), (id(2), 10), (id(3), 20), (id(4), 5)];
    assert_eq!(beyond_cap(&live, id(4), 4), []);
    assert_eq!(beyond_cap(&live, id(4), 3), [id(2)]);
    assert_eq!(beyond_cap(&live, id(4), 1), [id(2), id(3), id(1)]);
    assert_eq!(beyond_cap(&live, id(4), 0), [id(2), id(3), id(1)]);
}

#[test]
fn reasons_keep_their_numbers() {
    for n in 1..=8 {
        assert_eq!(EndReason::from_i32(n).map(|reason| reason as i32), Some(n));
    }
    assert_eq!(EndReason::from_i32(0), None);
}

/// What happens to one session.
#[derive(Debug, Clone)]
enum Step {
    /// The owner refreshes; the answer may be lost on its way.
    Refresh { lost: bool },
    /// The owner's client sends the last request once more, some milliseconds later.
    Repeat { after: u64 },
    /// A thief presents a token it copied: the one that is so many generations old.
    Steal { age: u64 },
    /// Time passes.
    Wait { ms: u64 },
    /// The session ends.
    End,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(|lost| Step::Refresh { lost }),
        3 => (0..59_000_u64).prop_map(|after| Step::Repeat { after }),
        1 => (2..5_u64).prop_map(|age| Step::Steal { age }),
        3 => (0..7_200_000_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::End),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// An owner whose client repeats within the minute is never signed out, old tokens alone never
    /// open anything, and nothing opens an ended session.
    #[test]
    fn whatever_interleaves_the_owner_stays_in_and_old_tokens_stay_out(steps in steps()) {
        let mut row = session();
        let mut now = T0;
        // The newest refresh token that the owner's client has received, and the one it sent last.
        let (mut held, mut sent) = (FIRST_GENERATION, None::<u64>);
        let mut broken = false;
        for step in steps {
            match step {
                Step::Wait { ms } => now += ms,
                Step::End => {
                    row.end(EndReason::Logout, now, now + 900_000);
                    broken = true;
                }
                Step::Steal { age } => {
                    let old = row.generation.saturating_sub(age);
                    if old == 0 {
                        continue;
                    }
                    prop_assert_eq!(given(present(&mut row, old, now)), None);
                    broken = true;
                }
                Step::Refresh { lost } => {
                    let outcome = present(&mut row, held, now);
                    if broken {
                        prop_assert_eq!(given(outcome), None);
                        continue;
                    }
                    let to = given(outcome);
                    prop_assert!(to.is_some(), "the owner was signed out: {:?}", outcome);
                    sent = Some(held);
                    if lost {
                        // The client sends it again until it gets the answer.
                        now += 30_000;
                        let again = given(present(&mut row, held, now));
                        prop_assert_eq!(again, to);
                    }
                    held = to.map_or(held, |to| to.generation);
                }
                Step::Repeat { after } => {
                    let Some(old) = sent else { continue };
                    if broken {
                        prop_assert_eq!(given(present(&mut row, old, now)), None);
                    } else if now + after <= row.rotated_at + POLICY.repeat_ms {
                        now += after;
                        let to = given(present(&mut row, old, now));
                        prop_assert_eq!(to.map(|to| to.generation), Some(held));
                    }
                }
            }
            prop_assert_eq!(row.ended.is_some(), broken);
        }
    }

    /// Requests that carry the same token and meet within the minute get the same successor, in
    /// whatever order the row sees them.
    #[test]
    fn requests_of_one_token_get_one_successor(
        start in 1..1_000_u64,
        times in proptest::collection::vec(0..60_000_u64, 1..8),
    ) {
        let mut row = session();
        row.generation = start;
        let mut times = times;
        times.sort_unstable();
        let base = T0 + times[0];
        let all: Vec<_> = times.iter().map(|t| given(present(&mut row, start, T0 + t))).collect();
        let expected = Some(Successor { generation: start + 1, rotated_at: base });
        prop_assert!(all.iter().all(|to| *to == expected), "{:?}", all);
    }
}
