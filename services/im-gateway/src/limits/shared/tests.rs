//! The doors, with an im-repo that refuses, hangs or is not there.

use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;

use gochat_core::ratelimit::Rule;
use gochat_infra::rpc::Channel;
use gochat_proto::im::repo::v1::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use gochat_proto::im::repo::v1::{
    AllowResponse, ConfirmGuessRequest, ConfirmGuessResponse, GuessRequest, GuessResponse,
    UseProofRequest, UseProofResponse,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::*;
use crate::config::{self, RateMode, Rates};
use crate::limits::{Door, Limits};

/// An im-repo that answers every question the same.
struct Repo {
    asked: mpsc::UnboundedSender<AllowRequest>,
    answer: AllowResponse,
}

#[tonic::async_trait]
impl RateLimitService for Repo {
    async fn allow(
        &self,
        request: Request<AllowRequest>,
    ) -> Result<Response<AllowResponse>, Status> {
        self.asked.send(request.into_inner()).unwrap();
        Ok(Response::new(self.answer))
    }

    async fn guess(&self, _: Request<GuessRequest>) -> Result<Response<GuessResponse>, Status> {
        Err(Status::unimplemented("gateways don't guess"))
    }

    async fn confirm_guess(
        &self,
        _: Request<ConfirmGuessRequest>,
    ) -> Result<Response<ConfirmGuessResponse>, Status> {
        Err(Status::unimplemented("gateways don't guess"))
    }

    async fn use_proof(
        &self,
        _: Request<UseProofRequest>,
    ) -> Result<Response<UseProofResponse>, Status> {
        Err(Status::unimplemented("gateways don't judge proofs"))
    }
}

fn repo(answer: AllowResponse) -> (Backend, mpsc::UnboundedReceiver<AllowRequest>) {
    let (asked, questions) = mpsc::unbounded_channel();
    let server = RateLimitServiceServer::new(Repo { asked, answer });
    let channel = Channel::in_process(Routes::new(server));
    (backend(channel), questions)
}

fn backend(repo: Channel) -> Backend {
    let logic = Channel::unavailable("not part of this test");
    Backend::new(logic, repo, &config::Backend::default())
}

/// Two logins at once, and nothing refills while a test runs.
fn limits(mode: RateMode) -> Limits {
    Limits::new(Rates {
        mode,
        login: Rule::new(0.001, 2.0),
        ..Rates::default()
    })
}

fn address() -> IpAddr {
    "2001:db8:1:2:3::1".parse().unwrap()
}

async fn login(limits: &Limits, backend: &Backend) -> Result<(), Refused> {
    limits
        .admit_door(backend, address(), Door::Login, "t")
        .await
}

#[tokio::test]
async fn a_shared_refusal_counts_and_the_question_carries_the_rule_as_it_is_now() {
    let (backend, mut questions) = repo(AllowResponse {
        allowed: false,
        retry_after_ms: 1_500,
    });
    let limits = limits(RateMode::Distributed);
    let refused = Refused {
        retry_after_ms: 1_500,
    };
    assert_eq!(login(&limits, &backend).await, Err(refused));
    limits.set_rates(Rates {
        mode: RateMode::Distributed,
        register: Rule::new(7.0, 8.0),
        ..Rates::default()
    });
    let register = limits.admit_door(&backend, address(), Door::Register, "t");
    assert_eq!(register.await, Err(refused));
    let question = |rule: &str, rate, burst| AllowRequest {
        resource: "ip:2001:db8:1:2::".to_owned(),
        rule: rule.to_owned(),
        rate,
        burst,
        cost: 0,
    };
    assert_eq!(questions.recv().await, Some(question("login", 0.001, 2.0)));
    assert_eq!(questions.recv().await, Some(question("register", 7.0, 8.0)));
}

#[tokio::test]
async fn nobody_is_asked_about_other_requests_nor_in_local_mode_nor_after_a_local_refusal() {
    let (backend, mut questions) = repo(AllowResponse {
        allowed: true,
        retry_after_ms: 0,
    });
    let (alone, together) = (limits(RateMode::Local), limits(RateMode::Distributed));
    assert!(login(&alone, &backend).await.is_ok());
    assert!(together.admit_address(address(), false).is_ok());
    assert!(together.admit_stranger().is_ok());
    assert!(questions.try_recv().is_err());
    for passes in [true, true, false] {
        assert_eq!(login(&together, &backend).await.is_ok(), passes);
    }
    for asked in [true, true, false] {
        assert_eq!(questions.try_recv().is_ok(), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn while_im_repo_hangs_the_local_bucket_decides_after_a_short_wait() {
    let hangs = tower::service_fn(|_: http::Request<Body>| {
        pending::<Result<http::Response<Body>, Infallible>>()
    });
    let backend = backend(Channel::new(hangs));
    let limits = limits(RateMode::Distributed);
    let wait = Duration::from_millis(Rates::default().shared_wait_ms);
    for _ in 0..2 {
        let began = Instant::now();
        assert!(login(&limits, &backend).await.is_ok());
        assert!(began.elapsed() >= wait && began.elapsed() < 2 * wait);
    }
    let began = Instant::now();
    assert!(login(&limits, &backend).await.is_err());
    assert_eq!(began.elapsed(), Duration::ZERO, "refused without a call");
}

#[tokio::test]
async fn without_im_repo_the_local_bucket_decides_at_once() {
    let backend = backend(Channel::unavailable("nobody is there"));
    let limits = limits(RateMode::Distributed);
    for passes in [true, true, false] {
        assert_eq!(login(&limits, &backend).await.is_ok(), passes);
    }
}
