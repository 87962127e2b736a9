//! Read pointers, unread counts, receipts.

use serde_json::{Value, json};

use crate::kit::{Server, User};

async fn say_n(user: &User, conversation: &str, count: usize) {
    for i in 0..count {
        user.say(conversation, &format!("m{i}")).await.data();
    }
}

async fn read_up_to(user: &User, conversation: &str, seq: i64) -> Value {
    user.put(
        &format!("/conversations/{conversation}/read"),
        json!({"seqId": seq}),
    )
    .await
    .data_with(200)
}

#[tokio::test]
async fn reading_answers_what_is_left() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    say_n(&a, &chat, 5).await;
    b.history_of(&chat, 5).await;
    assert_eq!(read_up_to(&b, &chat, 2).await["unreadCount"], 3);
    b.unread_becomes(&chat, 3).await;
    assert_eq!(b.listed(&chat).await.unwrap()["lastReadSeqId"], 2);
}

#[tokio::test]
async fn a_pointer_never_moves_back_and_never_passes_the_head() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    say_n(&a, &chat, 3).await;
    b.history_of(&chat, 3).await;
    assert_eq!(read_up_to(&b, &chat, 3).await["unreadCount"], 0);
    assert_eq!(read_up_to(&b, &chat, 1).await["unreadCount"], 0);
    read_up_to(&b, &chat, 1_000_000).await;
    say_n(&a, &chat, 2).await;
    b.unread_becomes(&chat, 2).await;
}

#[tokio::test]
async fn without_a_number_everything_is_read() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    say_n(&a, &chat, 3).await;
    b.history_of(&chat, 3).await;
    let data = b
        .call("PUT", &format!("/conversations/{chat}/read"), None)
        .await
        .data_with(200);
    assert_eq!(data["unreadCount"], 0);
    b.unread_becomes(&chat, 0).await;
}

#[tokio::test]
async fn what_was_just_acknowledged_can_be_read_at_once() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = b.connect().await;
    for i in 1..=5 {
        a.say(&chat, &format!("m{i}")).await.data();
        let seq = socket.hears(&format!("m{i}")).await["seqId"]
            .as_i64()
            .unwrap();
        socket
            .send("mark-read", json!({"conversationId": chat, "seqId": seq}))
            .await;
    }
    socket.flush().await;
    assert!(socket.drain("error").await.is_empty());
    b.history_of(&chat, 5).await;
    b.unread_becomes(&chat, 0).await;
}

#[tokio::test]
async fn own_messages_do_not_count_and_writing_means_having_read() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    say_n(&a, &chat, 3).await;
    b.unread_becomes(&chat, 3).await;
    assert_eq!(a.unread(&chat).await, 0);
    b.say(&chat, "my answer").await.data();
    b.unread_becomes(&chat, 0).await;
    a.unread_becomes(&chat, 1).await;
}

#[tokio::test]
async fn the_peer_is_told_how_far_was_read_over_http() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    say_n(&a, &chat, 2).await;
    b.history_of(&chat, 2).await;
    read_up_to(&b, &chat, 2).await;
    let frame = socket
        .expect_where("message-read", |d| d["userId"] == b.id)
        .await;
    assert_eq!(
        (&frame["conversationId"], &frame["seqId"]),
        (&json!(chat), &json!(2))
    );
    assert!(frame["readAt"].as_i64().unwrap() > 0);
}

#[tokio::test]
async fn the_peer_is_told_how_far_was_read_over_the_socket() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut author, mut reader) = (a.connect().await, b.connect().await);
    author.say_acked(&chat, "read me", "c1").await;
    b.history_of(&chat, 1).await;
    reader
        .send("mark-read", json!({"conversationId": chat, "seqId": 1}))
        .await;
    let frame = author
        .expect_where("message-read", |d| d["userId"] == b.id)
        .await;
    assert_eq!(frame["seqId"], 1);
}

#[tokio::test]
async fn in_a_group_the_authors_of_what_was_read_are_told_and_nobody_else() {
    let server = Server::shared().await;
    let [a, b, reader] = server.users().await;
    let group = a.group("receipts", &[&b, &reader]).await;
    let (mut of_a, mut of_b) = (a.connect().await, b.connect().await);
    a.say(&group, "by a").await.data();
    b.say(&group, "by b").await.data();
    reader.history_of(&group, 2).await;
    let by_reader = |d: &Value| d["userId"] == reader.id;
    read_up_to(&reader, &group, 1).await;
    assert_eq!(
        of_a.expect_where("message-read", by_reader).await["seqId"],
        1
    );
    read_up_to(&reader, &group, 2).await;
    assert_eq!(
        of_b.expect_where("message-read", by_reader).await["seqId"],
        2
    );
    let first = of_b.drain("message-read").await;
    assert!(
        first.iter().all(|d| !by_reader(d)),
        "b wrote nothing in (0, 1]: {first:?}"
    );
}

#[tokio::test]
async fn reading_again_tells_nobody() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = a.connect().await;
    say_n(&a, &chat, 2).await;
    b.history_of(&chat, 2).await;
    read_up_to(&b, &chat, 1).await;
    read_up_to(&b, &chat, 1).await;
    read_up_to(&b, &chat, 2).await;
    socket
        .expect_where("message-read", |d| d["seqId"] == 2 && d["userId"] == b.id)
        .await;
    let by_b: Vec<_> = socket
        .drain("message-read")
        .await
        .into_iter()
        .filter(|d| d["userId"] == b.id)
        .collect();
    assert_eq!(by_b.len(), 1, "{by_b:?}");
}

#[tokio::test]
async fn a_user_who_reads_on_one_device_is_told_on_the_others() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let (mut phone, mut laptop) = (
        b.connect_device("phone").await,
        b.connect_device("laptop").await,
    );
    a.say(&chat, "on both").await.data();
    phone.hears("on both").await;
    b.history_of(&chat, 1).await;
    phone
        .send("mark-read", json!({"conversationId": chat, "seqId": 1}))
        .await;
    let frame = laptop
        .expect_where("message-read", |d| d["userId"] == b.id)
        .await;
    assert_eq!(
        (&frame["conversationId"], &frame["seqId"]),
        (&json!(chat), &json!(1))
    );
}

#[tokio::test]
async fn a_stranger_s_mark_is_an_error_on_the_socket() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "x").await.data();
    let mut socket = stranger.connect().await;
    socket
        .send("mark-read", json!({"conversationId": chat, "seqId": 1}))
        .await;
    assert_eq!(
        socket.expect("error").await["code"],
        "NOT_CONVERSATION_MEMBER"
    );
}

#[tokio::test]
async fn a_number_that_is_no_number_is_refused() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for seq in [json!("two"), json!(-1), json!(1.5)] {
        a.put(
            &format!("/conversations/{chat}/read"),
            json!({"seqId": seq}),
        )
        .await
        .refused(400, "INVALID_PARAMS");
    }
}
