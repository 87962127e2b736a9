//! Read your writes: what was acknowledged or pushed is in every later read, without polling.
//!
//! Rows are late on purpose, so that a read that doesn't wait misses what it should hold.

use serde_json::{Value, json};

use crate::kit::{Server, User, seqs};

const SLOW: &str = "task.persist.linger_ms=150";
const ROUNDS: i64 = 8;

/// Everything a reader can see of a conversation shows this number as the newest.
async fn sees(user: &User, conversation: &str, seq: i64, unread: i64) {
    let path = format!("/conversations/{conversation}");
    let page = user.get(&format!("{path}/messages?limit=3")).await.data();
    assert_eq!(page["messages"][0]["seqId"], seq, "newest first: {page}");
    assert_eq!(
        (&page["behind"], &page["headSeqId"]),
        (&Value::Null, &json!(seq))
    );
    let after = user.history_after(conversation, seq - 1).await;
    assert_eq!(seqs(&after), [seq], "oldest first");
    let listed = user.listed(conversation).await.expect("it is on the list");
    assert_eq!(listed["lastSeqId"], seq, "{listed}");
    assert_eq!(listed["lastMessage"]["seqId"], seq, "{listed}");
    assert_eq!(listed["unreadCount"], unread, "{listed}");
    let detail = user.get(&path).await.data();
    assert_eq!(
        (&detail["lastSeqId"], &detail["unreadCount"]),
        (&json!(seq), &json!(unread))
    );
}

#[tokio::test]
async fn who_was_acknowledged_over_http_reads_it_at_once() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chats = [a.chat_with(&b).await, a.group("ours", &[&b]).await];
    for round in 1..=ROUNDS {
        for chat in &chats {
            assert_eq!(a.say(chat, "mine").await.data()["seqId"], round);
            sees(&a, chat, round, 0).await;
        }
    }
}

#[tokio::test]
async fn rows_are_written_at_once_for_who_waits_for_them() {
    // Without a demand the second row would come after the reader gave up waiting.
    let Some(server) = Server::with(&["task.persist.pace_ms=30000"]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chats = [a.chat_with(&b).await, a.group("ours", &[&b]).await];
    for round in 1..=ROUNDS {
        for chat in &chats {
            a.say(chat, "mine").await.data();
            sees(&a, chat, round, 0).await;
            sees(&b, chat, round, round).await;
        }
    }
}

#[tokio::test]
async fn the_list_alone_is_as_new_as_the_acknowledgement() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let (old, new) = (a.chat_with(&b).await, a.group("new", &[&b]).await);
    for round in 1..=ROUNDS {
        for chat in [&old, &new] {
            a.say(chat, "mine").await.data();
            let first = &a.conversations().await[0];
            assert_eq!(
                (&first["id"], &first["lastSeqId"]),
                (&json!(chat), &json!(round))
            );
        }
    }
}

#[tokio::test]
async fn who_was_acknowledged_or_pushed_over_a_socket_reads_it_at_once() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let group = a.group("ours", &[&b]).await;
    let (mut from, mut to) = (a.connect().await, b.connect().await);
    for round in 1..=ROUNDS {
        let text = format!("message-{round}");
        from.say_acked(&group, &text, &text).await;
        sees(&a, &group, round, 0).await;
        from.say_acked("world", &text, &format!("w{round}")).await;
        assert_eq!(a.listed("world").await.unwrap()["lastSeqId"], round);
        to.hears(&text).await;
        sees(&b, &group, round, round).await;
    }
}

#[tokio::test]
async fn who_was_pushed_a_message_marks_it_as_read_at_once() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut socket = b.connect().await;
    for round in 1..=ROUNDS {
        a.say(&chat, "for you").await.data();
        socket.expect("new-message").await;
        let body = match round % 2 {
            0 => json!({}),
            _ => json!({"seqId": round}),
        };
        let path = format!("/conversations/{chat}/read");
        let read = b.put(&path, body).await.data();
        assert_eq!(
            (&read["lastReadSeqId"], &read["unreadCount"]),
            (&json!(round), &json!(0))
        );
        assert_eq!(b.unread(&chat).await, 0);
    }
}

#[tokio::test]
async fn a_number_that_never_comes_costs_a_second_and_is_said() {
    let Some(server) = Server::with(&["repo.reads.wait_ms=1000"]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    a.say(&chat, "one").await.data();
    let page = a
        .get(&format!("/conversations/{chat}/messages?at_least=5"))
        .await
        .data();
    assert_eq!(
        (&page["behind"], &page["headSeqId"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(page["messages"][0]["seqId"], 1, "what is there is shown");
    let list = a
        .get(&format!("/conversations?at_least={chat}:5"))
        .await
        .data();
    let entry = list["conversations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["id"] == chat);
    let entry = entry.unwrap();
    assert_eq!(
        (&list["behind"], &entry["behind"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(entry["headSeqId"], 5);
    let detail = a
        .get(&format!("/conversations/{chat}?at_least=5"))
        .await
        .data();
    assert_eq!(
        (&detail["behind"], &detail["headSeqId"]),
        (&json!(true), &json!(5))
    );
}

#[tokio::test]
async fn a_page_of_older_messages_waits_for_nothing() {
    let server = Server::shared().await;
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for _ in 0..3 {
        a.say(&chat, "one").await.data();
    }
    let older = format!("/conversations/{chat}/messages?cursor=3&at_least=9");
    let page = a.get(&older).await.data();
    assert_eq!(
        (seqs(page["messages"].as_array().unwrap()), &page["behind"]),
        (vec![2, 1], &Value::Null)
    );
}

#[tokio::test]
async fn a_stranger_learns_nothing_from_numbers_it_says() {
    let server = Server::shared().await;
    let [a, b, stranger] = server.users().await;
    let group = a.group("private", &[&b]).await;
    a.say(&group, "one").await.data();
    for seq in [1, 1_000] {
        let list = stranger
            .get(&format!("/conversations?at_least={group}:{seq}"))
            .await
            .data();
        assert_eq!(list["behind"], Value::Null);
    }
    for wrong in ["x", "x:1", "world:-1", "world:x", "world"] {
        let list = stranger
            .get(&format!("/conversations?at_least={wrong}"))
            .await;
        list.refused(400, "INVALID_PARAMS");
    }
}
