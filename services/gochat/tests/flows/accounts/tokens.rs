//! Refresh, logout, expiry.

use serde_json::json;

use crate::kit::{Reply, Server, User, eventually};

async fn refresh(server: &Server, token: &str) -> Reply {
    server
        .call(
            "POST",
            "/auth/refresh",
            Some(json!({"refreshToken": token})),
        )
        .await
}

#[tokio::test]
async fn refreshing_gives_a_new_pair_that_works() {
    let server = Server::shared().await;
    let user = server.user().await;
    let data = refresh(&server, &user.refresh_token).await.data_with(200);
    assert!(data["expiresIn"].is_i64());
    assert_ne!(data["refreshToken"], user.refresh_token);
    let renewed = User {
        token: crate::kit::text(&data["accessToken"]),
        ..user
    };
    renewed.get("/users/profile").await.data();
}

#[tokio::test]
async fn the_snake_case_name_is_accepted() {
    let server = Server::shared().await;
    let user = server.user().await;
    let body = json!({"refresh_token": user.refresh_token});
    server
        .call("POST", "/auth/refresh", Some(body))
        .await
        .data_with(200);
}

#[tokio::test]
async fn a_repeat_gets_the_same_pair_and_signs_nobody_out() {
    let server = Server::shared().await;
    let user = server.user().await;
    let elsewhere = server.login(&user.name).await;
    let mut socket = elsewhere.connect().await;
    let first = refresh(&server, &user.refresh_token).await.data();
    let again = refresh(&server, &user.refresh_token).await.data();
    for field in ["accessToken", "refreshToken", "expiresIn"] {
        assert_eq!(first[field], again[field], "{field}");
    }
    let renewed = user.renewed(&first);
    for session in [&user, &renewed, &elsewhere] {
        session.get("/users/profile").await.data();
    }
    refresh(&server, &elsewhere.refresh_token).await.data();
    socket.flush().await;
}

#[tokio::test]
async fn a_token_two_generations_old_ends_its_session_only() {
    let server = Server::shared().await;
    let user = server.user().await;
    let elsewhere = server.login(&user.name).await;
    let mut bystander = elsewhere.connect().await;
    let mut socket = user.connect().await;
    let second = user.renewed(&refresh(&server, &user.refresh_token).await.data());
    let third = user.renewed(&refresh(&server, &second.refresh_token).await.data());

    refresh(&server, &user.refresh_token)
        .await
        .refused(401, "INVALID_TOKEN");

    assert_eq!(socket.closed().await, 4002);
    for session in [&user, &second, &third] {
        session
            .get("/users/profile")
            .await
            .refused(401, "INVALID_TOKEN");
        refresh(&server, &session.refresh_token)
            .await
            .refused(401, "INVALID_TOKEN");
    }
    elsewhere.get("/users/profile").await.data();
    bystander.flush().await;
}

#[tokio::test]
async fn many_who_present_the_same_refresh_token_at_once_get_the_same_pair() {
    let server = Server::shared().await;
    let user = server.user().await;
    let calls = (0..6).map(|_| refresh(&server, &user.refresh_token));
    let pairs = futures_util::future::join_all(calls).await;
    let tokens: Vec<_> = pairs
        .into_iter()
        .map(|reply| reply.data()["refreshToken"].clone())
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    let renewed = refresh(&server, tokens[0].as_str().unwrap()).await;
    assert_ne!(renewed.data()["refreshToken"], tokens[0]);
}

#[tokio::test]
async fn an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing() {
    let server = Server::shared().await;
    let user = server.user().await;
    refresh(&server, &user.token)
        .await
        .refused(401, "INVALID_TOKEN");
    let confused = User {
        token: user.refresh_token.clone(),
        ..user.clone()
    };
    confused
        .get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    assert_eq!(confused.try_connect("").await.err(), Some(401));
    refresh(&server, "nonsense")
        .await
        .refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn logging_out_revokes_both_tokens() {
    let server = Server::shared().await;
    let user = server.user().await;
    user.call("POST", "/auth/logout", None).await.data_with(200);
    user.get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    assert_eq!(user.try_connect("").await.err(), Some(401));
    refresh(&server, &user.refresh_token)
        .await
        .refused(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn logging_out_closes_the_sockets_of_the_session() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut socket = user.connect().await;
    user.call("POST", "/auth/logout", None).await.data();
    assert_eq!(socket.closed().await, 4002);
}

#[tokio::test]
async fn a_token_that_ended_says_so_and_its_socket_is_closed() {
    let Some(server) = Server::with(&["logic.auth.access_ttl_s=5"]).await else {
        return;
    };
    let user = server.user().await;
    let mut socket = user.connect().await;
    assert_eq!(socket.closed().await, 4002);
    // The last second of a token may count as either.
    eventually("the token is refused", async || {
        (user.get("/users/profile").await.status == 401).then_some(())
    })
    .await;
    user.get("/users/profile")
        .await
        .refused(401, "TOKEN_EXPIRED");
    assert_eq!(user.try_connect("").await.err(), Some(401));
    let data = refresh(&server, &user.refresh_token).await.data();
    let renewed = User {
        token: crate::kit::text(&data["accessToken"]),
        ..user
    };
    renewed.get("/users/profile").await.data();
}

#[tokio::test]
async fn signing_out_ends_what_was_refreshed_before() {
    let server = Server::shared().await;
    let first = server.user().await;
    let mut socket = first.connect().await;
    let second = first.renewed(&refresh(&server, &first.refresh_token).await.data());
    // A thief holds a copy and refreshes once more.
    let thief = first.renewed(&refresh(&server, &second.refresh_token).await.data());
    let mut listener = thief.connect().await;
    second.call("POST", "/auth/logout", None).await.data();
    assert_eq!(socket.closed().await, 4002);
    assert_eq!(listener.closed().await, 4002);
    for session in [&first, &second, &thief] {
        session
            .get("/users/profile")
            .await
            .refused(401, "INVALID_TOKEN");
        assert_eq!(session.try_connect("").await.err(), Some(401));
        refresh(&server, &session.refresh_token)
            .await
            .refused(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_revocation_outlives_a_restart() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let [gone, stays] = server.users().await;
    gone.call("POST", "/auth/logout", None).await.data();
    server.restart().await;
    server
        .known(&gone)
        .get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    server.known(&stays).get("/users/profile").await.data();
}
