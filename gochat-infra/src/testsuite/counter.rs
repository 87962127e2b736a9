//! What every [`RateLimiter`], [`Once`] and [`Counters`] must do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gochat_core::guess::GuessRule;
use gochat_core::ratelimit::{Rule, rules};

use crate::port::counter::{Claim, Counters, Once, RateLimiter, Verdict};

const TTL: Duration = Duration::from_secs(60);

/// The limiter under test starts with the shipped rules.
pub async fn a_burst_passes_and_the_next_request_waits(limiter: Arc<dyn RateLimiter>) {
    // One token in ten seconds: nothing refills while the test runs.
    assert!(
        limiter
            .allow("ip:10.0.0.1", rules::PASSWORD_RESET)
            .await
            .is_allowed()
    );
    let refused = limiter.allow("ip:10.0.0.1", rules::PASSWORD_RESET).await;
    let Verdict::Limited { retry_after } = refused else {
        panic!("the bucket is empty")
    };
    assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(10));
}

/// Buckets are per rule and resource.
pub async fn resources_and_rules_have_buckets_of_their_own(limiter: Arc<dyn RateLimiter>) {
    assert!(
        limiter
            .allow("ip:10.0.0.1", rules::PASSWORD_RESET)
            .await
            .is_allowed()
    );
    assert!(
        limiter
            .allow("ip:10.0.0.2", rules::PASSWORD_RESET)
            .await
            .is_allowed()
    );
    assert!(
        limiter
            .allow("ip:10.0.0.1", rules::REGISTER)
            .await
            .is_allowed()
    );
    assert!(
        !limiter
            .allow("ip:10.0.0.1", rules::PASSWORD_RESET)
            .await
            .is_allowed()
    );
}

/// A typing error in a rule's name must not open the door.
pub async fn an_unknown_rule_denies(limiter: Arc<dyn RateLimiter>) {
    assert!(
        !limiter
            .allow("ip:10.0.0.1", "no_such_rule")
            .await
            .is_allowed()
    );
}

/// Who brings the numbers needs no rule defined, and the bucket outlives a change of them.
pub async fn a_caller_s_own_numbers_hold(limiter: Arc<dyn RateLimiter>) {
    // A token in a thousand seconds: nothing refills while the test runs.
    let allowed = async |resource: &str, burst: f64| {
        let verdict = limiter.allow_by(resource, "of_the_caller", Rule::new(0.001, burst));
        verdict.await.is_allowed()
    };
    assert!(allowed("ip:10.0.0.1", 2.0).await);
    assert!(allowed("ip:10.0.0.1", 2.0).await);
    assert!(!allowed("ip:10.0.0.1", 2.0).await);
    assert!(allowed("ip:10.0.0.2", 2.0).await);
    assert!(allowed("ip:10.0.0.1", 3.0).await, "one more fits now");
    assert!(!allowed("ip:10.0.0.1", 3.0).await);
    let rule = Rule::new(0.001, 1.0);
    let verdict = limiter.allow_by("ip:10.0.0.1", "of_the_caller", rule).await;
    let Verdict::Limited { retry_after } = verdict else {
        panic!("the bucket is empty")
    };
    assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(1_000));
}

/// A rule's bucket is the same one, whoever has the numbers.
pub async fn a_name_is_one_bucket(limiter: Arc<dyn RateLimiter>) {
    let reset = Rule::new(0.1, 1.0);
    let by_numbers = limiter.allow_by("ip:10.0.0.1", rules::PASSWORD_RESET, reset);
    assert!(by_numbers.await.is_allowed());
    let by_name = limiter.allow("ip:10.0.0.1", rules::PASSWORD_RESET);
    assert!(!by_name.await.is_allowed());
}

/// A cost is that many tokens at once, all or none.
pub async fn a_cost_is_taken_whole_or_not_at_all(limiter: Arc<dyn RateLimiter>) {
    let rule = Rule::new(0.001, 10.0);
    let charged = async |cost| {
        limiter
            .charge("user:1", "costs", rule, cost)
            .await
            .is_allowed()
    };
    assert!(charged(6).await);
    assert!(!charged(6).await);
    assert!(charged(4).await, "a refusal took nothing");
    assert!(!charged(1).await);
    let dear = limiter.charge("user:2", "costs", rule, 1_000_000);
    assert!(dear.await.is_allowed(), "a full bucket pays for anything");
}

/// Failed passwords are judged until the free ones are used up; right ones cost nothing.
pub async fn guesses_wait_after_the_free_ones(limiter: Arc<dyn RateLimiter>) {
    let rule = GuessRule {
        free: 3,
        ..GuessRule::default()
    };
    for _ in 0..5 {
        assert!(limiter.guess("name:a", rule).await.is_allowed());
        limiter.forgive("name:a").await;
    }
    for _ in 0..3 {
        assert!(limiter.guess("name:a", rule).await.is_allowed());
    }
    let Verdict::Limited { retry_after } = limiter.guess("name:a", rule).await else {
        panic!("the free guesses are used up")
    };
    assert!(retry_after > Duration::from_secs(20) && retry_after <= Duration::from_secs(30));
    assert!(limiter.guess("name:b", rule).await.is_allowed());
    limiter.forgive("name:unknown").await;
    let attempts = (0..20).map(|_| {
        let limiter = limiter.clone();
        tokio::spawn(async move { limiter.guess("name:c", rule).await.is_allowed() })
    });
    let mut judged = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        judged += usize::from(attempt.await.expect("no panic"));
    }
    assert_eq!(judged, 3, "attempts at the same time don't pass together");
}

/// Of many claimants one works.
pub async fn of_racing_claimants_one_is_first(once: Arc<dyn Once>) {
    let tasks: Vec<_> = (0..20)
        .map(|n: u8| {
            let once = once.clone();
            tokio::spawn(async move { once.claim("k", Bytes::from(vec![n]), TTL).await })
        })
        .collect();
    let mut first = 0;
    let mut notes = Vec::new();
    for task in tasks {
        match task.await.expect("no panic").unwrap() {
            Claim::First => first += 1,
            Claim::Pending(note) => notes.push(note),
            Claim::Done(_) => panic!("nobody finished"),
        }
    }
    assert_eq!(first, 1);
    notes.dedup();
    assert_eq!(notes.len(), 1, "all see the winner's note");
}

/// The result is there for repeats.
pub async fn a_repeat_finds_the_result(once: Arc<dyn Once>) {
    assert_eq!(once.look("k").await.unwrap(), None);
    assert!(
        !once.complete("k", "early".into(), TTL).await.unwrap(),
        "nothing was claimed"
    );
    assert_eq!(
        once.claim("k", "note".into(), TTL).await.unwrap(),
        Claim::First
    );
    assert!(once.complete("k", "result".into(), TTL).await.unwrap());
    let done = Claim::Done("result".into());
    assert_eq!(once.claim("k", "again".into(), TTL).await.unwrap(), done);
    assert_eq!(once.look("k").await.unwrap(), Some(done));
    once.clear("k").await.unwrap();
    assert_eq!(
        once.claim("k", "note".into(), TTL).await.unwrap(),
        Claim::First
    );
}

/// Failures can be tried again, by their owner's word only.
pub async fn only_the_owner_gives_a_claim_back(once: Arc<dyn Once>) {
    once.claim("k", "mine".into(), TTL).await.unwrap();
    once.release("k", b"other").await.unwrap();
    assert_eq!(
        once.look("k").await.unwrap(),
        Some(Claim::Pending("mine".into()))
    );
    once.release("k", b"mine").await.unwrap();
    assert_eq!(once.look("k").await.unwrap(), None);
}

/// Claims of the dead run out.
pub async fn a_claim_runs_out(once: Arc<dyn Once>) {
    once.claim("k", "dead".into(), Duration::from_millis(20))
        .await
        .unwrap();
    tokio::time::timeout(TTL, async {
        while once.claim("k", "next".into(), TTL).await.unwrap() != Claim::First {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the claim runs out");
}

/// Numbers are never given twice.
pub async fn racing_takers_get_different_numbers(counters: Arc<dyn Counters>) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let counters = counters.clone();
            tokio::spawn(async move { counters.take("c", 100, 3).await.unwrap() })
        })
        .collect();
    let mut firsts = Vec::new();
    for task in tasks {
        firsts.push(task.await.expect("no panic"));
    }
    firsts.sort_unstable();
    let expected: Vec<u64> = (0..20).map(|n| 101 + 3 * n).collect();
    assert_eq!(firsts, expected);
    assert_eq!(counters.current("c", 0).await.unwrap(), 160);
    assert_eq!(
        counters.take("c", 500, 1).await.unwrap(),
        501,
        "the floor lifts the counter"
    );
    assert_eq!(counters.current("other", 7).await.unwrap(), 7);
}

/// Runs all facts. The expressions build an `Arc<dyn RateLimiter>` with the shipped rules,
/// an `Arc<dyn Once>` and an `Arc<dyn Counters>`.
#[macro_export]
macro_rules! counter_suite {
    ($limiter:expr, $once:expr, $counters:expr) => {
        $crate::__facts!(
            $limiter,
            $crate::testsuite::counter,
            [
                a_burst_passes_and_the_next_request_waits,
                resources_and_rules_have_buckets_of_their_own,
                an_unknown_rule_denies,
                a_caller_s_own_numbers_hold,
                a_name_is_one_bucket,
                a_cost_is_taken_whole_or_not_at_all,
                guesses_wait_after_the_free_ones,
            ]
        );
        $crate::__facts!(
            $once,
            $crate::testsuite::counter,
            [
                of_racing_claimants_one_is_first,
                a_repeat_finds_the_result,
                only_the_owner_gives_a_claim_back,
                a_claim_runs_out,
            ]
        );
        $crate::__facts!(
            $counters,
            $crate::testsuite::counter,
            [racing_takers_get_different_numbers]
        );
    };
}
