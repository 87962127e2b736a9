//! Reconnecting, several devices, replaced connections.

use crate::kit::{Server, list, seqs, texts};

#[tokio::test]
async fn what_was_missed_is_fetched_after_the_reconnect() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut reader = b.connect().await;
    a.say(&chat, "seen").await.data();
    let seen = reader.hears("seen").await["seqId"].as_i64().unwrap();
    drop(reader);
    for i in 0..5 {
        a.say(&chat, &format!("missed {i}")).await.data();
    }
    let mut reader = b.connect().await;
    a.say(&chat, "after").await.data();
    assert_eq!(reader.hears("after").await["seqId"], 7);
    b.history_of(&chat, 7).await;
    let missed = b.history_after(&chat, seen).await;
    assert_eq!(seqs(&missed), (2..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_gap_is_filled_page_by_page() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut author = a.connect().await;
    for i in 0..130 {
        author.say(&chat, &format!("m{i}"), &format!("c{i}")).await;
    }
    author.acked("c129").await;
    b.history_of(&chat, 130).await;
    let first = b
        .get(&format!(
            "/conversations/{chat}/messages?after_seq=10&limit=100"
        ))
        .await
        .data();
    assert_eq!(
        (list(&first["messages"]).len(), first["hasMore"] == true),
        (100, true)
    );
    assert_eq!(first["nextCursor"], 110);
    let rest = b
        .get(&format!(
            "/conversations/{chat}/messages?after_seq=110&limit=100"
        ))
        .await
        .data();
    assert_eq!(
        seqs(list(&rest["messages"])),
        (111..=130).collect::<Vec<_>>()
    );
    assert_ne!(rest["hasMore"], true);
}

#[tokio::test]
async fn the_list_says_where_something_is_missing() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let (busy, quiet) = (a.chat_with(&b).await, b.group("quiet", &[&c]).await);
    for i in 0..3 {
        a.say(&busy, &format!("m{i}")).await.data();
    }
    b.unread_becomes(&busy, 3).await;
    assert_eq!(b.listed(&busy).await.unwrap()["lastSeqId"], 3);
    let quiet = b.listed(&quiet).await.unwrap();
    assert_eq!(quiet["lastSeqId"].as_i64().unwrap_or(0), 0);
}

#[tokio::test]
async fn two_devices_see_the_same_timeline() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut phone, mut laptop) = (
        b.connect_device("phone").await,
        b.connect_device("laptop").await,
    );
    let mut author = a.connect().await;
    for i in 0..10 {
        author.say(&chat, &format!("m{i}"), &format!("c{i}")).await;
    }
    let mut heard = [Vec::new(), Vec::new()];
    for _ in 0..10 {
        heard[0].push(phone.expect("new-message").await);
        heard[1].push(laptop.expect("new-message").await);
    }
    assert_eq!(seqs(&heard[0]), (1..=10).collect::<Vec<_>>());
    assert_eq!(texts(&heard[0], "id"), texts(&heard[1], "id"));
}

#[tokio::test]
async fn the_same_device_replaces_its_own_older_connection() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut old = b.connect_device("phone").await;
    let mut laptop = b.connect_device("laptop").await;
    let mut new = b.connect_device("phone").await;
    assert_eq!(old.expect("error").await["code"], "CONNECTION_REPLACED");
    assert_eq!(old.closed().await, 4001);
    a.say(&chat, "to the living").await.data();
    new.hears("to the living").await;
    laptop.hears("to the living").await;
}

#[tokio::test]
async fn beyond_five_sessions_the_oldest_goes() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut sockets = Vec::new();
    for i in 0..6 {
        sockets.push(user.connect_device(&format!("device-{i}")).await);
    }
    assert_eq!(
        sockets[0].expect("error").await["code"],
        "CONNECTION_REPLACED"
    );
    assert_eq!(sockets[0].closed().await, 4001);
    for socket in &mut sockets[1..] {
        socket.flush().await;
    }
}

#[tokio::test]
async fn with_one_session_per_user_the_newest_wins() {
    let Some(server) = Server::with(&["gateway.websocket.sessions_per_user=1"]).await else {
        return;
    };
    let user = server.user().await;
    let mut first = user.connect_device("phone").await;
    let mut second = user.connect_device("laptop").await;
    assert_eq!(first.closed().await, 4001);
    second.flush().await;
}

#[tokio::test]
async fn clients_that_replace_each_other_for_ever_are_held_off() {
    let server = Server::shared().await;
    let user = server.user().await;
    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..12 {
        match user.try_connect("&device=phone").await {
            Ok(socket) => held.push(socket),
            Err(status) => refused = refused.or(Some(status)),
        }
    }
    assert_eq!(
        refused,
        Some(429),
        "more than five replacements within a minute"
    );
    assert!((5..=7).contains(&held.len()), "{} were let in", held.len());
    let other = server.user().await;
    other.connect().await.flush().await;
}
