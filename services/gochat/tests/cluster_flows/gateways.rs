//! Gateways stop, die and come back.

use std::time::Duration;

use serde_json::json;

use crate::kit::{User, eventually, now};
use crate::rig::Cluster;

/// The offline delay is short here, and so is the silence of a dead session.
const QUICK: [&str; 3] = [
    "gateway.presence.offline_delay_ms=5000",
    "task.cleanup.sessions_every_s=1",
    "gateway.presence.heartbeat_s=1",
];

/// Longer than the offline delay and several heartbeats: what was to be told is told by then.
const LONGER: Duration = Duration::from_secs(7);

async fn friends(cluster: &Cluster) -> (User, User) {
    let (a, b) = (
        cluster.user("gateway-2").await,
        cluster.user("gateway-1").await,
    );
    a.befriend(&b).await;
    (a, b)
}

fn is(user: &User, status: &str) -> impl Fn(&serde_json::Value) -> bool {
    let (id, status) = (user.id.clone(), status.to_owned());
    move |d| d["userId"] == id && d["status"] == status
}

#[tokio::test]
async fn a_gateway_that_was_killed_comes_back_under_its_name_without_pushing_what_is_old() {
    let mut cluster = Cluster::with(&QUICK).await;
    let (a, b) = friends(&cluster).await;
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    let _dead = b.connect().await;
    cluster.kill("gateway-1").await;
    // Presence still says that gateway-1 holds the reader: this lies on its topic.
    author.say_acked(&chat, "to a dead socket", "c1").await;
    b_history(&cluster, &b, &chat, 1).await;
    cluster.start_gateway("gateway-1").await;
    let b = cluster.at("gateway-1", &b);
    let mut reader = b.connect().await;
    author.say_acked(&chat, "to the living", "c2").await;
    reader.hears("to the living").await;
    let older = reader.drain("new-message").await;
    assert!(older.is_empty(), "{older:?}");
    // The session of the earlier run is gone, the new one stays, over several heartbeats.
    eventually("one session", || async {
        (sessions(&cluster, &b).await == 1).then_some(())
    })
    .await;
    assert!(!reader.is_closed(LONGER).await);
    assert_eq!(cluster.gateways_of(&b).await, ["gateway-1"]);
    let told = author.drain("online-status").await;
    let gone = told.iter().any(is(&b, "offline"));
    assert!(!gone, "came back in time: {told:?}");
}

/// Waits for rows through the other gateway.
async fn b_history(cluster: &Cluster, user: &User, chat: &str, count: usize) {
    cluster.at("gateway-2", user).history_of(chat, count).await;
}

async fn sessions(cluster: &Cluster, user: &User) -> usize {
    use gochat_infra::port::presence::{PresenceStore as _, SessionRef};
    // One more than a real one would be: an unknown connection is not known.
    let any = SessionRef {
        user: user.id.parse().unwrap(),
        gateway: "gateway-1".into(),
        conn_id: None,
    };
    let known = cluster.presence.heartbeat(crate::rig::now_ms(), vec![any]);
    known.await.unwrap().iter().filter(|known| **known).count()
}

#[tokio::test]
async fn who_does_not_come_back_after_a_kill_is_offline_when_the_gateway_is_there_again() {
    let mut cluster = Cluster::with(&QUICK).await;
    let (a, b) = friends(&cluster).await;
    let mut friend = a.connect().await;
    let _dead = b.connect().await;
    friend.expect_where("online-status", is(&b, "online")).await;
    cluster.kill("gateway-1").await;
    assert_eq!(cluster.gateways_of(&b).await, ["gateway-1"]);
    cluster.start_gateway("gateway-1").await;
    eventually("the dead session is gone", || async {
        cluster.gateways_of(&b).await.is_empty().then_some(())
    })
    .await;
    friend
        .expect_where("online-status", is(&b, "offline"))
        .await;
}

#[tokio::test]
async fn sessions_of_a_gateway_that_never_comes_back_end_by_their_silence() {
    let mut cluster = Cluster::with(&[
        "task.cleanup.sessions_every_s=1",
        "task.cleanup.session_silence_s=6",
        "gateway.presence.heartbeat_s=1",
    ])
    .await;
    let (a, b) = friends(&cluster).await;
    let mut friend = a.connect().await;
    let _dead = b.connect().await;
    friend.expect_where("online-status", is(&b, "online")).await;
    cluster.kill("gateway-1").await;
    friend
        .expect_where("online-status", is(&b, "offline"))
        .await;
    assert!(cluster.gateways_of(&b).await.is_empty());
    friend.flush().await;
    assert_eq!(
        cluster.gateways_of(&a).await,
        ["gateway-2"],
        "the living stay"
    );
}

#[tokio::test]
async fn clients_of_a_gateway_that_stops_move_on_and_friends_see_nothing_of_it() {
    let mut cluster = Cluster::with(&QUICK).await;
    let (a, b) = friends(&cluster).await;
    let chat = a.chat_with(&b).await;
    let mut friend = a.connect().await;
    let mut old = b.connect().await;
    friend.expect_where("online-status", is(&b, "online")).await;
    let elsewhere = cluster.at("gateway-2", &b);
    let moving = async {
        let words = old.expect("restarting").await;
        assert!(words["reconnectIn"].as_u64().unwrap() > 0);
        assert_eq!(old.closed().await, 1001);
        elsewhere.connect().await
    };
    let ((), mut new) = tokio::join!(cluster.stop("gateway-1"), moving);
    friend.say_acked(&chat, "still there?", "c1").await;
    new.hears("still there?").await;
    let deadline = tokio::time::Instant::now() + LONGER;
    let told = friend.gather("online-status", deadline).await;
    assert!(!told.iter().any(is(&b, "offline")), "{told:?}");
}

#[tokio::test]
async fn who_does_not_move_on_is_offline_although_the_gateway_is_gone() {
    let mut cluster = Cluster::with(&["gateway.presence.offline_delay_ms=4000"]).await;
    let (a, b) = friends(&cluster).await;
    let mut friend = a.connect().await;
    let _left = b.connect().await;
    friend.expect_where("online-status", is(&b, "online")).await;
    let stopped = now();
    cluster.stop("gateway-1").await;
    // Whoever counts hands the rest on when it stops, too: by now one of them counts.
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.start_task("task-3").await;
    cluster.stop("task-1").await;
    cluster.stop("task-2").await;
    let told = friend
        .expect_where("online-status", is(&b, "offline"))
        .await;
    assert!(told["lastSeen"].as_i64().unwrap() >= stopped);
}

#[tokio::test]
async fn a_gateway_that_joins_and_one_that_leaves_under_load_lose_nothing() {
    let mut cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    let mut reader = b.connect().await;
    let mut n = 0;
    for round in 0..3 {
        for _ in 0..20 {
            n += 1;
            author.say(&chat, &format!("m{n}"), &format!("c{n}")).await;
        }
        if round == 0 {
            cluster.start_gateway("gateway-3").await;
        }
        if round == 1 {
            cluster.stop("gateway-2").await;
            reader = cluster.at("gateway-3", &b).connect().await;
        }
    }
    for i in 1..=n {
        author.acked(&format!("c{i}")).await;
    }
    reader.hears(&format!("m{n}")).await;
    let all = cluster.at("gateway-3", &b).history_of(&chat, n).await;
    let texts: Vec<_> = all.iter().map(|m| m["content"].clone()).collect();
    let expected: Vec<_> = (1..=n).map(|i| json!(format!("m{i}"))).collect();
    assert_eq!(texts, expected);
}
