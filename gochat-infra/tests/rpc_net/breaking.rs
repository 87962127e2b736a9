//! Breakers, on a real service.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gochat_core::breaker::{Policy, State};
use gochat_infra::rpc::{Breakers, ChannelConfig, Policies, direct};

use crate::server::{Server, config, until, who};

const METHOD: &str = "im.gateway.v1.PusherService/PushToUsers";

fn policy(failures: u32) -> Policies {
    Policies::all(Policy {
        failure_threshold: failures,
        success_threshold: 2,
        open_ms: 2_000,
    })
}

#[tokio::test]
async fn a_breaker_opens_refuses_and_closes_again() {
    let a = Server::start("a");
    let breakers = Breakers::new(policy(3));
    let config = ChannelConfig {
        breakers: Some(breakers.clone()),
        ..config()
    };
    let channel = direct(&a.addr.to_string(), config).unwrap();
    who(&channel).await.unwrap();
    a.mood.failing.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(who(&channel).await.is_err());
    }
    assert_eq!(breakers.state(METHOD), State::Open);
    a.mood.failing.store(false, Ordering::SeqCst);
    let refused = who(&channel).await.unwrap_err();
    assert!(refused.is_retryable(), "although the service is well again");

    until("it closes", || async {
        who(&channel).await.is_ok() && breakers.state(METHOD) == State::Closed
    })
    .await;
}

#[tokio::test]
async fn refusals_of_a_service_that_is_well_open_nothing() {
    let a = Server::start("a");
    let breakers = Breakers::new(policy(1));
    let config = ChannelConfig {
        breakers: Some(breakers.clone()),
        ..config()
    };
    let channel = direct(&a.addr.to_string(), config).unwrap();
    a.mood.full.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        assert!(!who(&channel).await.unwrap_err().is_retryable());
    }
    assert_eq!(breakers.state(METHOD), State::Closed);
    // A caller that gives up says nothing about the service either.
    a.mood.hanging.store(true, Ordering::SeqCst);
    let gave_up = tokio::time::timeout(Duration::from_millis(50), who(&channel)).await;
    assert!(gave_up.is_err());
    assert_eq!(breakers.state(METHOD), State::Closed);
}
