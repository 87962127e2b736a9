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
async fn a_refresh_token_used_twice_revokes_every_token_of_the_user() {
    let server = Server::shared().await;
    let user = server.user().await;
    let elsewhere = server.login(&user.name).await;
    let mut socket = elsewhere.connect().await;
    let renewed = refresh(&server, &user.refresh_token).await.data();

    refresh(&server, &user.refresh_token)
        .await
        .refused(401, "INVALID_TOKEN");

    assert_eq!(socket.closed().await, 4002);
    let renewed = User {
        token: crate::kit::text(&renewed["accessToken"]),
        ..user.clone()
    };
    for session in [&user, &renewed, &elsewhere] {
        session
            .get("/users/profile")
            .await
            .refused(401, "INVALID_TOKEN");
    }
    refresh(&server, &elsewhere.refresh_token)
        .await
        .refused(401, "INVALID_TOKEN");
    server
        .login(&user.name)
        .await
        .get("/users/profile")
        .await
        .data();
}

#[tokio::test]
async fn of_two_who_present_the_same_refresh_token_at_once_at_most_one_is_served() {
    let server = Server::shared().await;
    let user = server.user().await;
    let (a, b) = tokio::join!(
        refresh(&server, &user.refresh_token),
        refresh(&server, &user.refresh_token)
    );
    let served = [&a, &b].iter().filter(|r| r.status == 200).count();
    assert!(served <= 1, "{a:?} {b:?}");
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
    let Some(server) = Server::with(&["logic.auth.access_ttl_s=2"]).await else {
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
