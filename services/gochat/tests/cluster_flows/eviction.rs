//! The limit of sessions holds over all gateways.

use crate::kit::eventually;
use crate::rig::{Cluster, SOON};

const ONE: &str = "gateway.websocket.sessions_per_user=1";

#[tokio::test]
async fn a_newer_session_on_another_gateway_takes_the_place_of_the_older_one() {
    let cluster = Cluster::with(&[ONE]).await;
    let user = cluster.user("gateway-1").await;
    let mut old = user.connect().await;
    let mut new = cluster.at("gateway-2", &user).connect().await;
    let last_words = old.expect("error").await;
    assert_eq!(last_words["code"], "CONNECTION_REPLACED");
    assert_eq!(old.closed_within(SOON).await, 4001);
    new.flush().await;
    assert_eq!(cluster.gateways_of(&user).await, ["gateway-2"]);
}

#[tokio::test]
async fn a_device_has_one_session_wherever_it_connects() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    let mut old = user.connect_device("phone").await;
    let mut other = user.connect_device("laptop").await;
    let elsewhere = cluster.at("gateway-2", &user);
    let mut new = elsewhere.connect_device("phone").await;
    assert_eq!(old.closed_within(SOON).await, 4001);
    new.flush().await;
    other.flush().await;
}

#[tokio::test]
async fn the_oldest_of_all_gateways_makes_room() {
    let cluster = Cluster::with(&["gateway.websocket.sessions_per_user=2"]).await;
    let user = cluster.user("gateway-1").await;
    let elsewhere = cluster.at("gateway-2", &user);
    let mut first = elsewhere.connect().await;
    let mut second = user.connect().await;
    let mut third = user.connect().await;
    assert_eq!(first.closed_within(SOON).await, 4001);
    second.flush().await;
    third.flush().await;
}

#[tokio::test]
async fn a_replaced_session_that_was_never_told_ends_at_its_next_heartbeat_and_the_newer_one_stays()
{
    let cluster = Cluster::with(&[ONE, "gateway.presence.heartbeat_s=1"]).await;
    let user = cluster.user("gateway-1").await;
    // Nobody can tell gateway-1.
    cluster.gates.cut("gateway-2", "PushToUsers");
    let mut old = user.connect().await;
    let mut new = cluster.at("gateway-2", &user).connect().await;
    assert_eq!(old.closed().await, 4001);
    new.flush().await;
    assert_eq!(cluster.gateways_of(&user).await, ["gateway-2"]);
}

#[tokio::test]
async fn sessions_that_presence_forgot_are_there_again_within_seconds() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    let mut sockets = [
        user.connect().await,
        cluster.at("gateway-2", &user).connect().await,
    ];
    let far_away = crate::rig::now_ms() + 1_000_000;
    use gochat_infra::port::presence::PresenceStore as _;
    cluster.presence.expire(far_away, 1_000).await.unwrap();
    eventually("both are known again", || async {
        let both = ["gateway-1", "gateway-2"];
        (cluster.gateways_of(&user).await == both).then_some(())
    })
    .await;
    for socket in &mut sockets {
        socket.flush().await;
    }
    let author = cluster.user("gateway-1").await;
    let chat = author.chat_with(&user).await;
    author.say(&chat, "found again").await.data();
    for socket in &mut sockets {
        socket.hears("found again").await;
    }
}

#[tokio::test]
async fn clients_that_replace_each_other_over_and_over_are_stopped_on_every_gateway() {
    let cluster = Cluster::with(&[ONE]).await;
    let user = cluster.user("gateway-1").await;
    let edges = [user.apart(), cluster.at("gateway-2", &user)];
    let (mut open, mut refused) = (Vec::new(), None);
    for round in 0..20 {
        match edges[round % 2].try_connect("").await {
            Ok(socket) => open.push(socket),
            Err(status) => {
                refused = Some((round, status));
                break;
            }
        }
    }
    assert_eq!(refused, Some((6, 429)), "the sixth replacement in a minute");
    for edge in &edges {
        assert_eq!(edge.try_connect("").await.err(), Some(429));
    }
    let mut last = open.pop().unwrap();
    last.flush().await;
}

#[tokio::test]
async fn a_logout_closes_the_sockets_of_its_token_on_every_gateway() {
    let cluster = Cluster::new().await;
    let user = cluster.user("gateway-1").await;
    let elsewhere = cluster.at("gateway-2", &user);
    let mut sockets = [user.connect().await, elsewhere.connect().await];
    let begun = tokio::time::Instant::now();
    user.call("POST", "/auth/logout", None).await.data();
    for socket in &mut sockets {
        assert_eq!(socket.closed_within(SOON).await, 4002);
    }
    assert!(begun.elapsed() < SOON);
    elsewhere
        .get("/conversations")
        .await
        .refused(401, "INVALID_TOKEN");
    assert_eq!(elsewhere.try_connect("").await.err(), Some(401));
}
