//! `POST /auth/login`.

use serde_json::json;

use crate::kit::{Reply, Server, User, fresh_name, now};

async fn login(server: &Server, name: &str, password: &str) -> Reply {
    server
        .call(
            "POST",
            "/auth/login",
            Some(json!({"username": name, "password": password})),
        )
        .await
}

#[tokio::test]
async fn signing_in_gives_two_tokens_the_time_they_end_and_the_user() {
    let server = Server::shared().await;
    let user = server.user().await;
    let data = login(&server, &user.name, crate::kit::PASSWORD)
        .await
        .data_with(200);
    assert_eq!(data["user"]["id"], user.id);
    assert_ne!(data["accessToken"], data["refreshToken"]);
    let ends = data["expiresIn"].as_i64().unwrap();
    assert!(
        (ends - now() - 900).abs() < 60,
        "expiresIn is a point in time, 15 minutes from now: {ends}"
    );
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let server = Server::shared().await;
    let user = server.user().await;
    let wrong = login(&server, &user.name, "not the password").await;
    let unknown = login(&server, &fresh_name(), "not the password").await;
    wrong.refused(401, "AUTH_INVALID_CREDENTIALS");
    unknown.refused(401, "AUTH_INVALID_CREDENTIALS");
    assert_eq!(wrong.body["message"], unknown.body["message"]);
}

#[tokio::test]
async fn a_guest_has_no_password_to_sign_in_with() {
    let server = Server::shared().await;
    let guest = server.guest().await;
    login(&server, &guest.name, "")
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    login(&server, &guest.name, "password")
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
}

#[tokio::test]
async fn a_disabled_account_is_locked() {
    let server = Server::shared().await;
    let user: User = server.user().await;
    let Some(repo) = server.repo() else { return };
    let request = gochat_proto::im::repo::v1::UpdateUserRequest {
        user_id: user.id.clone(),
        status: gochat_proto::common::v1::UserStatus::Disabled.into(),
        update_mask: vec!["status".into()],
        ..Default::default()
    };
    let mut users = gochat_proto::im::repo::v1::user_service_client::UserServiceClient::new(repo);
    users.update_user(request).await.unwrap();
    login(&server, &user.name, crate::kit::PASSWORD)
        .await
        .refused(423, "USER_DISABLED");
}

#[tokio::test]
async fn sessions_are_independent_of_each_other() {
    let server = Server::shared().await;
    let first = server.user().await;
    let second = server.login(&first.name).await;
    assert_ne!(first.token, second.token);
    first.post("/auth/logout", json!({})).await.data();
    second.get("/users/profile").await.data_with(200);
}
