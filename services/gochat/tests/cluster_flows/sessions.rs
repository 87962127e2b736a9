//! Ends of sessions on several gateways.

use serde_json::json;

use crate::kit::{User, eventually};
use crate::rig::{Cluster, SOON};

async fn refresh(user: &User) -> Option<User> {
    let body = json!({"refreshToken": user.refresh_token});
    let reply = user
        .http
        .call("POST", "/auth/refresh", None, Some(body))
        .await;
    (reply.status == 200).then(|| user.renewed(&reply.data()))
}

async fn again(user: &User) -> User {
    let body = json!({"username": user.name, "password": crate::kit::PASSWORD});
    let reply = user
        .http
        .call("POST", "/auth/login", None, Some(body))
        .await;
    User::new(user.http.clone(), &reply.data())
}

/// Waits until every gateway has heard of the ends of these sessions.
async fn are_known_to_have_ended(cluster: &Cluster, sessions: &[User]) {
    for session in sessions {
        for gateway in ["gateway-1", "gateway-2"] {
            let there = cluster.at(gateway, session);
            eventually("the session has ended at the gateway", async || {
                (there.get("/users/profile").await.status == 401).then_some(())
            })
            .await;
        }
    }
}

/// No token of these opens anything at any gateway.
async fn are_out(cluster: &Cluster, sessions: &[User]) {
    for session in sessions {
        for gateway in ["gateway-1", "gateway-2"] {
            let there = cluster.at(gateway, session);
            let reply = there.get("/users/profile").await;
            assert_eq!(reply.status, 401, "{gateway}: {}", reply.body);
            assert_eq!(there.try_connect("").await.err(), Some(401), "{gateway}");
            assert!(refresh(&there).await.is_none(), "{gateway}");
        }
    }
}

#[tokio::test]
async fn a_session_ended_from_another_gateway_is_dead_everywhere() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    let lost = cluster.at("gateway-2", &again(&user).await);
    let renewed = refresh(&lost).await.unwrap();
    let mut sockets = [
        lost.connect().await,
        renewed.connect().await,
        cluster.at("gateway-1", &renewed).connect().await,
    ];
    let id = lost.session().await;
    user.delete(&format!("/sessions/{id}")).await.data();
    for socket in &mut sockets {
        assert_eq!(socket.closed_within(SOON).await, 4002);
    }
    are_out(&cluster, &[lost, renewed]).await;
    cluster
        .at("gateway-2", &user)
        .get("/users/profile")
        .await
        .data();
}

#[tokio::test]
async fn a_socket_that_opens_while_its_session_ends_does_not_stay() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    for _ in 0..10 {
        let lost = cluster.at("gateway-2", &again(&user).await);
        let id = lost.session().await;
        let (ending, opening) = (user.clone(), lost.clone());
        let end = tokio::spawn(async move {
            ending.delete(&format!("/sessions/{id}")).await.data();
        });
        let open = tokio::spawn(async move {
            let mut sockets = Vec::new();
            while let Ok(socket) = opening.try_connect("").await {
                sockets.push(socket);
                assert!(sockets.len() < 100, "sockets go on opening");
            }
            sockets
        });
        end.await.unwrap();
        for mut socket in open.await.unwrap() {
            // The sixth device of a user pushes the first one out.
            let code = socket.closed_within(SOON).await;
            assert!(code == 4002 || code == 4001, "{code}");
        }
        are_out(&cluster, &[lost]).await;
    }
}

#[tokio::test]
async fn a_refresh_beside_the_end_of_its_session_leaves_nothing_alive() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    for _ in 0..10 {
        let lost = again(&user).await;
        let there = cluster.at("gateway-2", &lost);
        let (renewed, ended) =
            tokio::join!(refresh(&there), lost.call("POST", "/auth/logout", None));
        ended.data();
        let mut all = vec![lost];
        all.extend(renewed);
        are_known_to_have_ended(&cluster, &all).await;
        are_out(&cluster, &all).await;
    }
}

#[tokio::test]
async fn two_gateways_that_refresh_one_token_at_once_give_one_pair() {
    let cluster = Cluster::new().await;
    let here = cluster.user("gateway-1").await;
    let there = cluster.at("gateway-2", &here);
    let (a, b) = tokio::join!(refresh(&here), refresh(&there));
    let (a, b) = (a.expect("served"), b.expect("served"));
    assert_eq!((&a.token, &a.refresh_token), (&b.token, &b.refresh_token));
    a.get("/users/profile").await.data();
    cluster
        .at("gateway-2", &b)
        .get("/users/profile")
        .await
        .data();
}
