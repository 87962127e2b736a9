//! Editing and recalling as changes with a number, and catching up on them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::kit::{Server, Socket, User, list, text};

async fn edit(user: &User, chat: &str, message: &Value, body: Value) -> crate::kit::Reply {
    let id = text(&message["id"]);
    user.put(&format!("/conversations/{chat}/messages/{id}"), body)
        .await
}

async fn page(user: &User, chat: &str, query: &str) -> Value {
    let path = format!("/conversations/{chat}/changes?{query}");
    user.get(&path).await.data_with(200)
}

/// State of every message, by its place: content, deleted, edits, rev.
type States = BTreeMap<i64, (String, bool, i64, i64)>;

fn note(states: &mut States, message: &Value) {
    let state = (
        message["content"].as_str().unwrap_or_default().to_owned(),
        message["deleted"] == true,
        message["editCount"].as_i64().unwrap_or(0),
        message["rev"].as_i64().unwrap(),
    );
    states.insert(message["seqId"].as_i64().unwrap(), state);
}

/// What a device that had everything up to `rev` has after catching up, and how many requests it
/// took.
async fn catch_up(user: &User, chat: &str, states: &mut States, rev: &mut i64) -> usize {
    let mut requests = 0;
    loop {
        let got = page(user, chat, &format!("after_rev={rev}&limit=200")).await;
        requests += 1;
        list(&got["messages"]).iter().for_each(|m| note(states, m));
        *rev = got["completeTo"].as_i64().unwrap();
        if got["hasMore"] == false {
            assert_eq!(got["completeTo"], got["headRev"]);
            return requests;
        }
    }
}

async fn changed(socket: &mut Socket, rev: i64) -> Value {
    socket
        .expect_where("message-changed", |d| d["rev"] == rev)
        .await
}

#[tokio::test]
async fn an_edit_is_numbered_told_to_all_others_and_read_at_once() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut own, mut other, mut peer) = (a.connect().await, a.connect().await, b.connect().await);
    own.say(&chat, "helo", "c1").await;
    let ack = own.acked("c1").await;
    assert_eq!((&ack["seqId"], &ack["rev"]), (&json!(1), &json!(1)));
    let wish = json!({
        "conversationId": chat, "messageId": ack["messageId"], "content": "hello", "client_msg_id": "e1",
    });
    own.send("edit-message", wish.clone()).await;
    let answer = own.expect("change-ack").await;
    assert_eq!(
        answer,
        json!({"client_msg_id": "e1", "conversationId": chat, "messageId": ack["messageId"], "seqId": 1, "rev": 2})
    );
    for socket in [&mut other, &mut peer] {
        let told = changed(socket, 2).await;
        assert_eq!(told["kind"], "edited");
        assert_eq!(
            (&told["seqId"], &told["operatorId"]),
            (&json!(1), &json!(a.id))
        );
        assert_eq!(told["message"]["content"], "hello");
        assert_eq!(told["message"]["editCount"], 1);
    }
    for user in [&a, &b] {
        let seen = &user.history(&chat).await[0];
        assert_eq!(
            (&seen["content"], &seen["rev"], &seen["editCount"]),
            (&json!("hello"), &json!(2), &json!(1))
        );
        assert!(seen["editedAt"].as_i64() >= seen["createdAt"].as_i64());
        assert_eq!(user.unread(&chat).await, i64::from(user.id == b.id));
    }
    // The same once more: the same answer, and nobody hears of it.
    own.send("edit-message", wish).await;
    assert_eq!(own.expect("change-ack").await["rev"], 2);
    assert!(own.drain("message-changed").await.is_empty());
    own.say(&chat, "next", "c2").await;
    let next = own.acked("c2").await;
    assert_eq!((&next["seqId"], &next["rev"]), (&json!(2), &json!(3)));
    peer.hears("next").await;
    assert!(peer.drain("message-changed").await.is_empty());
}

#[tokio::test]
async fn an_edit_over_http_answers_the_message_and_repeats_are_harmless() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let sent = a.say(&chat, "one").await.data();
    let body = json!({"content": "two", "extra": "{\"k\":1}", "client_msg_id": "e1"});
    let first = edit(&a, &chat, &sent, body.clone()).await.data_with(200);
    assert_eq!(
        (
            &first["content"],
            &first["extra"],
            &first["rev"],
            &first["id"]
        ),
        (&json!("two"), &json!("{\"k\":1}"), &json!(2), &sent["id"])
    );
    let again = edit(&a, &chat, &sent, body).await.data_with(200);
    assert_eq!((&again["rev"], &again["editCount"]), (&json!(2), &json!(1)));
    let third = edit(&a, &chat, &sent, json!({"content": "three"})).await;
    let third = third.data_with(200);
    assert_eq!((&third["rev"], &third["editCount"]), (&json!(3), &json!(2)));
    assert!(third["extra"].is_null(), "it is replaced as well");
}

#[tokio::test]
async fn who_may_not_edit_is_told_why() {
    let server = Server::shared().await;
    let [owner, b, c] = server.users().await;
    let group = owner.group("edits", &[&b]).await;
    let sent = b.say(&group, "mine").await.data();
    let to = |text: &str| json!({ "content": text });
    let other = edit(&owner, &group, &sent, to("yours")).await;
    other.refused(403, "NOT_THE_AUTHOR");
    let stranger = edit(&c, &group, &sent, to("yours")).await;
    stranger.refused(403, "NOT_CONVERSATION_MEMBER");
    edit(&b, &group, &sent, to(" "))
        .await
        .refused(400, "MESSAGE_EMPTY");
    let long = edit(&b, &group, &sent, to(&"x".repeat(5_001))).await;
    long.refused(400, "MESSAGE_TOO_LARGE");
    let nowhere = edit(&b, &group, &json!({"id": "5"}), to("x")).await;
    nowhere.refused(404, "MESSAGE_NOT_FOUND");
    let id = text(&sent["id"]);
    owner
        .delete(&format!("/conversations/{group}/messages/{id}"))
        .await
        .data_with(200);
    let late = edit(&b, &group, &sent, to("back")).await;
    late.refused(409, "MESSAGE_RECALLED");
    assert_eq!(b.history(&group).await[0]["content"], "");
}

#[tokio::test]
async fn a_recall_by_socket_comes_as_both_frames() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut own, mut peer) = (a.connect().await, b.connect().await);
    let sent = a.say(&chat, "oh no").await.data();
    let wish = json!({"conversationId": chat, "messageId": sent["id"], "clientMsgId": "r1"});
    own.send("recall-message", wish.clone()).await;
    assert_eq!(own.expect("change-ack").await["rev"], 2);
    let told = changed(&mut peer, 2).await;
    assert_eq!(
        (&told["kind"], &told["message"]["deleted"]),
        (&json!("recalled"), &json!(true))
    );
    assert!(!told.to_string().contains("oh no"));
    let older = peer.expect("message-recalled").await;
    assert_eq!(
        (&older["messageId"], &older["rev"]),
        (&sent["id"], &json!(2))
    );
    own.send("recall-message", wish).await;
    assert_eq!(own.expect("change-ack").await["rev"], 2, "a repeat");
    let again = json!({"conversationId": chat, "messageId": sent["id"], "clientMsgId": "r2"});
    own.send("recall-message", again).await;
    let refused = own.expect("error").await;
    assert_eq!(
        (&refused["code"], &refused["details"]["client_msg_id"]),
        (&json!("MESSAGE_RECALLED"), &json!("r2"))
    );
}

#[tokio::test]
async fn a_device_that_was_away_pays_for_messages_that_changed_and_not_for_changes() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut states = States::new();
    let mut rev = 0;
    for n in 0..5 {
        a.say(&chat, &format!("m{n}")).await.data();
    }
    catch_up(&b, &chat, &mut states, &mut rev).await;
    assert_eq!((states.len(), rev), (5, 5));
    // While b is away: 30 new messages, 60 edits of ten of them and of two old ones, five recalls.
    let mut socket = a.connect().await;
    let mut sent = Vec::new();
    for n in 5..35 {
        sent.push(a.say(&chat, &format!("m{n}")).await.data());
    }
    let old = a.history(&chat).await;
    let old = old.iter().filter(|m| m["seqId"].as_i64() <= Some(2));
    sent.extend(old.cloned());
    for n in 0..60usize {
        let message = &sent[if n % 6 == 0 { 30 + n / 6 % 2 } else { n % 10 }];
        let id = format!("e{n}");
        let wish = json!({
            "conversationId": chat, "messageId": message["id"], "content": id, "client_msg_id": id,
        });
        socket.send("edit-message", wish).await;
    }
    for (n, message) in sent.iter().take(5).enumerate() {
        let wish = json!({"conversationId": chat, "messageId": message["id"], "client_msg_id": format!("r{n}")});
        socket.send("recall-message", wish).await;
    }
    let last = socket
        .expect_where("change-ack", |d| d["client_msg_id"] == "r4")
        .await;
    assert_eq!(last["rev"], 100);
    let at_least = page(&b, &chat, "after_rev=99&at_least=100").await;
    assert_eq!(at_least["completeTo"], 100);
    let first = page(&b, &chat, &format!("after_rev={rev}&limit=200")).await;
    let shown = list(&first["messages"]);
    assert_eq!(shown.len(), 32, "each once");
    let revs: Vec<i64> = shown.iter().map(|m| m["rev"].as_i64().unwrap()).collect();
    assert!(
        revs.is_sorted() && revs[0] > 5 && revs[31] == 100,
        "{revs:?}"
    );
    assert_eq!(catch_up(&b, &chat, &mut states, &mut rev).await, 1);
    let mut truth = States::new();
    b.history_of(&chat, 35)
        .await
        .iter()
        .for_each(|m| note(&mut truth, m));
    assert_eq!(states, truth);
    assert_eq!(b.listed(&chat).await.unwrap()["lastRev"], 100);
    assert_eq!(truth.values().filter(|(_, gone, ..)| *gone).count(), 5);
    assert!(
        truth
            .values()
            .all(|(text, gone, ..)| !gone || text.is_empty())
    );
    // In small pages, too, while nothing is told twice.
    let (mut again, mut from, mut told) = (States::new(), 0, 0);
    loop {
        let got = page(&b, &chat, &format!("after_rev={from}&limit=7")).await;
        told += list(&got["messages"]).len();
        list(&got["messages"])
            .iter()
            .for_each(|m| note(&mut again, m));
        from = got["completeTo"].as_i64().unwrap();
        if got["hasMore"] == false {
            break;
        }
    }
    assert_eq!((again, told), (truth, 35));
}

#[tokio::test]
async fn changes_are_for_members_and_of_what_they_may_read() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "hi").await.data();
    let path = format!("/conversations/{chat}/changes");
    let stranger = c.get(&format!("{path}?after_rev=0")).await;
    stranger.refused(403, "NOT_CONVERSATION_MEMBER");
    assert_eq!(a.get(&path).await.status, 400, "from where on is missing");
    let below = a.get(&format!("{path}?after_rev=-1")).await;
    below.refused(400, "INVALID_PARAMS");
    let ahead = page(&a, &chat, "after_rev=9&limit=1000").await;
    assert_eq!(ahead["messages"], json!([]));
}
