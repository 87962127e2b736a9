//! RateLimitService.

use gochat_core::error::ErrorCode;
use gochat_infra::rpc::Channel;
use gochat_proto::im::repo::v1::rate_limit_service_client::RateLimitServiceClient;
use gochat_proto::im::repo::v1::{AllowRequest, AllowResponse, ConfirmGuessRequest, GuessRequest};

use crate::harness::{Repo, code};

/// A token in a thousand seconds: nothing refills while a test runs.
const SLOW: f64 = 0.001;

/// A question about the rule `login`.
fn ask(resource: &str, burst: f64) -> AllowRequest {
    AllowRequest {
        resource: resource.into(),
        rule: "login".into(),
        rate: SLOW,
        burst,
        cost: 1,
    }
}

async fn verdict(channel: &Channel, request: AllowRequest) -> AllowResponse {
    let mut client = RateLimitServiceClient::new(channel.clone());
    client.allow(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_burst_passes_and_the_refusal_says_when_to_come_back() {
    let repo = Repo::start().await;
    for _ in 0..3 {
        let passed = verdict(&repo.channel, ask("ip:10.0.0.1", 3.0)).await;
        assert_eq!((passed.allowed, passed.retry_after_ms), (true, 0));
    }
    let refused = verdict(&repo.channel, ask("ip:10.0.0.1", 3.0)).await;
    assert!(!refused.allowed);
    assert!((1..=1_000_000).contains(&refused.retry_after_ms));
    let other = AllowRequest {
        rule: "register".into(),
        ..ask("ip:10.0.0.1", 3.0)
    };
    for request in [ask("ip:10.0.0.2", 3.0), other] {
        assert!(verdict(&repo.channel, request).await.allowed);
    }
}

#[tokio::test]
async fn instances_share_a_bucket_and_the_caller_s_numbers_hold() {
    let repo = Repo::start().await;
    let second = repo.without_memory().await;
    assert!(verdict(&repo.channel, ask("ip:1", 2.0)).await.allowed);
    assert!(verdict(&second, ask("ip:1", 2.0)).await.allowed);
    assert!(!verdict(&repo.channel, ask("ip:1", 2.0)).await.allowed);
    assert!(verdict(&second, ask("ip:1", 3.0)).await.allowed);
    assert!(!verdict(&repo.channel, ask("ip:1", 3.0)).await.allowed);
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() {
    let repo = Repo::start().await;
    let good = ask("ip:1", 1.0);
    let bad = [
        ask("", 1.0),
        ask(&"x".repeat(257), 1.0),
        ask("ip:1", 0.0),
        ask("ip:1", f64::NAN),
        AllowRequest {
            rate: 1_000_001.0,
            ..good.clone()
        },
        AllowRequest {
            rule: String::new(),
            ..good.clone()
        },
        AllowRequest {
            rule: "login:ip".into(),
            ..good.clone()
        },
    ];
    for request in bad {
        let mut client = RateLimitServiceClient::new(repo.channel.clone());
        let refused = client.allow(request.clone()).await;
        assert_eq!(code(refused), ErrorCode::InvalidParams, "{request:?}");
    }
    assert!(verdict(&repo.channel, good).await.allowed);
}

#[tokio::test]
async fn a_cost_is_taken_whole() {
    let repo = Repo::start().await;
    let costly = |cost| AllowRequest {
        cost,
        ..ask("user:1", 10.0)
    };
    assert!(verdict(&repo.channel, costly(8)).await.allowed);
    assert!(!verdict(&repo.channel, costly(3)).await.allowed);
    assert!(verdict(&repo.channel, costly(2)).await.allowed);
    let mut client = RateLimitServiceClient::new(repo.channel.clone());
    assert_eq!(
        code(client.allow(costly(-1)).await),
        ErrorCode::InvalidParams
    );
}

/// A guess of a place, for a user.
fn guess(place: &str) -> GuessRequest {
    GuessRequest {
        account: "name".into(),
        user_id: "7".into(),
        places: vec![place.into()],
        free: 3,
        first_delay_ms: 60_000,
        max_delay_ms: 600_000,
        forget_ms: 3_600_000,
    }
}

#[tokio::test]
async fn strangers_share_a_budget_of_guesses_and_known_places_have_their_own() {
    let repo = Repo::start().await;
    let second = repo.without_memory().await;
    let mut one = RateLimitServiceClient::new(repo.channel.clone());
    let mut two = RateLimitServiceClient::new(second);
    let home = one.guess(guess("home")).await.unwrap().into_inner();
    assert!(home.allowed && !home.known);
    let confirm = ConfirmGuessRequest {
        budget: home.budget,
        user_id: "7".into(),
        places: vec!["home".into()],
    };
    one.confirm_guess(confirm).await.unwrap();
    for n in 0..3 {
        let stranger = two.guess(guess(&format!("away{n}"))).await.unwrap();
        assert!(stranger.into_inner().allowed);
    }
    let refused = one.guess(guess("away9")).await.unwrap().into_inner();
    assert!(!refused.allowed && (1..=60_000).contains(&refused.retry_after_ms));
    let nobody = GuessRequest {
        user_id: String::new(),
        ..guess("home")
    };
    assert!(!one.guess(nobody).await.unwrap().into_inner().allowed);
    let owner = two.guess(guess("home")).await.unwrap().into_inner();
    assert!(owner.allowed && owner.known);
}

#[tokio::test]
async fn guesses_that_make_no_sense_are_refused() {
    let repo = Repo::start().await;
    let good = guess("home");
    let bad = [
        GuessRequest {
            account: String::new(),
            ..good.clone()
        },
        GuessRequest {
            user_id: "x".into(),
            ..good.clone()
        },
        GuessRequest {
            places: vec!["a b".into()],
            ..good.clone()
        },
        GuessRequest {
            places: vec!["a".into(); 5],
            ..good.clone()
        },
        GuessRequest {
            free: 0,
            ..good.clone()
        },
        GuessRequest {
            first_delay_ms: -1,
            ..good.clone()
        },
    ];
    for request in bad {
        let mut client = RateLimitServiceClient::new(repo.channel.clone());
        let refused = client.guess(request.clone()).await;
        assert_eq!(code(refused), ErrorCode::InvalidParams, "{request:?}");
    }
}
