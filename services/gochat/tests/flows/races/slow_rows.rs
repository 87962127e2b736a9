//! Rows that take long to reach history.
//!
//! Between the acknowledgement and the row lie a few milliseconds. Here it is a quarter of a
//! second: whatever looks into the database too early finds nothing, and what waits for a row has
//! most of its time left on a busy machine.

use serde_json::json;

use super::connecting::miss_nothing_for;
use crate::kit::{FEW_ARE_MANY, PATIENCE, Server, User, seqs};

const SLOW: &str = "task.persist.linger_ms=250";
const ROUNDS: i64 = 5;

#[tokio::test]
async fn with_slow_rows_a_single_chat_is_complete_at_once() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    miss_nothing_for(ROUNDS, &a, &[&b, &b, &a], &chat).await;
}

#[tokio::test]
async fn with_slow_rows_a_group_is_complete_at_once() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b, c, d] = server.users().await;
    let group = a.group("direct", &[&b, &c, &d]).await;
    miss_nothing_for(ROUNDS, &a, &[&b, &c, &a], &group).await;
}

#[tokio::test]
async fn with_slow_rows_a_large_group_is_complete_at_once() {
    let Some(server) = Server::with(&[SLOW, FEW_ARE_MANY]).await else {
        return;
    };
    let users: [User; 6] = server.users().await;
    let others: Vec<&User> = users[1..].iter().collect();
    let group = users[0].group("deferred", &others).await;
    miss_nothing_for(
        ROUNDS,
        &users[0],
        &[&users[1], &users[2], &users[0]],
        &group,
    )
    .await;
}

#[tokio::test]
async fn with_slow_rows_the_world_is_complete_at_once() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    miss_nothing_for(ROUNDS, &a, &[&b, &a], "world").await;
}

#[tokio::test]
async fn what_was_read_before_its_row_was_written_stays_read() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let mut reader = b.connect().await;
    let mut author = a.connect().await;
    for i in 1..=3 {
        a.say(&chat, &format!("m{i}")).await.data();
        reader.hears(&format!("m{i}")).await;
    }
    reader
        .send("mark-read", json!({"conversationId": chat, "seqId": 2}))
        .await;
    let told = author
        .expect_where("message-read", |d| d["userId"] == b.id)
        .await;
    assert_eq!(told["seqId"], 2);
    let left = b
        .put(&format!("/conversations/{chat}/read"), json!({"seqId": 3}))
        .await
        .data();
    assert_eq!(left["unreadCount"], 0);
    b.history_of(&chat, 3).await;
    assert_eq!(b.unread(&chat).await, 0);
    let listed = b.listed(&chat).await.unwrap();
    assert_eq!(
        (&listed["lastReadSeqId"], &listed["lastSeqId"]),
        (&json!(3), &json!(3))
    );
}

#[tokio::test]
async fn everything_is_read_although_rows_are_missing() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for i in 1..=3 {
        a.say(&chat, &format!("m{i}")).await.data();
    }
    b.call("PUT", &format!("/conversations/{chat}/read"), None)
        .await
        .data_with(200);
    b.history_of(&chat, 3).await;
    assert_eq!(b.unread(&chat).await, 0);
}

#[tokio::test]
async fn what_was_sent_is_recalled_and_repeated_before_its_row_is_written() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    let first = a.say_as(&chat, "a slip", "c1").await.data();
    let again = a.say_as(&chat, "a slip", "c1").await.data();
    assert_eq!(
        (&again["id"], &again["seqId"]),
        (&first["id"], &first["seqId"])
    );
    let path = format!(
        "/conversations/{chat}/messages/{}",
        crate::kit::text(&first["id"])
    );
    a.delete(&path).await.data_with(200);
    let stored = b.history_of(&chat, 1).await;
    assert!(!stored[0].to_string().contains("a slip"), "{}", stored[0]);
}

#[tokio::test]
async fn one_who_joins_before_rows_are_written_has_nothing_unread() {
    let Some(server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b, c] = server.users().await;
    let group = a.group("late rows", &[&b]).await;
    for i in 1..=3 {
        a.say(&group, &format!("before {i}")).await.data();
    }
    a.post(
        &format!("/conversations/{group}/members"),
        json!({"members": [c.id]}),
    )
    .await
    .data();
    a.say(&group, "after").await.data();
    b.history_of(&group, 4).await;
    assert_eq!(c.unread(&group).await, 1);
}

#[tokio::test]
async fn a_restart_before_rows_are_written_loses_nothing() {
    let Some(mut server) = Server::with(&[SLOW]).await else {
        return;
    };
    let [a, b] = server.users().await;
    let chat = a.chat_with(&b).await;
    for round in 0..3 {
        let [a, b] = [server.known(&a), server.known(&b)];
        let mut socket = a.connect().await;
        for i in 1..=10 {
            let n = round * 10 + i;
            assert_eq!(
                socket.say_acked(&chat, "keep", &format!("c{n}")).await["seqId"],
                n
            );
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        server.restart().await;
        assert!(
            tokio::time::Instant::now() < deadline,
            "a stop takes seconds at most"
        );
        let [a, b] = [server.known(&a), server.known(&b)];
        let first = a
            .say_as(&chat, "keep", &format!("c{}", round * 10 + 1))
            .await
            .data();
        assert_eq!(first["seqId"], round * 10 + 1);
        let stored = b
            .history_of(&chat, usize::try_from(round).unwrap() * 10 + 10)
            .await;
        assert_eq!(
            seqs(&stored),
            (1..=i64::from(round) * 10 + 10).collect::<Vec<_>>()
        );
    }
}
