//! Members change while messages are in flight.
//!
//! The marker is sent after the change was answered, so it is sequenced after it: whatever has a higher number than
//! the marker was sequenced after the change, too.

use serde_json::{Value, json};

use crate::kit::{FEW_ARE_MANY, LISTED, PATIENCE, Server, Socket, User, mute};

const ROUNDS: usize = 6;
const FLOOD: usize = 40;

async fn flood(socket: &mut Socket, group: &str, round: usize) {
    for i in 0..FLOOD {
        socket
            .say(group, "in flight", &format!("r{round}-{i}"))
            .await;
    }
}

/// The verdicts on a flood: numbers of what was accepted, codes of what was refused.
async fn verdicts(socket: &mut Socket, round: usize) -> (Vec<i64>, Vec<String>) {
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for i in 0..FLOOD {
        let id = json!(format!("r{round}-{i}"));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let step = std::time::Duration::from_millis(20);
            if let Some(ack) = socket
                .find_within("message-ack", &|d: &Value| d["client_msg_id"] == id, step)
                .await
            {
                accepted.push(ack["seqId"].as_i64().unwrap());
                break;
            }
            let is_it = |d: &Value| d["details"]["client_msg_id"] == id;
            if let Some(error) = socket.find_within("error", &is_it, step).await {
                refused.push(crate::kit::text(&error["code"]));
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "no verdict on {id}");
        }
    }
    (accepted, refused)
}

async fn marker(user: &User, group: &str) -> i64 {
    user.say(group, "marker").await.data()["seqId"]
        .as_i64()
        .unwrap()
}

/// Nothing `author` wrote has a number above the marker.
async fn nothing_after(reader: &User, author: &User, group: &str, marker: i64) {
    let all = reader
        .history_of(group, usize::try_from(marker).unwrap())
        .await;
    let late: Vec<_> = all
        .iter()
        .filter(|m| m["senderId"] == author.id && m["seqId"].as_i64() > Some(marker))
        .collect();
    assert!(late.is_empty(), "accepted after the change: {late:?}");
}

async fn removal(server: &Server, extra: &[&User]) {
    let [owner, b] = server.users().await;
    let members: Vec<&User> = extra.iter().copied().chain([&b]).collect();
    let group = owner.group("removals", &members).await;
    let path = format!("/conversations/{group}/members");
    let (mut of_b, mut of_owner) = (b.connect().await, owner.connect().await);
    for round in 0..ROUNDS {
        flood(&mut of_b, &group, round).await;
        flood(&mut of_owner, &group, round).await;
        owner.delete(&format!("{path}/{}", b.id)).await.data();
        let marker = marker(&owner, &group).await;
        let (accepted, refused) = verdicts(&mut of_b, round).await;
        assert!(
            accepted.iter().all(|seq| *seq < marker),
            "accepted after the removal: {accepted:?}, marker {marker}"
        );
        assert!(
            refused.iter().all(|code| code == "NOT_CONVERSATION_MEMBER"),
            "{refused:?}"
        );
        verdicts(&mut of_owner, round).await;
        nothing_after(&owner, &b, &group, marker).await;
        let heard = of_b.drain("new-message").await;
        let late: Vec<_> = heard
            .iter()
            .filter(|m| m["seqId"].as_i64() >= Some(marker))
            .collect();
        assert!(
            late.is_empty(),
            "pushed after the removal: {late:?}, marker {marker}"
        );
        owner.post(&path, json!({"members": [b.id]})).await.data();
        of_b.drain("new-message").await;
    }
}

#[tokio::test]
async fn after_a_removal_was_answered_nothing_is_accepted_from_or_reaches_the_removed() {
    let server = Server::shared().await;
    let c = server.user().await;
    removal(&server, &[&c]).await;
}

#[tokio::test]
async fn after_a_removal_was_answered_nothing_is_accepted_from_or_reaches_the_removed_of_a_large_group()
 {
    for setting in [FEW_ARE_MANY, LISTED] {
        let Some(server) = Server::with(&[setting]).await else {
            return;
        };
        let [c, d, e, f] = server.users().await;
        removal(&server, &[&c, &d, &e, &f]).await;
    }
}

#[tokio::test]
async fn after_a_mute_was_answered_nothing_is_accepted_from_the_muted() {
    let server = Server::shared().await;
    let [owner, b] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = owner.group("mutes", &[&b]).await;
    let mut socket = b.connect().await;
    for round in 0..ROUNDS {
        flood(&mut socket, &group, round).await;
        mute(logic.clone(), &owner, &group, &b, true).await;
        let marker = marker(&owner, &group).await;
        let (accepted, refused) = verdicts(&mut socket, round).await;
        assert!(
            accepted.iter().all(|seq| *seq < marker),
            "accepted after the mute: {accepted:?}, marker {marker}"
        );
        assert!(
            refused.iter().all(|code| code == "MEMBER_MUTED"),
            "{refused:?}"
        );
        nothing_after(&owner, &b, &group, marker).await;
        mute(logic.clone(), &owner, &group, &b, false).await;
        assert_eq!(b.say(&group, "free again").await.status, 201);
    }
}

async fn joining(server: &Server, extra: &[&User]) {
    let [owner, c] = server.users().await;
    let group = owner.group("joins", extra).await;
    let path = format!("/conversations/{group}/members");
    let (mut of_c, mut of_owner) = (c.connect().await, owner.connect().await);
    for round in 0..ROUNDS {
        flood(&mut of_owner, &group, round).await;
        owner.post(&path, json!({"members": [c.id]})).await.data();
        let marker = marker(&owner, &group).await;
        let c_says = c.say(&group, "I am in").await.data_with(201)["seqId"]
            .as_i64()
            .unwrap();
        assert!(c_says > marker);
        // Everything from the marker on reaches the new member; its own message goes to its socket, too, as it was
        // sent over HTTP.
        for seq in marker..=c_says {
            of_c.expect_where("new-message", |d| {
                d["conversationId"] == group && d["seqId"] == seq
            })
            .await;
        }
        verdicts(&mut of_owner, round).await;
        owner.delete(&format!("{path}/{}", c.id)).await.data();
        of_c.drain("new-message").await;
    }
}

#[tokio::test]
async fn after_a_join_was_answered_everything_reaches_the_new_member() {
    let server = Server::shared().await;
    let b = server.user().await;
    joining(&server, &[&b]).await;
}

#[tokio::test]
async fn after_a_join_was_answered_everything_reaches_the_new_member_of_a_large_group() {
    for setting in [FEW_ARE_MANY, LISTED] {
        let Some(server) = Server::with(&[setting]).await else {
            return;
        };
        let [b, d, e, f] = server.users().await;
        joining(&server, &[&b, &d, &e, &f]).await;
    }
}
