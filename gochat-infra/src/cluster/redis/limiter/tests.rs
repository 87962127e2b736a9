//! The script against core, on the real server.

use gochat_core::guess::Guesses;
use gochat_core::ratelimit::TokenBucket;
use proptest::prelude::*;

use super::*;
use crate::cluster::redis::RedisConfig;

async fn limiter() -> RedisLimiter {
    let url = std::env::var("GOCHAT_TEST_REDIS");
    let url = url.unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let prefix = format!("test:{:x}:", rand::random::<u64>());
    let redis = Redis::connect(RedisConfig::from_url(url).key_prefix(prefix));
    let redis = redis.await.unwrap();
    assert!(redis.is_up(), "Redis can't be reached; run `make infra-up`");
    RedisLimiter::new(redis, "test", RuleTable::default(), 100)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_script_judges_as_core_does(
        // Slow, so that no bucket fills in real time while the test passes its own.
        rate in 0.01f64..2.0,
        burst in prop_oneof![0.1f64..3.0, 1.0f64..20.0],
        // The clock also jumps back.
        steps in prop::collection::vec(-2_000i64..4_000, 1..60),
        cost in 0u64..30,
    ) {
        let rule = Rule::new(rate, burst);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let limiter = limiter().await;
            let mut bucket = TokenBucket::default();
            let mut now = 1_800_000_000_000u64;
            for step in steps {
                now = now.saturating_add_signed(step);
                let expected = match bucket.try_take_many(rule, cost, now) {
                    Ok(()) => Verdict::Allowed,
                    Err(millis) => Verdict::Limited { retry_after: Duration::from_millis(millis) },
                };
                let verdict = limiter.take("user:1", "rule", rule, cost, Some(now)).await.unwrap();
                prop_assert_eq!(verdict, expected);
            }
            Ok(())
        })?;
    }

    #[test]
    fn guesses_are_counted_as_core_does(
        free in 1u32..6, first in 1u64..5_000, factor in 1u64..100, forget in 10_000u64..100_000,
        steps in prop::collection::vec((-3_000i64..20_000, any::<bool>()), 1..60),
    ) {
        let rule = GuessRule { free, first_delay_ms: first, max_delay_ms: first * factor, forget_ms: forget };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let limiter = limiter().await;
            let mut guesses = Guesses::default();
            let mut now = 1_800_000_000_000u64;
            for (step, right) in steps {
                now = now.saturating_add_signed(step);
                let expected = match guesses.attempt(rule, now) {
                    Ok(()) => Verdict::Allowed,
                    Err(millis) => Verdict::Limited { retry_after: Duration::from_millis(millis) },
                };
                prop_assert_eq!(limiter.count("name:1", rule, Some(now)).await.unwrap(), expected);
                if right && expected.is_allowed() {
                    guesses.forgive();
                    limiter.forgive("name:1").await;
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_long_name_is_cut_between_characters() {
    assert_eq!(cut("ip:10.0.0.1"), "ip:10.0.0.1");
    let long = "é".repeat(RESOURCE_MAX);
    assert_eq!(cut(&long), "é".repeat(RESOURCE_MAX / 2));
}
