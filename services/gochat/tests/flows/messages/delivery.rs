//! Ack, push, order.

use serde_json::json;

use crate::kit::{Server, now, seqs, text, texts};

#[tokio::test]
async fn acks_count_1_2_3() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    for i in 1..=3 {
        let ack = socket.say_acked(&chat, "hi", &format!("c{i}")).await;
        assert_eq!(ack["seqId"], i);
        assert_eq!(ack["status"], "success");
        assert_eq!(ack["conversationId"], chat);
        assert_eq!(ack["clientMsgId"], ack["client_msg_id"]);
        assert!(text(&ack["messageId"]).parse::<u64>().is_ok());
        assert!((ack["createdAt"].as_i64().unwrap() - now()).abs() < 60);
    }
}

#[tokio::test]
async fn the_peer_gets_the_message_with_its_sender_and_the_acked_ids() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    let ack = author.say_acked(&chat, "good morning", "c1").await;
    let heard = reader.hears("good morning").await;
    assert_eq!(
        (&heard["id"], &heard["seqId"]),
        (&ack["messageId"], &ack["seqId"])
    );
    assert_eq!(heard["conversationId"], chat);
    assert_eq!(
        (&heard["sender"]["id"], &heard["sender"]["username"]),
        (&json!(a.id), &json!(a.name))
    );
    assert_eq!(
        (&heard["messageType"], &heard["clientMsgId"]),
        (&json!(1), &json!("c1"))
    );
    assert_eq!(heard["createdAt"], ack["createdAt"]);
}

#[tokio::test]
async fn the_author_s_other_devices_hear_it_and_the_sending_one_does_not() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut phone, mut laptop) = (
        a.connect_device("phone").await,
        a.connect_device("laptop").await,
    );
    phone.say(&chat, "from the phone", "c1").await;
    laptop.hears("from the phone").await;
    laptop.say(&chat, "from the laptop", "c2").await;
    phone.hears("from the laptop").await;
    phone.acked("c1").await;
    laptop.acked("c2").await;
    assert_eq!(
        phone.drain("new-message").await.len() + laptop.drain("new-message").await.len(),
        0
    );
    assert_eq!(
        phone.drain("message-ack").await.len() + laptop.drain("message-ack").await.len(),
        0
    );
}

#[tokio::test]
async fn a_message_sent_over_http_reaches_every_socket_of_author_and_peer() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut own, mut peer) = (a.connect().await, b.connect().await);
    let body = json!({"messageType": 1, "content": "by HTTP", "client_msg_id": "h1", "extra": "{\"tone\":\"low\"}"});
    let sent = a
        .post(&format!("/conversations/{chat}/messages"), body)
        .await
        .data_with(201);
    assert_eq!(
        (&sent["senderId"], &sent["conversationId"]),
        (&json!(a.id), &json!(chat))
    );
    assert_eq!(
        (&sent["content"], &sent["clientMsgId"]),
        (&json!("by HTTP"), &json!("h1"))
    );
    assert_eq!(
        (&sent["seqId"], &sent["extra"]),
        (&json!(1), &json!("{\"tone\":\"low\"}"))
    );
    for socket in [&mut own, &mut peer] {
        let heard = socket.hears("by HTTP").await;
        assert_eq!(
            (&heard["id"], &heard["extra"]),
            (&sent["id"], &sent["extra"])
        );
    }
}

#[tokio::test]
async fn messages_arrive_in_the_order_of_their_numbers() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut from_a, mut from_b) = (a.connect().await, b.connect().await);
    let mut watcher = b.connect_device("watcher").await;
    for i in 0..40 {
        from_a.say(&chat, &format!("a{i}"), &format!("a{i}")).await;
        from_b.say(&chat, &format!("b{i}"), &format!("b{i}")).await;
    }
    let mut heard = Vec::new();
    for _ in 0..80 {
        heard.push(watcher.expect("new-message").await);
    }
    assert_eq!(seqs(&heard), (1..=80).collect::<Vec<_>>());
    let of_a: Vec<_> = heard
        .iter()
        .filter(|m| m["senderId"] == a.id)
        .cloned()
        .collect();
    assert_eq!(
        texts(&of_a, "content"),
        (0..40).map(|i| format!("a{i}")).collect::<Vec<_>>()
    );
    let stored = a.history_of(&chat, 80).await;
    assert_eq!(texts(&stored, "id"), texts(&heard, "id"));
}

#[tokio::test]
async fn history_holds_what_was_acknowledged() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    let ack = socket.say_acked(&chat, "keep this", "c1").await;
    let stored = b.history_of(&chat, 1).await.remove(0);
    assert_eq!(
        (&stored["id"], &stored["seqId"]),
        (&ack["messageId"], &ack["seqId"])
    );
    assert_eq!(
        (&stored["content"], &stored["messageType"]),
        (&json!("keep this"), &json!(1))
    );
    assert_eq!(
        (&stored["senderId"], &stored["sender"]["username"]),
        (&json!(a.id), &json!(a.name))
    );
    assert_eq!(
        (&stored["clientMsgId"], &stored["conversationId"]),
        (&json!("c1"), &json!(chat))
    );
    assert_eq!(stored["createdAt"], ack["createdAt"]);
    assert_ne!(stored["deleted"], true);
}

#[tokio::test]
async fn conversations_count_on_their_own() {
    let server = Server::shared().await;
    let [a, b, c] = server.users().await;
    let (first, second) = (a.chat_with(&b).await, a.chat_with(&c).await);
    let mut socket = a.connect().await;
    assert_eq!(socket.say_acked(&first, "one", "c1").await["seqId"], 1);
    assert_eq!(socket.say_acked(&second, "one", "c2").await["seqId"], 1);
    assert_eq!(socket.say_acked(&first, "two", "c3").await["seqId"], 2);
}

#[tokio::test]
async fn a_user_who_was_offline_finds_the_messages_in_history_and_the_count_in_the_list() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for i in 0..3 {
        a.say(&chat, &format!("while you were away {i}"))
            .await
            .data();
    }
    b.unread_becomes(&chat, 3).await;
    assert_eq!(seqs(&b.history_of(&chat, 3).await), [1, 2, 3]);
}
