//! `POST /auth/register`.

use serde_json::{Value, json};

use crate::kit::{PASSWORD, Reply, Server, fresh_name, now, text};

async fn register(server: &Server, name: &str, password: &str) -> Reply {
    server
        .call(
            "POST",
            "/auth/register",
            Some(json!({"username": name, "password": password})),
        )
        .await
}

#[tokio::test]
async fn a_new_user_is_returned_with_201_and_without_a_token() {
    let server = Server::shared().await;
    let name = fresh_name();
    let data = register(&server, &name, PASSWORD).await.data_with(201);
    let user = &data["user"];
    assert_eq!(user["username"], name);
    assert_eq!(user["isGuest"], false);
    assert!(
        text(&user["id"]).parse::<u64>().is_ok(),
        "ids are decimal strings: {user}"
    );
    assert!(
        (user["createdAt"].as_i64().unwrap() - now()).abs() < 60,
        "seconds: {user}"
    );
    assert_eq!(data["accessToken"], Value::Null);
}

#[tokio::test]
async fn a_picture_may_come_along() {
    let server = Server::shared().await;
    let body = json!({"username": fresh_name(), "password": PASSWORD, "avatarUrl": "https://example.org/a.png"});
    let data = server
        .call("POST", "/auth/register", Some(body))
        .await
        .data();
    assert_eq!(data["user"]["avatarUrl"], "https://example.org/a.png");
}

#[tokio::test]
async fn a_taken_name_is_refused_with_400() {
    let server = Server::shared().await;
    let name = fresh_name();
    register(&server, &name, PASSWORD).await.data();
    register(&server, &name, PASSWORD)
        .await
        .refused(400, "USER_ALREADY_EXISTS");
}

#[tokio::test]
async fn of_two_who_want_the_same_name_at_once_one_gets_it() {
    let server = Server::shared().await;
    let name = fresh_name();
    let (a, b) = tokio::join!(
        register(&server, &name, PASSWORD),
        register(&server, &name, PASSWORD)
    );
    let mut answers = [
        (a.status, a.code().to_owned()),
        (b.status, b.code().to_owned()),
    ];
    answers.sort();
    assert_eq!(
        answers,
        [
            (201, String::new()),
            (400, "USER_ALREADY_EXISTS".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_name_has_3_to_50_characters() {
    let server = Server::shared().await;
    let long = format!("{:x<50}", fresh_name());
    register(&server, &long, PASSWORD).await.data();
    register(&server, &format!("{long}x"), PASSWORD)
        .await
        .refused(400, "INVALID_USERNAME");
    register(&server, "ab", PASSWORD)
        .await
        .refused(400, "INVALID_USERNAME");
}

#[tokio::test]
async fn reserved_names_are_refused() {
    let server = Server::shared().await;
    for name in [
        "profile",
        "search",
        "info",
        "status",
        "world",
        "guest_someone",
    ] {
        register(&server, name, PASSWORD)
            .await
            .refused(400, "INVALID_USERNAME");
    }
}

#[tokio::test]
async fn a_password_has_8_to_128_characters() {
    let server = Server::shared().await;
    register(&server, &fresh_name(), "1234567")
        .await
        .refused(400, "WEAK_PASSWORD");
    register(&server, &fresh_name(), &"x".repeat(129))
        .await
        .refused(400, "WEAK_PASSWORD");
    let name = fresh_name();
    let long = "ü".repeat(128);
    register(&server, &name, &long).await.data();
    let account = json!({"username": name, "password": long});
    server
        .call("POST", "/auth/login", Some(account))
        .await
        .data_with(200);
}

#[tokio::test]
async fn missing_fields_and_wrong_types_are_invalid_params() {
    let server = Server::shared().await;
    for body in [
        json!({}),
        json!({"username": "somebody"}),
        json!({"username": 7, "password": PASSWORD}),
    ] {
        server
            .call("POST", "/auth/register", Some(body))
            .await
            .refused(400, "INVALID_PARAMS");
    }
    let broken = server
        .http()
        .raw("POST", "/api/auth/register", &[], "{\"username\":".into())
        .await;
    broken.refused(400, "INVALID_PARAMS");
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let server = Server::shared().await;
    let body = json!({"username": fresh_name(), "password": PASSWORD, "isGuest": true, "favourite": "tea"});
    let data = server
        .call("POST", "/auth/register", Some(body))
        .await
        .data();
    assert_eq!(data["user"]["isGuest"], false);
}
