//! RateLimitService.

use gochat_core::error::ErrorCode;
use gochat_infra::rpc::Channel;
use gochat_proto::im::repo::v1::rate_limit_service_client::RateLimitServiceClient;
use gochat_proto::im::repo::v1::{AllowRequest, AllowResponse};

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
