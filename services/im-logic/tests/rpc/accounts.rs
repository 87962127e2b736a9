//! Accounts and the life of tokens.

use gochat_core::error::ErrorCode;
use gochat_infra::topics;
use gochat_proto::common::v1::ErrorCode as WireCode;
use gochat_proto::im::logic::v1::*;

use crate::harness::{Logic, refusal};

async fn is_valid(logic: &Logic, token: &str) -> bool {
    let request = ValidateTokenRequest {
        access_token: token.into(),
    };
    logic
        .auth()
        .validate_token(request)
        .await
        .unwrap()
        .into_inner()
        .valid
}

async fn refresh(logic: &Logic, token: &str) -> Result<RefreshTokenResponse, ErrorCode> {
    let request = RefreshTokenRequest {
        refresh_token: token.into(),
        ..Default::default()
    };
    match logic.auth().refresh_token(request).await {
        Ok(answer) => Ok(answer.into_inner()),
        refused => Err(refusal(refused)),
    }
}

#[tokio::test]
async fn who_signs_in_gets_tokens_that_name_them() {
    let logic = Logic::start().await;
    let user = logic.user("ann").await;
    let session = logic.login("ann").await;
    let request = ValidateTokenRequest {
        access_token: session.access_token,
    };
    let verdict = logic
        .auth()
        .validate_token(request)
        .await
        .unwrap()
        .into_inner();
    assert!(verdict.valid);
    assert_eq!(verdict.user.unwrap().id, user.id);
    assert_eq!(verdict.expires_at, session.expires_in);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_get_the_same_refusal() {
    let logic = Logic::start().await;
    logic.user("ann").await;
    for name in ["ann", "nobody"] {
        let request = LoginRequest {
            username: name.into(),
            password: "wrong horse".into(),
            ..Default::default()
        };
        assert_eq!(
            refusal(logic.auth().login(request).await),
            ErrorCode::InvalidCredentials
        );
    }
}

#[tokio::test]
async fn a_taken_name_is_refused() {
    let logic = Logic::start().await;
    logic.user("ann").await;
    let request = RegisterRequest {
        username: "ann".into(),
        password: "correct horse".into(),
        ..Default::default()
    };
    assert_eq!(
        refusal(logic.auth().register(request).await),
        ErrorCode::UserAlreadyExists
    );
}

#[tokio::test]
async fn a_repeat_gives_the_same_pair_and_an_old_token_ends_its_session_only() {
    let logic = Logic::start().await;
    logic.user("ann").await;
    let (first, other) = (logic.login("ann").await, logic.login("ann").await);
    let second = refresh(&logic, &first.refresh_token).await.unwrap();
    assert_eq!(refresh(&logic, &first.refresh_token).await.unwrap(), second);
    assert!(
        is_valid(&logic, &first.access_token).await,
        "until it expires"
    );
    logic.turn_clock(60_001);
    let late = refresh(&logic, &first.refresh_token).await;
    assert_eq!(late, Err(ErrorCode::InvalidToken));
    assert!(!is_valid(&logic, &second.access_token).await);
    let theirs = refresh(&logic, &second.refresh_token).await;
    assert_eq!(theirs, Err(ErrorCode::InvalidToken));
    assert!(is_valid(&logic, &other.access_token).await);
    assert!(refresh(&logic, &other.refresh_token).await.is_ok());
    let told = logic.values(topics::TOKEN_EVENTS).await;
    assert_eq!(
        told.len(),
        2,
        "when it ended, and again when it was asked for"
    );
}

#[tokio::test]
async fn a_session_lives_while_it_is_used() {
    let logic = Logic::start().await;
    logic.user("ann").await;
    let mut token = logic.login("ann").await.refresh_token;
    let idle = logic.login("ann").await.refresh_token;
    for _ in 0..9 {
        logic.turn_clock(86_400_000);
        token = refresh(&logic, &token).await.unwrap().refresh_token;
    }
    assert_eq!(refresh(&logic, &idle).await, Err(ErrorCode::TokenExpired));
}

#[tokio::test]
async fn an_access_token_refreshes_nothing() {
    let logic = Logic::start().await;
    logic.user("ann").await;
    let session = logic.login("ann").await;
    let refused = refresh(&logic, &session.access_token).await;
    assert_eq!(refused, Err(ErrorCode::InvalidToken));
    assert_eq!(refresh(&logic, "").await, Err(ErrorCode::InvalidParams));
    assert!(!is_valid(&logic, &session.refresh_token).await);
}

#[tokio::test]
async fn logout_ends_the_pair_and_tells_the_gateways() {
    let logic = Logic::start().await;
    let user = logic.user("ann").await;
    let (gone, stays) = (logic.login("ann").await, logic.login("ann").await);
    let request = LogoutRequest {
        user_id: user.id,
        access_token: gone.access_token.clone(),
    };
    logic.auth().logout(request.clone()).await.unwrap();
    assert!(!is_valid(&logic, &gone.access_token).await);
    assert_eq!(
        refresh(&logic, &gone.refresh_token).await,
        Err(ErrorCode::InvalidToken)
    );
    assert!(is_valid(&logic, &stays.access_token).await);
    let told = logic.values(topics::TOKEN_EVENTS).await;
    assert_eq!(
        told.len(),
        2,
        "when it ended, and again when it was asked for"
    );
    assert_eq!(
        refusal(logic.auth().logout(request).await),
        ErrorCode::InvalidToken
    );
}

#[tokio::test]
async fn nobody_logs_somebody_else_out() {
    let logic = Logic::start().await;
    let [_, bob] = logic.people(["ann", "bob"]).await;
    let session = logic.login("ann").await;
    let request = LogoutRequest {
        user_id: bob,
        access_token: session.access_token.clone(),
    };
    assert_eq!(
        refusal(logic.auth().logout(request).await),
        ErrorCode::InvalidToken
    );
    assert!(is_valid(&logic, &session.access_token).await);
}

#[tokio::test]
async fn a_bad_token_is_an_answer_that_says_why() {
    let logic = Logic::start().await;
    let request = ValidateTokenRequest {
        access_token: "nonsense".into(),
    };
    let verdict = logic
        .auth()
        .validate_token(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (verdict.valid, verdict.error_code()),
        (false, WireCode::InvalidToken)
    );
}

#[tokio::test]
async fn a_guest_gets_a_name_and_is_announced() {
    let logic = Logic::start().await;
    let request = GuestLoginRequest {
        guest_name: "Ann".into(),
        ..Default::default()
    };
    let guest = logic
        .auth()
        .guest_login(request)
        .await
        .unwrap()
        .into_inner()
        .user
        .unwrap();
    assert!(guest.is_guest && guest.username.starts_with("guest_Ann_"));
    let [.., users] = logic.events().await;
    assert_eq!(users, ["user.guest.created"]);
}
