use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    failure_threshold: 3,
    success_threshold: 2,
    open_ms: 1_000,
};

fn call(breaker: &mut Breaker, outcome: Outcome, now: Millis) -> Option<State> {
    let ticket = breaker.admit(POLICY, now).expect("admitted");
    breaker.record(ticket, outcome, POLICY, now)
}

fn opened(now: Millis) -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..POLICY.failure_threshold {
        call(&mut breaker, Outcome::Failure, now);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[test]
fn only_failures_in_a_row_open_it() {
    let mut breaker = Breaker::default();
    for outcome in [
        Outcome::Failure,
        Outcome::Failure,
        Outcome::Success,
        Outcome::Failure,
        Outcome::Abandoned,
        Outcome::Failure,
    ] {
        assert_eq!(call(&mut breaker, outcome, 0), None);
    }
    assert_eq!(call(&mut breaker, Outcome::Failure, 0), Some(State::Open));
}

#[test]
fn half_open_takes_as_many_trials_as_successes_are_missing() {
    let mut breaker = opened(0);
    let first = breaker.admit(POLICY, 1_000).unwrap();
    let second = breaker.admit(POLICY, 1_000).unwrap();
    assert!(
        breaker.admit(POLICY, 1_000).is_none(),
        "two are on their way"
    );
    assert_eq!(
        breaker.record(first, Outcome::Abandoned, POLICY, 1_001),
        None
    );
    let third = breaker
        .admit(POLICY, 1_001)
        .expect("its place is free again");
    assert_eq!(
        breaker.record(second, Outcome::Success, POLICY, 1_002),
        None
    );
    assert!(
        breaker.admit(POLICY, 1_002).is_none(),
        "one is missing and on its way"
    );
    assert_eq!(
        breaker.record(third, Outcome::Success, POLICY, 1_003),
        Some(State::Closed)
    );
}

#[test]
fn a_failed_trial_opens_it_for_another_whole_time() {
    let mut breaker = opened(0);
    let trial = breaker.admit(POLICY, 1_000).unwrap();
    assert_eq!(
        breaker.record(trial, Outcome::Failure, POLICY, 1_400),
        Some(State::Open)
    );
    assert!(breaker.admit(POLICY, 2_399).is_none());
    assert!(breaker.admit(POLICY, 2_400).is_some());
}

#[test]
fn outcomes_of_calls_from_before_a_change_do_not_count_after_it() {
    let mut breaker = Breaker::default();
    let early = breaker.admit(POLICY, 0).unwrap();
    for _ in 0..POLICY.failure_threshold {
        call(&mut breaker, Outcome::Failure, 0);
    }
    let trial = breaker.admit(POLICY, 1_000).unwrap();
    assert_eq!(breaker.record(early, Outcome::Failure, POLICY, 1_001), None);
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(breaker.record(trial, Outcome::Success, POLICY, 1_002), None);
    assert_eq!(
        call(&mut breaker, Outcome::Success, 1_003),
        Some(State::Closed)
    );
}

#[test]
fn a_changed_policy_counts_for_a_breaker_that_is_open() {
    let mut breaker = opened(0);
    assert!(breaker.admit(POLICY, 500).is_none());
    let patient = Policy {
        open_ms: 400,
        ..POLICY
    };
    assert!(breaker.admit(patient, 500).is_some());
}

#[test]
fn mistakes_of_the_caller_are_no_failures() {
    for code in 0..=16 {
        let failure = [4, 8, 13, 14].contains(&code);
        assert_eq!(Outcome::of(code, false) == Outcome::Failure, failure);
    }
    assert_eq!(
        Outcome::of(8, true),
        Outcome::Success,
        "a full conversation"
    );
    assert_eq!(Outcome::of(14, true), Outcome::Failure);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::Failure),
        Just(Outcome::Abandoned)
    ]
}

proptest! {
    /// Whatever happens in whatever order: an open breaker admits nothing before its time and something after it,
    /// a half-open one never has more on their way than successes are missing, and no ticket is ever stuck.
    #[test]
    fn the_rules_hold_in_any_order(
        steps in prop::collection::vec((0u64..700, any::<bool>(), outcome(), any::<prop::sample::Index>()), 1..200)
    ) {
        let mut breaker = Breaker::default();
        let (mut now, mut opened_at, mut row) = (0, None, 0);
        let mut held: Vec<Ticket> = Vec::new();
        for (gap, ask, outcome, which) in steps {
            now += gap;
            if ask || held.is_empty() {
                let before = breaker.state();
                let would = breaker.admits(POLICY, now);
                let admitted = breaker.admit(POLICY, now);
                prop_assert_eq!(would, admitted.is_some());
                match before {
                    State::Closed => prop_assert!(admitted.is_some()),
                    State::Open => {
                        let over = opened_at.is_some_and(|at| now - at >= POLICY.open_ms);
                        prop_assert_eq!(admitted.is_some(), over);
                    }
                    State::HalfOpen => {}
                }
                held.extend(admitted);
            } else {
                let ticket = held.swap_remove(which.index(held.len()));
                let (current, before) = (ticket.era == breaker.era, breaker.state());
                let changed = breaker.record(ticket, outcome, POLICY, now);
                if changed == Some(State::Open) {
                    opened_at = Some(now);
                }
                if !current {
                    prop_assert_eq!(changed, None);
                } else if before == State::Closed {
                    row = match outcome {
                        Outcome::Failure => row + 1,
                        Outcome::Success => 0,
                        Outcome::Abandoned => row,
                    };
                    prop_assert_eq!(changed == Some(State::Open), row >= POLICY.failure_threshold);
                }
                if changed.is_some() {
                    row = 0;
                }
            }
            if breaker.state() == State::HalfOpen {
                let current = held.iter().filter(|t| t.era == breaker.era).count();
                prop_assert!(current <= POLICY.success_threshold as usize);
            }
        }
        // However it was left, a callee that is well again is used again.
        now += POLICY.open_ms;
        for ticket in held.drain(..) {
            breaker.record(ticket, Outcome::Abandoned, POLICY, now);
        }
        for _ in 0..POLICY.success_threshold + 1 {
            if let Some(ticket) = breaker.admit(POLICY, now) {
                breaker.record(ticket, Outcome::Success, POLICY, now);
            }
        }
        prop_assert_eq!(breaker.state(), State::Closed);
    }
}
