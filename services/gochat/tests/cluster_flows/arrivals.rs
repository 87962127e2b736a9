//! Sessions that come while a message is on its way. Rows are held back, so that a synchronisation finds nothing for
//! certain; nothing further is sent to push things along.

use crate::kit::{Socket, User, eventually, now};
use crate::rig::{Cluster, SOON};

const SAVE: &str = "BatchSaveMessages";

/// The setting with which every group is served by the list of its members.
const LISTED: &str = "logic.pipeline.fanout_members_from=1";

/// The message comes within a second.
async fn hears_soon(socket: &mut Socket, text: &str) {
    let fits = |d: &serde_json::Value| d["content"] == text;
    let heard = socket.find_within("new-message", &fits, SOON).await;
    assert!(heard.is_some(), "`{text}` did not come by itself");
}

/// Whatever came beyond what was asked for came twice.
async fn nothing_came_twice(sockets: &mut [&mut Socket]) {
    for socket in sockets {
        let more = socket.drain("new-message").await;
        assert!(more.is_empty(), "{more:?}");
    }
}

/// History read once, as a client does after connecting: the row is not there.
async fn history_is_empty(user: &User, conversation: &str) {
    assert!(user.history(conversation).await.is_empty());
}

#[tokio::test]
async fn a_second_device_that_comes_a_moment_too_late_to_another_gateway_misses_nothing() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
    );
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    let mut phone = b.connect().await;
    cluster.gates.hold("task", SAVE);
    author.say_acked(&chat, "on its way", "c1").await;
    hears_soon(&mut phone, "on its way").await;
    let b2 = cluster.at("gateway-2", &b);
    let mut laptop = b2.connect().await;
    history_is_empty(&b2, &chat).await;
    cluster.gates.open();
    hears_soon(&mut laptop, "on its way").await;
    nothing_came_twice(&mut [&mut phone, &mut laptop]).await;
}

#[tokio::test]
async fn a_members_second_device_on_another_gateway_misses_no_group_message() {
    second_devices_miss_nothing(&[]).await;
}

/// Gateway-2 holds nobody when the message is sent, so it gets no list.
#[tokio::test]
async fn a_members_second_device_on_another_gateway_misses_no_listed_message() {
    second_devices_miss_nothing(&[LISTED]).await;
}

async fn second_devices_miss_nothing(settings: &[&str]) {
    let cluster = Cluster::with(settings).await;
    let (a, b, c) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let group = a.group("tea", &[&b, &c]).await;
    let (mut author, mut phone) = (a.connect().await, b.connect().await);
    cluster.gates.hold("task", SAVE);
    author.say_acked(&group, "for all", "c1").await;
    hears_soon(&mut phone, "for all").await;
    let mut laptop = cluster.at("gateway-2", &b).connect().await;
    // Offline when the message was sent, and the author's other device.
    let mut of_c = c.connect().await;
    let mut authors_laptop = cluster.at("gateway-2", &a).connect().await;
    cluster.gates.open();
    for socket in [&mut laptop, &mut of_c, &mut authors_laptop] {
        hears_soon(socket, "for all").await;
    }
    let all = &mut [&mut author, &mut phone, &mut laptop, &mut of_c];
    nothing_came_twice(all).await;
}

#[tokio::test]
async fn the_author_of_a_large_group_hears_it_on_a_device_that_comes_late() {
    let cluster = Cluster::with(&["logic.pipeline.direct_max=1"]).await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
    );
    let group = a.group("large", &[&b]).await;
    let mut author = a.connect().await;
    cluster.gates.hold("task", SAVE);
    author.say_acked(&group, "for many", "c1").await;
    let mut laptop = cluster.at("gateway-2", &a).connect().await;
    let mut of_b = cluster.at("gateway-2", &b).connect().await;
    cluster.gates.open();
    hears_soon(&mut laptop, "for many").await;
    hears_soon(&mut of_b, "for many").await;
}

#[tokio::test]
async fn a_user_who_moves_between_lookup_and_delivery_has_the_message_without_another_one() {
    let cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-2").await,
        cluster.user("gateway-1").await,
    );
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    let old = b.connect().await;
    // Presence goes on saying that gateway-1 holds the user, which is where the message is sent and dropped.
    cluster.gates.hold("gateway-1", "SetUsersOffline");
    cluster.gates.hold("task", SAVE);
    old.close().await;
    author.say_acked(&chat, "where are you", "c1").await;
    let moved = cluster.at("gateway-2", &b);
    let mut new = moved.connect().await;
    history_is_empty(&moved, &chat).await;
    cluster.gates.open();
    hears_soon(&mut new, "where are you").await;
    eventually("the old session is gone", || async {
        (cluster.gateways_of(&b).await == ["gateway-2"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_connects_to_a_brand_new_gateway_hears_the_world_from_then_on() {
    let mut cluster = Cluster::new().await;
    let a = cluster.user("gateway-1").await;
    let b = cluster.user("gateway-1").await;
    let mut author = a.connect().await;
    // Now the list of gateways is fresh, and a second old at most when the next message comes.
    author.say_acked("world", "before", "c1").await;
    a.history_of("world", 1).await;
    cluster.start_gateway("gateway-3").await;
    cluster.gates.hold("task", SAVE);
    let mut new = cluster.at("gateway-3", &b).connect().await;
    author.say_acked("world", "first", "c2").await;
    author.say_acked("world", "second", "c3").await;
    cluster.gates.open();
    hears_soon(&mut new, "first").await;
    hears_soon(&mut new, "second").await;
    author.say_acked("world", "third", "c4").await;
    hears_soon(&mut new, "third").await;
    nothing_came_twice(&mut [&mut new]).await;
}

#[tokio::test]
async fn rows_that_take_longer_than_gateways_remember_lose_nothing_either() {
    // Gateways remember nothing here.
    let forgetful = [
        "gateway.replay.max_age_ms=0",
        "gateway.replay.direct_max_age_ms=0",
        LISTED,
    ];
    let cluster = Cluster::with(&forgetful).await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-1").await,
    );
    let chat = a.chat_with(&b).await;
    let group = a.group("listed", &[&b]).await;
    let mut author = a.connect().await;
    let _phone = b.connect().await;
    cluster.gates.hold("task", SAVE);
    author.say_acked(&chat, "slow", "c1").await;
    author.say_acked("world", "slow world", "c2").await;
    author.say_acked(&group, "slow group", "c3").await;
    let sent = now();
    let mut laptop = b.connect().await;
    history_is_empty(&b, &chat).await;
    // Until the database writer must take its memory for gone.
    let late = || async { (now() - sent >= 5).then_some(()) };
    eventually("time passes", late).await;
    cluster.gates.open();
    hears_soon(&mut laptop, "slow").await;
    hears_soon(&mut laptop, "slow world").await;
    hears_soon(&mut laptop, "slow group").await;
}

#[tokio::test]
async fn messages_of_before_a_restart_of_the_writers_are_pushed_to_whoever_came_meanwhile() {
    let mut cluster = Cluster::new().await;
    let (a, b) = (
        cluster.user("gateway-1").await,
        cluster.user("gateway-2").await,
    );
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    cluster.kill("task-1").await;
    cluster.kill("task-2").await;
    author.say_acked(&chat, "nobody writes", "c1").await;
    let mut reader = b.connect().await;
    history_is_empty(&b, &chat).await;
    cluster.start_task("task-1").await;
    hears_soon(&mut reader, "nobody writes").await;
}
