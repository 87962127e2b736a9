//! Who is online.

use std::time::Duration;

use serde_json::Value;

use crate::kit::{Server, User, eventually, list};

/// A server on which somebody is offline soon after the last connection is gone.
async fn quick() -> Option<Server> {
    Server::with(&["gateway.presence.offline_delay_ms=5000"]).await
}

async fn is_online(viewer: &User, friend: &User) -> bool {
    let data = viewer.get("/friends").await.data();
    let found = list(&data["friends"])
        .iter()
        .find(|f| f["friendId"] == friend.id)
        .cloned();
    found.expect("a friend")["online"] == true
}

fn says<'a>(user: &'a User, status: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |d| d["userId"] == user.id && d["status"] == status
}

#[tokio::test]
async fn friends_are_told_when_somebody_comes() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    a.befriend(&b).await;
    let mut socket = a.connect().await;
    assert!(!is_online(&a, &b).await);
    let _b = b.connect().await;
    socket
        .expect_where("online-status", says(&b, "online"))
        .await;
    assert!(is_online(&a, &b).await);
}

#[tokio::test]
async fn strangers_are_not_told() {
    let server = Server::shared().await;
    let [a, b, friend] = server.users().await;
    friend.befriend(&b).await;
    let (mut stranger, mut of_friend) = (a.connect().await, friend.connect().await);
    let _b = b.connect().await;
    of_friend
        .expect_where("online-status", says(&b, "online"))
        .await;
    assert!(stranger.drain("online-status").await.is_empty());
}

#[tokio::test]
async fn friends_are_told_when_somebody_is_gone_for_a_while() {
    let Some(server) = quick().await else { return };
    let [a, b] = server.users().await;
    a.befriend(&b).await;
    let mut socket = a.connect().await;
    let of_b = b.connect().await;
    socket
        .expect_where("online-status", says(&b, "online"))
        .await;
    drop(of_b);
    let frame = socket
        .expect_where("online-status", says(&b, "offline"))
        .await;
    assert!(frame["lastSeen"].as_i64().unwrap() > 0, "{frame}");
    assert!(!is_online(&a, &b).await);
}

#[tokio::test]
async fn one_who_comes_back_in_time_was_never_away() {
    let Some(server) = quick().await else { return };
    let [a, b, c] = server.users().await;
    a.befriend(&b).await;
    a.befriend(&c).await;
    let mut socket = a.connect().await;
    let (first, of_c) = (b.connect().await, c.connect().await);
    socket
        .expect_where("online-status", says(&b, "online"))
        .await;
    socket
        .expect_where("online-status", says(&c, "online"))
        .await;
    first.close().await;
    let _again = b.connect().await;
    // c leaves after b came back: when c's delay is over, so is b's.
    of_c.close().await;
    socket
        .expect_where("online-status", says(&c, "offline"))
        .await;
    let about_b = socket.drain("online-status").await;
    assert!(about_b.iter().all(|d| d["userId"] != b.id), "{about_b:?}");
    assert!(is_online(&a, &b).await);
}

#[tokio::test]
async fn one_of_two_devices_going_is_nothing_to_tell() {
    let Some(server) = quick().await else { return };
    let [a, b, c] = server.users().await;
    a.befriend(&b).await;
    a.befriend(&c).await;
    let mut socket = a.connect().await;
    let (phone, _laptop, of_c) = (
        b.connect_device("phone").await,
        b.connect_device("laptop").await,
        c.connect().await,
    );
    socket
        .expect_where("online-status", says(&b, "online"))
        .await;
    socket
        .expect_where("online-status", says(&c, "online"))
        .await;
    phone.close().await;
    of_c.close().await;
    socket
        .expect_where("online-status", says(&c, "offline"))
        .await;
    let about_b = socket.drain("online-status").await;
    assert!(about_b.iter().all(|d| d["userId"] != b.id), "{about_b:?}");
    assert!(is_online(&a, &b).await);
}

#[tokio::test]
async fn logging_out_is_told_at_once() {
    // The delay is the default of 30 s: longer than anybody here waits.
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    a.befriend(&b).await;
    let mut socket = a.connect().await;
    let _b = b.connect().await;
    socket
        .expect_where("online-status", says(&b, "online"))
        .await;
    b.call("POST", "/auth/logout", None).await.data();
    socket
        .expect_where("online-status", says(&b, "offline"))
        .await;
    eventually("the list says so", || async {
        (!is_online(&a, &b).await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_status_reaches_friends_within_half_a_second_or_so() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    a.befriend(&b).await;
    let mut socket = a.connect().await;
    let start = tokio::time::Instant::now();
    let _b = b.connect().await;
    socket
        .expect_where("online-status", says(&b, "online"))
        .await;
    // The goal is 500 ms on a quiet machine; tests run in parallel on a busy one.
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}
